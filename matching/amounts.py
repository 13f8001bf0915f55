"""Totals of an amount by side, bucket and currency, exact, and the proof that they add up to the inputs'."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal

import polars as pl

from matching.decimals import canonical, plain_text
from matching.errors import ConservationBroken
from matching.frames import Side
from matching.links import Codes
from matching.numbers import read_numbers
from matching.rendering import rendered
from matching.spec import Amount
from matching.transforming import read_currencies

SCHEMA: dict[str, type[pl.DataType]] = {
    "side": pl.String,
    "bucket": pl.String,
    "currency": pl.String,
    "rows": pl.Int64,
    "amount": pl.String,
    "unread": pl.Int64,
}

_DIGITS = 15
"""Before and after the point: so a column of exact decimals holds the sum of any input."""

_EXACT = Context(prec=5000)
"""Exponents have three digits: no sum of numbers needs more places."""


def no_amounts() -> pl.DataFrame:
    return pl.DataFrame(schema=SCHEMA)


def amounts_by_bucket(
    amount: Amount | None, source: Side, target: Side, codes: tuple[Codes, Codes], buckets: Sequence[str]
) -> pl.DataFrame:
    """The frame `outcome.Outcome.amounts`; empty where no amount is asked for. `buckets` are named by code.

    Raises ConservationBroken unless the buckets' sums and rows are the inputs'.
    """
    if amount is None:
        return no_amounts()
    pieces: list[pl.DataFrame] = []
    for side, code, field, currency_field in (
        (source, codes[0], amount.source_field, amount.source_currency_field),
        (target, codes[1], amount.target_field, amount.target_currency_field),
    ):
        read = _read(side, field, currency_field)
        by_code = _totals(read.with_columns(pl.Series("code", code)), ["code", "currency"])
        check_sums(side.name, by_code, _totals(read, ["currency"]))
        by_code = by_code.sort("code", "currency", nulls_last=True)
        names = by_code["code"].replace_strict(dict(enumerate(buckets)), return_dtype=pl.String)
        pieces.append(by_code.with_columns(pl.lit(side.name).alias("side"), names.alias("bucket")).select(*SCHEMA))
    return pl.concat(pieces).cast({"rows": pl.Int64, "unread": pl.Int64})


def added_up(pieces: Sequence[pl.DataFrame], buckets: Sequence[str]) -> pl.DataFrame:
    """What `amounts_by_bucket` gives for all records, from what it gives for parts of them."""
    place = pl.col("bucket").replace_strict({name: at for at, name in enumerate(buckets)}, return_dtype=pl.Int64)
    numbers = (
        pl.concat([no_amounts(), *pieces])
        .group_by("side", "bucket", "currency")
        .agg(pl.col("rows").sum(), pl.col("amount"), pl.col("unread").sum())
        .sort("side", place, "currency", nulls_last=True)
    )
    sums: list[str] = []
    for texts in numbers["amount"]:
        total = Decimal(0)
        for one in texts:
            total = _EXACT.add(total, Decimal(one))
        sums.append(plain_text(total))
    return numbers.with_columns(pl.Series("amount", sums, dtype=pl.String)).select(*SCHEMA)


def check_sums(side: str, parts: pl.DataFrame, whole: pl.DataFrame) -> None:
    """Raises ConservationBroken unless `parts` (by bucket and currency) add up to `whole` (by currency).

    Both have `currency`, `rows`, `amount` (an exact decimal text) and `unread`.
    """
    added = (
        parts.with_columns(pl.col("amount").alias("number"))
        .group_by("currency")
        .agg(pl.col("rows").sum(), pl.col("unread").sum(), pl.col("number"))
    )
    given = whole.rename({"amount": "expected", "rows": "all_rows", "unread": "all_unread"})
    compared = added.join(given, on="currency", how="full", nulls_equal=True, coalesce=True)
    for currency, rows, unread, numbers, all_rows, expected, all_unread in compared.iter_rows():
        total = Decimal(0)
        for one in numbers or ():
            total = _EXACT.add(total, Decimal(one))
        if (rows, unread) != (all_rows, all_unread) or total != Decimal(expected or 0):
            raise ConservationBroken(
                f"The {side}'s amounts{f' in {currency}' if currency else ''} are {expected} in {all_rows} records; "
                f"its buckets add up to {plain_text(total)} in {rows}",
                side=side,
                currency=currency,
                expected=expected,
                found=plain_text(total),
            )


def _read(side: Side, field: str, currency_field: str | None) -> pl.DataFrame:
    found = read_numbers(rendered(side.values(field)))
    if currency_field is None:
        return found
    said = read_currencies(side.values(currency_field))
    return found.with_columns(said.zip_with(said.is_not_null(), found["currency"]).alias("currency"))


def _totals(read: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    number = pl.col("number")
    digits = number.str.strip_chars_start("-").str.split_exact(".", 1).struct
    narrow = (
        ~number.str.contains("[eE]")
        & (digits.field("field_0").str.len_bytes() <= _DIGITS)
        & (digits.field("field_1").str.len_bytes().fill_null(0) <= _DIGITS)
    )
    frame = read.with_columns(narrow.fill_null(value=False).alias("narrow"))
    exact = pl.when("narrow").then("number").cast(pl.Decimal(38, _DIGITS))
    totals = (
        frame.group_by(by)
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            exact.sum().alias("amount"),
            number.is_null().sum().cast(pl.Int64).alias("unread"),
        )
        .sort(by)
    )
    totals = totals.with_columns(canonical(totals["amount"].cast(pl.String)).alias("amount"))
    wide = frame.filter(pl.col("number").is_not_null() & ~pl.col("narrow"))
    return totals if wide.is_empty() else _with_wide(totals, wide, by)


def _with_wide(totals: pl.DataFrame, wide: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Adds numbers that no column type holds: few, so each different one is added by itself."""
    sums: dict[tuple[object, ...], Decimal] = {}
    for *group, number, count in wide.group_by(*by, "number").len().sort(pl.all()).iter_rows():
        place = tuple(group)
        sums[place] = _EXACT.add(sums.get(place, Decimal(0)), _EXACT.multiply(Decimal(number), count))
    places = totals.select(by).rows()
    amounts = [
        plain_text(_EXACT.add(sums[place], Decimal(amount))) if place in sums else amount
        for place, amount in zip(places, totals["amount"], strict=True)
    ]
    return totals.with_columns(pl.Series("amount", amounts, dtype=pl.String))
