"""Exact sums of amounts by group, and other values that a group of records has in common."""

from __future__ import annotations

from decimal import Context, Decimal

import polars as pl

from matching.keys import Numbers

_DIGITS = 15
"""Digits before and after the point up to which a column of exact decimals holds any sum of fewer than 10^8 amounts."""

_EXACT = Context(prec=5000)
"""Exponents have three digits: no sum of numbers needs more places."""


def sums(amounts: pl.DataFrame, texts: pl.Series, groups: Numbers, count: int) -> pl.Series:
    """String: per group, from 0 to `count`, the exact sum of its amounts (`number`, `currency`), with the currency if one is named.

    It has as many decimals as the longest of its amounts. Null where no amount is given. Where one of the `texts` is no number, or
    two currencies are named, there is no sum: the different texts are given, in order, so that they can be seen.
    """
    frame = pl.DataFrame({"group": groups, "text": texts}).with_columns(amounts["number"], amounts["currency"])
    frame = frame.with_columns(pl.col("number").cast(pl.Decimal(38, _DIGITS), strict=False).alias("amount"))
    digits = pl.col("number").str.strip_chars_start("-").str.split_exact(".", 1).struct
    fits = (
        ~pl.col("number").str.contains("[eE]")
        & (digits.field("field_0").str.len_bytes() <= _DIGITS)
        & (digits.field("field_1").str.len_bytes().fill_null(0) <= _DIGITS)
    )
    frame = frame.with_columns(fits.alias("fits"))
    summed = frame.group_by("group").agg(
        pl.col("amount").sum().alias("amount"),
        pl.col("currency").drop_nulls().unique().sort().alias("currencies"),
        (pl.col("text").is_not_null() & pl.col("number").is_null()).any().alias("unreadable"),
        pl.col("number").is_not_null().any().alias("some"),
        (~pl.col("fits")).fill_null(value=False).any().alias("wide"),
        digits.field("field_1").str.len_bytes().fill_null(0).max().alias("decimals"),
    )
    wide = summed.filter("wide")["group"]
    text = _with_decimals(pl.col("amount").cast(pl.String), pl.col("decimals"))
    one_currency = pl.when(pl.col("currencies").list.len() == 1).then(pl.col("currencies").list.first())
    summed = summed.select(
        "group",
        (pl.col("unreadable") | (pl.col("currencies").list.len() > 1)).alias("none"),
        pl.when("some").then(text).alias("sum"),
        one_currency.alias("currency"),
    )
    if len(wide):
        summed = summed.join(_wide_sums(frame, wide), on="group", how="left").with_columns(
            pl.coalesce("wide_sum", "sum").alias("sum")
        )
    shown = _different(frame.select("group", pl.col("text").alias("value")))
    with_currency = pl.concat_str("sum", "currency", separator=" ", ignore_nulls=True)
    total = pl.when("none").then("value").when(pl.col("sum").is_not_null()).then(with_currency)
    return _spread(summed.join(shown, on="group", how="left").select("group", total.alias("value")), count)


def common(texts: pl.Series, groups: Numbers, count: int) -> pl.Series:
    """String: per group the value that all its texts have, or the different ones in order; null where all are null."""
    return _spread(_different(pl.DataFrame({"group": groups, "value": texts})), count)


def extremes(texts: pl.Series, days: pl.Series, groups: Numbers, count: int) -> tuple[pl.Series, pl.Series]:
    """String: per group the texts of the earliest and of the latest day; texts that say no day count where no other does."""
    frame = pl.DataFrame({"group": groups, "value": texts, "day": days})
    ordered = frame.filter(pl.col("value").is_not_null()).sort("group", "day", "value", nulls_last=True)
    first = ordered.group_by("group", maintain_order=True).first().select("group", "value")
    dated = ordered.with_columns(pl.col("day").is_not_null().alias("dated")).sort(
        "group", "dated", "day", "value", nulls_last=True
    )
    last = dated.group_by("group", maintain_order=True).last().select("group", "value")
    return _spread(first, count), _spread(last, count)


def _different(frame: pl.DataFrame) -> pl.DataFrame:
    return (
        frame.filter(pl.col("value").is_not_null())
        .unique()
        .sort("group", "value")
        .group_by("group", maintain_order=True)
        .agg(pl.col("value").str.join(", "))
    )


def _spread(frame: pl.DataFrame, count: int) -> pl.Series:
    every = pl.DataFrame({"group": pl.int_range(count, dtype=pl.Int64, eager=True)})
    return every.join(frame, on="group", how="left", maintain_order="left").get_column("value")


def _with_decimals(number: pl.Expr, decimals: pl.Expr) -> pl.Expr:
    """A decimal text with `_DIGITS` decimals, cut to fewer; the rest are zeros."""
    point = pl.when(decimals > 0).then(decimals + 1).otherwise(0)
    return number.str.head(number.str.len_bytes() - (_DIGITS + 1) + point)


def _wide_sums(frame: pl.DataFrame, groups: pl.Series) -> pl.DataFrame:
    """The sums of groups with numbers that no column type holds: few, so each is added up by itself."""
    totals: dict[int, Decimal] = {}
    wanted = frame.filter(pl.col("group").is_in(groups.implode()) & pl.col("number").is_not_null())
    for group, number in wanted.select("group", "number").iter_rows():
        totals[group] = _EXACT.add(totals.get(group, Decimal(0)), Decimal(number))
    texts = {group: f"{total:f}" for group, total in totals.items()}
    plain = [text.rstrip("0").rstrip(".") if "." in text else text for text in texts.values()]
    return pl.DataFrame({"group": list(texts), "wide_sum": plain}, schema={"group": pl.Int64, "wide_sum": pl.String})
