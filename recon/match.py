"""`recon match`: two files on disk, no server. A summary on the terminal and, where asked for, the artifacts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from matching.errors import ReconError, RuleInvalid

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from matching import Outcome, RuleSet

Result = TypeVar("Result")

SOURCE_ID, TARGET_ID = 1, 2
"""The `_recon_file_id` of each file; one that has identity columns of its own (an artifact as Parquet) keeps them."""

IN_MEMORY = 1 << 30
"""Bytes of a CSV file that is read once and held, without a twin on disk."""

COMPARE_FORMS = (
    "FIELD, A=B, A=B:0.01 (amounts), A=B:1d (days), A=B:~0.9 (similar texts), A=B:contains, :starts-with, :ends-with"
)

_NAMED_RULES = {"exact": "EXACT", "contains": "CONTAINS", "starts-with": "STARTS_WITH", "ends-with": "ENDS_WITH"}


class OutUnusable(ReconError):
    """The directory for the artifacts can't be made or written to."""

    code = "OUT_UNUSABLE"


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
) -> None:
    """Match the records of two files and say where they disagree."""
    started = perf_counter()
    rule_set = _rule_set(key or [], compare or [], rules)
    outcome = with_progress_bar(lambda tell: match_files(source, target, rule_set, out, on_progress=tell))
    _print_summary(Console(highlight=False), source.name, target.name, outcome, out, perf_counter() - started)
    if fail_on_breaks and not outcome.breaks.is_empty():
        raise typer.Exit(1)


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
    from matching import required_columns

    tell = on_progress or _nobody
    required_columns(rule_set)
    with TemporaryDirectory(prefix="recon-match-") as work, ThreadPoolExecutor(2) as threads:
        tell(0.0)
        reading = [
            threads.submit(open_input, path, file_id, Path(work, f"{file_id}.parquet"))
            for path, file_id in ((source, SOURCE_ID), (target, TARGET_ID))
        ]
        # Loaded while the files are read.
        from matching import reconcile

        inputs: list[pl.LazyFrame] = []
        for one in reading:
            inputs.append(one.result())
            tell(0.2 * len(inputs))
        outcome = reconcile(rule_set, *inputs, on_progress=lambda part: tell(0.4 + 0.5 * part))
    if out is not None:
        _write_artifacts(outcome, out)
    tell(1.0)
    return outcome


def _nobody(_: float) -> None:
    """Nobody wants to know."""


def open_input(path: Path, file_id: int, twin: Path) -> pl.LazyFrame:
    """A file as matching reads it, by way of the Parquet `twin` where it needs one. Raises FileUnreadable, naming the file."""
    from polars.exceptions import PolarsError

    from models.errors import FileUnreadable
    from models.tabular.ingest import READERS

    if path.suffix.lower() not in READERS:
        raise FileUnreadable(f"Unsupported file type: {path.name}; supported: {', '.join(READERS)}", filename=path.name)
    try:
        return _readable(path, file_id, twin)
    except (FileUnreadable, PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise FileUnreadable(f"{path.name}: {reason}", filename=path.name) from error


def _readable(path: Path, file_id: int, twin: Path) -> pl.LazyFrame:
    from polars import scan_parquet

    from matching.identity import RESERVED
    from models.errors import FileUnreadable
    from models.tabular import scan
    from models.tabular.delimited import regular_csv
    from models.tabular.ingest import READERS

    suffix = path.suffix.lower()
    if suffix == ".csv" and path.stat().st_size <= IN_MEMORY:
        held = regular_csv(path)
        if held is not None and not {*RESERVED} & {*held.columns}:
            return scan(held.lazy(), file_id)
    if suffix == ".parquet":
        frame = scan_parquet(path, glob=False)
        if _is_twin(frame.collect_schema()):
            return scan(frame, file_id)
    reserved = sorted({*RESERVED} & {*READERS[suffix](path, twin)})
    if reserved:
        raise FileUnreadable(f"Column name '{reserved[0]}' is reserved", column=reserved[0])
    return scan(twin, file_id)


def _is_twin(schema: pl.Schema) -> bool:
    """Whether Parquet can be read as it is: plain columns and, if it is an artifact, the identity of its records."""
    from polars import Binary, Categorical, Enum, Int64, Null

    from matching.identity import FILE_ID, RESERVED, ROW

    if any(dtype.is_nested() or isinstance(dtype, Binary | Categorical | Enum | Null) for dtype in schema.values()):
        return False
    return not {*RESERVED} & {*schema} or all(schema.get(name) == Int64 for name in (FILE_ID, ROW))


def _write_artifacts(outcome: Outcome, out: Path) -> None:
    from models.tabular import write_csv, write_parquet

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutUnusable(f"Can't write to {out}: {error.strerror}", directory=str(out)) from error
    tables = {
        "unmatched_source": outcome.unmatched_source,
        "unmatched_target": outcome.unmatched_target,
        "exceptions": outcome.breaks,
    }
    with TemporaryDirectory(prefix=".recon-match-", dir=out) as work, ThreadPoolExecutor(2) as threads:
        writing = [threads.submit(write_parquet, outcome.matches, Path(work, "matched.parquet"))]
        for name, frame in tables.items():
            writing.append(threads.submit(write_parquet, frame, Path(work, f"{name}.parquet")))
            writing.append(threads.submit(write_csv, frame, Path(work, f"{name}.csv")))
        for one in writing:
            one.result()
        for written in sorted(Path(work).iterdir()):
            written.replace(out / written.name)


def _rule_set(keys: Sequence[str], compares: Sequence[str], rules: Path | None) -> RuleSet:
    from matching import rule_set_of

    if rules is not None:
        if keys or compares:
            raise RuleInvalid("Give either --rules or --key and --compare, not both")
        return read_rule_set(rules)
    if not keys:
        raise RuleInvalid("Say which field makes two records partners: --key A=B, or a rule set with --rules FILE")
    comparisons = [parse_compare(one) for one in compares]
    return rule_set_of({"passes": [{"keys": [parse_key(one) for one in keys], "comparisons": comparisons}]})


def read_rule_set(path: Path) -> RuleSet:
    """The rule set in a JSON file. Raises RuleInvalid."""
    from matching import rule_set_of

    try:
        definition = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RuleInvalid(f"{path.name} is not JSON: {error}") from error
    if not isinstance(definition, dict):
        raise RuleInvalid(f"{path.name} has no rule set: a JSON object is expected")
    return rule_set_of(definition)


def parse_key(text: str) -> dict[str, Any]:
    """`A=B`, or `A` for both sides, as a key of a pass. Raises RuleInvalid."""
    source, equals, target = text.partition("=")
    if not source or (equals and not target):
        raise RuleInvalid(f"--key '{text}' is not understood; expected: A=B, or A for both sides")
    return {"sourceField": source, "targetField": target or source}


def parse_compare(text: str) -> dict[str, Any]:
    """One of `COMPARE_FORMS` as a comparison of a pass. Raises RuleInvalid."""
    fields, _, rule = text.rpartition(":") if ":" in text else (text, ":", "exact")
    source, equals, target = fields.partition("=")
    judged = _rule(rule)
    if not source or (equals and not target) or judged is None:
        raise RuleInvalid(f"--compare '{text}' is not understood; expected one of: {COMPARE_FORMS}")
    return {"sourceField": source, "targetField": target or source, **judged}


def _rule(text: str) -> dict[str, Any] | None:
    if text.lower() in _NAMED_RULES:
        return {"matchType": _NAMED_RULES[text.lower()]}
    if re.fullmatch(r"[0-9]{1,7}d", text):
        return {"matchType": "DATE_WINDOW", "daysTolerance": int(text[:-1])}
    if re.fullmatch(r"~([0-9]*\.?[0-9]+)?", text):
        return {"matchType": "FUZZY", **({"fuzzyThreshold": float(text[1:])} if text[1:] else {})}
    if re.fullmatch(r"[0-9]*\.?[0-9]+", text):
        return {"matchType": "RANGE", "tolerance": text}
    return None


def with_progress_bar(work: Callable[[Callable[[float], None]], Result]) -> Result:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Matching", total=1.0)
        return work(lambda part: progress.update(task, completed=part))


def _print_summary(
    console: Console, source: str, target: str, outcome: Outcome, out: Path | None, seconds: float
) -> None:
    from rich.table import Table

    totals, counted = outcome.totals, outcome.statistics
    buckets = list(dict.fromkeys((*totals.source, *totals.target)))
    sides = Table("", escape(source), escape(target), title="Records", title_justify="left")
    for column in sides.columns[1:]:
        column.justify = "right"
    for bucket in buckets:
        shown = bucket.replace("_", " ").lower()
        sides.add_row(shown, f"{totals.source.get(bucket, 0):,}", f"{totals.target.get(bucket, 0):,}")
    sides.add_section()
    sides.add_row("in all", f"{counted.total_source_records:,}", f"{counted.total_target_records:,}")
    console.print(sides)
    if not outcome.amounts.is_empty():
        console.print(_amounts_table(outcome.amounts))
    if counted.exception_count:
        table = Table("Exception", "Severity", "Field", "Count", title="Exceptions", title_justify="left")
        table.columns[3].justify = "right"
        kinds = ["type", "severity", "field"]
        for kind, severity, field, count in outcome.breaks.group_by(kinds).len().sort(kinds).iter_rows():
            table.add_row(kind, severity, escape(field or ""), f"{count:,}")
        console.print(table)
    console.print(
        f"Match rate {counted.match_rate:.2f} % of the source; {counted.exception_count:,} exceptions; {seconds:.1f} s"
    )
    if out is not None:
        console.print(f"Artifacts are in {escape(str(out))}")


def _amounts_table(amounts: pl.DataFrame) -> Table:
    from rich.table import Table

    table = Table("Side", "Records", "Currency", "Count", "Amount", "No amount", title="Amounts", title_justify="left")
    for column in table.columns[3:]:
        column.justify = "right"
    for side, bucket, currency, rows, amount, unread in amounts.iter_rows():
        shown = bucket.replace("_", " ").lower()
        table.add_row(side, shown, escape(currency or ""), f"{rows:,}", f"{Decimal(amount):,f}", f"{unread:,}")
    return table
