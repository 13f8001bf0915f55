"""`recon match`: two files on disk, no server. A summary on the terminal and, where asked for, the artifacts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import typer
from rich.console import Console

from matching.errors import RuleInvalid
from recon.artifacts import OutUnusable, write_artifacts
from recon.inputs import IN_MEMORY, open_input
from recon.rule_files import read_rule_set
from recon.short_forms import COMPARE_FORMS, one_pass
from recon.summary import print_summary

if TYPE_CHECKING:
    import polars as pl

    from matching import Outcome, RuleSet
    from matching.outcome import LargeOutcome

Found = TypeVar("Found", bound="Outcome | LargeOutcome", covariant=True)

Result = TypeVar("Result")

SOURCE_ID, TARGET_ID = 1, 2
"""The `_recon_file_id` of each file; one that has identity columns of its own (an artifact as Parquet) keeps them."""


def match_command(
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, Excel, Parquet or JSON lines.")],
    target: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What SOURCE is compared with.")],
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Field that must be equal for two records to be partners: A=B, or A on both sides. Repeatable."
        ),
    ] = None,
    compare: Annotated[list[str] | None, typer.Option(help=f"Field to compare: {COMPARE_FORMS}. Repeatable.")] = None,
    rules: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Rule set as JSON, as POST /rules takes it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(file_okay=False, help="Directory to write the artifacts to.")] = None,
    fail_on_breaks: Annotated[bool, typer.Option("--fail-on-breaks", help="Exit with 1 if anything differs.")] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            envvar="RECON_MATCH_MEMORY",
            help="Memory to match in, such as 4GB; more goes to disk. Default: half of the machine's, 6 GB at most.",
        ),
    ] = None,
) -> None:
    """Match the records of two files and say where they disagree."""
    started = perf_counter()
    rule_set = _rule_set(key or [], compare or [], rules)
    limit = None if memory is None else _size(memory)
    with _work_directory(out) as work:
        outcome = with_progress_bar(
            lambda tell: match_within(source, target, rule_set, out, limit, Path(work), on_progress=tell)
        )
        seconds = perf_counter() - started
        print_summary(Console(highlight=False), source.name, target.name, outcome, out, seconds)
    if fail_on_breaks and outcome.statistics.exception_count:
        raise typer.Exit(1)


def _size(text: str) -> int:
    from models.sizes import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--memory") from error


def _work_directory(out: Path | None) -> TemporaryDirectory[str]:
    """Where there is room for what goes to disk: beside the artifacts, for the system's own place may be memory."""
    beside = None if out is None else next(one for one in (out, *out.absolute().parents) if one.is_dir())
    try:
        return TemporaryDirectory(prefix=".recon-match-", dir=beside)
    except OSError as error:
        raise OutUnusable(out, error) from error


def match_files(
    source: Path,
    target: Path,
    rule_set: RuleSet,
    out: Path | None = None,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Outcome:
    """Matches two files and, with `out`, writes the artifacts there, all of them or none.

    `matched.parquet`, and as `.csv` and `.parquet` each `unmatched_source`, `unmatched_target` and `exceptions`: the frames of
    `matching.Outcome`. Raises FileUnreadable and what `matching.reconcile` raises.
    """

    def in_memory(*inputs: pl.LazyFrame, on_progress: Callable[[float], None]) -> Outcome:
        from matching import reconcile

        return reconcile(rule_set, *inputs, on_progress=on_progress)

    with TemporaryDirectory(prefix="recon-match-") as work:
        return _match_files(source, target, rule_set, out, Path(work), IN_MEMORY, in_memory, on_progress)


def match_within(
    source: Path,
    target: Path,
    rule_set: RuleSet,
    out: Path | None,
    limit: int | None,
    work: Path,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Outcome | LargeOutcome:
    """As `match_files`, in about `limit` bytes of memory, with work files in `work`, which is there and empty.

    A LargeOutcome can be read as long as that is there.
    """
    spill = work / "spill"
    spill.mkdir()

    def within(*inputs: pl.LazyFrame, on_progress: Callable[[float], None]) -> Outcome | LargeOutcome:
        from models.bounded import default_limit, reconcile_within

        return reconcile_within(limit or default_limit(), spill, rule_set, *inputs, on_progress=on_progress)

    # Held text takes about four times its bytes on disk, and there are two inputs.
    held_csv = IN_MEMORY if limit is None else min(IN_MEMORY, limit // 8)
    return _match_files(source, target, rule_set, out, work, held_csv, within, on_progress)


class _Engine(Protocol[Found]):
    def __call__(self, *inputs: pl.LazyFrame, on_progress: Callable[[float], None]) -> Found: ...


def _match_files(
    source: Path,
    target: Path,
    rule_set: RuleSet,
    out: Path | None,
    work: Path,
    held_csv: int,
    engine: _Engine[Found],
    on_progress: Callable[[float], None] | None,
) -> Found:
    from matching import required_columns

    tell = on_progress or _nobody
    required_columns(rule_set)
    with ThreadPoolExecutor(2) as threads:
        tell(0.0)
        reading = [
            threads.submit(open_input, path, file_id, Path(work, f"{file_id}.parquet"), held_csv)
            for path, file_id in ((source, SOURCE_ID), (target, TARGET_ID))
        ]
        # Loaded while the files are read.
        import_module("matching.passes")
        inputs: list[pl.LazyFrame] = []
        for one in reading:
            inputs.append(one.result())
            tell(0.2 * len(inputs))
        outcome = engine(*inputs, on_progress=lambda part: tell(0.4 + 0.5 * part))
    if out is not None:
        write_artifacts(outcome, out)
    tell(1.0)
    return outcome


def _nobody(_: float) -> None:
    """Nobody wants to know."""


def _rule_set(keys: Sequence[str], compares: Sequence[str], rules: Path | None) -> RuleSet:
    from matching import rule_set_of

    if rules is not None:
        if keys or compares:
            raise RuleInvalid("Give either --rules or --key and --compare, not both")
        return read_rule_set(rules)
    if not keys:
        raise RuleInvalid("Say which field makes two records partners: --key A=B, or a rule set with --rules FILE")
    return rule_set_of({"passes": [one_pass(keys, compares, "--")]})


def with_progress_bar(work: Callable[[Callable[[float], None]], Result]) -> Result:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Matching", total=1.0)
        return work(lambda part: progress.update(task, completed=part))
