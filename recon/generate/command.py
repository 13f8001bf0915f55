"""`recon generate`: a case for reconciliation on disk, and what is true of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recon.artifacts import OutUnusable

if TYPE_CHECKING:
    from recon.generate.records import Generated

_SHARE = "Share from 0 to 1: "


def generate_command(
    out: Annotated[Path, typer.Option(file_okay=False, help="Directory to write the files to.")],
    scenario: Annotated[
        str, typer.Option(help="payments, payouts, invoices, ledger, fx or people; see docs/generate.md.")
    ] = "payments",
    rows: Annotated[int, typer.Option(help="How many orders, transactions, entries or persons.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 7,
    difficulty: Annotated[int, typer.Option(help="0: clean, one-to-one; to 5: everything at once.")] = 2,
    file_format: Annotated[str, typer.Option("--format", help="Of source and target: csv or parquet.")] = "csv",
    typos: Annotated[float | None, typer.Option(help=f"{_SHARE}misspelt texts.")] = None,
    blanks: Annotated[float | None, typer.Option(help=f"{_SHARE}persons with empty fields.")] = None,
    noise: Annotated[float | None, typer.Option(help=f"{_SHARE}stray case and white space.")] = None,
    truncated: Annotated[float | None, typer.Option(help=f"{_SHARE}references without their prefix.")] = None,
    formats: Annotated[float | None, typer.Option(help=f"{_SHARE}dates as 31.01.2026.")] = None,
    lag: Annotated[float | None, typer.Option(help=f"{_SHARE}dates up to three days later.")] = None,
    late: Annotated[float | None, typer.Option(help=f"{_SHARE}late postings.")] = None,
    missing: Annotated[float | None, typer.Option(help=f"{_SHARE}records that one side only has.")] = None,
    duplicates: Annotated[float | None, typer.Option(help=f"{_SHARE}records that one side has twice.")] = None,
    rounding: Annotated[float | None, typer.Option(help=f"{_SHARE}amounts off by a cent.")] = None,
    mismatch: Annotated[float | None, typer.Option(help=f"{_SHARE}amounts off by 1 to 20 %.")] = None,
    refunds: Annotated[float | None, typer.Option(help=f"{_SHARE}refunds.")] = None,
    chargebacks: Annotated[float | None, typer.Option(help=f"{_SHARE}chargebacks.")] = None,
    fees: Annotated[float | None, typer.Option(help=f"{_SHARE}payments less a bank's fee.")] = None,
    held: Annotated[float | None, typer.Option(help=f"{_SHARE}payouts that hold a sale back.")] = None,
    splits: Annotated[float | None, typer.Option(help=f"{_SHARE}orders paid in instalments.")] = None,
    batches: Annotated[float | None, typer.Option(help=f"{_SHARE}orders invoiced in parts.")] = None,
    currencies: Annotated[int | None, typer.Option(help="How many currencies, 1 to 8.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="The most transactions of a payout, 1 to 40.")] = None,
) -> None:
    """Make two files that should agree, and the truth about each of their rows."""
    from recon.generate.knobs import GeneratorInvalid
    from recon.generate.scenario import generate
    from recon.generate.writer import FORMATS

    if file_format not in FORMATS:
        available = ", ".join(FORMATS)
        raise GeneratorInvalid(f"Unknown format '{file_format}'; available: {available}", fields={"format": available})
    generated = generate(
        scenario,
        rows=rows,
        seed=seed,
        difficulty=difficulty,
        typos=typos,
        blanks=blanks,
        noise=noise,
        truncated=truncated,
        formats=formats,
        lag=lag,
        late=late,
        missing=missing,
        duplicates=duplicates,
        rounding=rounding,
        mismatch=mismatch,
        refunds=refunds,
        chargebacks=chargebacks,
        fees=fees,
        held=held,
        splits=splits,
        batches=batches,
        currencies=currencies,
        batch_size=batch_size,
    )
    try:
        paths = generated.write(out, file_format)
    except OSError as error:
        raise OutUnusable(out, error) from error
    _print_summary(generated, paths)


def _print_summary(generated: Generated, paths: list[Path]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("Kind", "Rows of the truth", title="What is true", title_justify="left")
    table.columns[1].justify = "right"
    for kind, count in generated.summary()["kinds"].items():
        table.add_row(kind, f"{count:,}")
    console.print(table)
    console.print(f"{generated.source.height:,} source rows, {generated.target.height:,} target rows")
    console.print(f"In {escape(str(paths[0].parent))}: {', '.join(path.name for path in paths)}")
