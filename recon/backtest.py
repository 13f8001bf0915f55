"""`recon backtest`: what would change if one rule set took another's place, on two files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from recon.artifacts import OutUnusable
from recon.inputs import open_input
from recon.match import SOURCE_ID, TARGET_ID, with_progress_bar
from recon.rule_files import read_rule_set

if TYPE_CHECKING:
    from matching import RuleSet
    from matching.backtest import Difference

MOST_SHOWN = 200
"""Rows of the report's table of matches; all of them are in the artifacts."""


class FailOn(StrEnum):
    """What makes the command exit with 1."""

    LOST = "lost"
    RE_PAIRED = "re-paired"
    NEW_BREAKS = "new-breaks"


def backtest_command(
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, Excel, Parquet or JSON lines.")],
    target: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What SOURCE is compared with.")],
    old: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Rule set in use, as JSON.")],
    new: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Rule set to try, as JSON.")],
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Directory to write the report and the artifacts to.")
    ] = None,
    fail_on: Annotated[
        list[FailOn] | None, typer.Option(help="Exit with 1 if there are any of these. Repeatable.")
    ] = None,
) -> None:
    """Match two files by two rule sets and say which matches and breaks come and go."""
    rule_sets = read_rule_set(old), read_rule_set(new)
    found = with_progress_bar(lambda tell: backtest_files(source, target, *rule_sets, on_progress=tell))
    names = (old.name, new.name) if old.name != new.name else ("old", "new")
    _print(Console(highlight=False), found, names)
    if out is not None:
        write_artifacts(found, out, (source.name, target.name), (old.name, new.name))
        Console(highlight=False).print(f"Report and artifacts are in {escape(str(out))}")
    counted = {
        FailOn.LOST: found.changes.lost,
        FailOn.RE_PAIRED: found.changes.re_paired,
        FailOn.NEW_BREAKS: int(found.breaks["new"].sum()),
    }
    if any(counted[one] for one in fail_on or ()):
        raise typer.Exit(1)


def backtest_files(
    source: Path,
    target: Path,
    old: RuleSet,
    new: RuleSet,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Difference:
    """What changes from one rule set to another on two files. Raises FileUnreadable and what `matching.reconcile` raises."""
    with TemporaryDirectory(prefix="recon-backtest-") as work, ThreadPoolExecutor(2) as threads:
        reading = [
            threads.submit(open_input, path, file_id, Path(work, f"{file_id}.parquet"))
            for path, file_id in ((source, SOURCE_ID), (target, TARGET_ID))
        ]
        # Loaded while the files are read.
        from matching.backtest import backtest

        found_source, found_target = (one.result() for one in reading)
        return backtest(old, new, found_source, found_target, on_progress=on_progress)


def write_artifacts(found: Difference, out: Path, files: tuple[str, str], rule_sets: tuple[str, str]) -> None:
    """`report.md`, and as `.csv` and `.parquet` each `matches`, `breaks` and `totals`: the frames of `Difference`."""
    from models.tabular import write_csv, write_parquet

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutUnusable(out, error) from error
    with TemporaryDirectory(prefix=".recon-backtest-", dir=out) as work:
        for name, frame in (("matches", found.matches), ("breaks", found.breaks), ("totals", found.totals)):
            write_parquet(frame, Path(work, f"{name}.parquet"))
            write_csv(frame, Path(work, f"{name}.csv"))
        Path(work, "report.md").write_text(report(found, files, rule_sets), "utf-8")
        for written in sorted(Path(work).iterdir()):
            written.replace(out / written.name)


def report(found: Difference, files: tuple[str, str], rule_sets: tuple[str, str]) -> str:
    """The difference in Markdown: counts, totals, breaks, and the first matches that are not the same."""
    from polars import col

    changed = found.matches.filter(col("status") != "SAME")
    sections = [
        f"# {_cell(rule_sets[0])} against {_cell(rule_sets[1])}",
        f"Source: {_cell(files[0])}, {found.old.total_source_records:,} records; "
        f"target: {_cell(files[1])}, {found.old.total_target_records:,} records. Records are written as file:row; "
        f"file {SOURCE_ID} is the source, file {TARGET_ID} the target.",
        "## Matches",
        _table(("", "old", "new"), [(one, f"{before:,}", f"{after:,}") for one, before, after in _counts(found)]),
        "## Records",
        _table(("side", "bucket", "old", "new"), found.totals.rows()),
        "## Breaks",
        _table(("type", "field", "same", "gone", "new"), found.breaks.rows()),
        "## Matches that change",
    ]
    if changed.is_empty():
        sections.append("None.")
    else:
        shown = changed.head(MOST_SHOWN).drop("old_matches", "new_matches")
        sections.append(_table([name.replace("_", " ") for name in shown.columns], shown.rows()))
    if changed.height > MOST_SHOWN:
        sections.append(f"{changed.height - MOST_SHOWN:,} more are in matches.csv.")
    return "\n\n".join(sections) + "\n"


def _counts(found: Difference) -> list[tuple[str, int, int]]:
    changes = found.changes
    return [
        ("same", changes.same, changes.same),
        ("re-paired", changes.re_paired_old, changes.re_paired_new),
        ("lost", changes.lost, 0),
        ("won", 0, changes.won),
        ("in all", changes.old, changes.new),
    ]


def _table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join('' if one is None else _cell(str(one)) for one in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _print(console: Console, found: Difference, names: tuple[str, str]) -> None:
    from rich.table import Table

    tables = (
        (Table("", *(escape(one) for one in names), title="Matches"), 1, _counts(found)),
        (Table("Side", "Records", "old", "new", title="Records"), 2, found.totals.rows()),
        (Table("Exception", "Field", "same", "gone", "new", title="Exceptions"), 2, found.breaks.rows()),
    )
    for table, texts, rows in tables:
        table.title_justify = "left"
        for column in table.columns[texts:]:
            column.justify = "right"
        for line in rows:
            table.add_row(*(_shown(one) for one in line))
        if table.row_count:
            console.print(table)


def _shown(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else escape(str(value))
