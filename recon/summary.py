"""What `recon match` prints when it is done."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl
    from rich.console import Console
    from rich.table import Table

    from matching import Outcome
    from matching.outcome import LargeOutcome


def print_summary(
    console: Console, source: str, target: str, outcome: Outcome | LargeOutcome, out: Path | None, seconds: float
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
        counts = outcome.breaks.lazy().group_by(kinds).len().sort(kinds)
        for kind, severity, field, count in counts.collect().iter_rows():
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
