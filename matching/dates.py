"""Dates in texts, as days."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from matching.notation import ZONES, directives

_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_BASIC = r"^([0-9]{4})([0-9]{2})([0-9]{2})$"
_DATE_TIME = (
    r"^(?<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?<hour>[01][0-9]|2[0-3]):(?<minute>[0-5][0-9])"
    r"(?::(?:[0-5][0-9]|60)(?:[.,][0-9]{1,9})?)?"
    r"(?: ?(?:[Zz]|(?<sign>[+-])(?<hours>[01][0-9]|2[0-3])(?::?(?<minutes>[0-5][0-9]))?))?$"
)
_MINUTES_A_DAY = 24 * 60


def read_days(texts: pl.Series, formats: Sequence[str] = ()) -> pl.Series:
    """Days since 1970-01-01 (Int32) of the dates that the texts say; null where a text is not a date.

    A text is read by the first of `formats` (strptime's) that fits, else as ISO: `2026-01-31`, `20260131`, and date-times such as
    `2026-01-31T23:59:59.9+02:00`, whose day is that in UTC where an offset is given and the one written otherwise. Years from 0001
    in ISO texts, from 1000 to 9999 by formats.
    """
    if not formats:
        return _iso_days(texts)
    frame = pl.DataFrame({"text": texts})
    found = frame.select(pl.coalesce(_formatted(one) for one in formats)).to_series()
    rest = found.is_null()
    return found.zip_with(~rest, _iso_days(texts.set(~rest, None))) if rest.any() else found


def _formatted(date_format: str) -> pl.Expr:
    text = pl.col("text").str
    if directives(date_format) & ZONES:
        day = text.to_datetime(date_format, time_unit="us", strict=False).dt.date()
    else:
        day = text.to_date(date_format, strict=False)
    # Two digits where four are meant would be a year of the first century.
    return pl.when(day.dt.year().is_between(1000, 9999)).then(day).cast(pl.Int32)


def iso_dates(days: pl.Series) -> pl.Series:
    """ISO dates (String) of days since 1970-01-01."""
    return days.cast(pl.Date).dt.to_string("%Y-%m-%d")


def _iso_days(texts: pl.Series) -> pl.Series:
    plain = texts.str.contains(_DATE)
    if plain.all():
        return _days_of(texts)
    other = texts.filter(~plain).unique()
    frame = pl.DataFrame({"text": texts})
    frame = frame.join(_less_plain(other), on="text", how="left", maintain_order="left")
    return frame.select(pl.coalesce(_days_of(texts.set(~plain, None)), "day")).to_series()


def _days_of(texts: pl.Series) -> pl.Series:
    days = texts.str.to_date("%Y-%m-%d", strict=False)
    return days.set(days.dt.year() < 1, None).cast(pl.Int32)


def _less_plain(texts: pl.Series) -> pl.DataFrame:
    """`text` and `day` of basic dates and of date-times."""
    parts = (
        pl.DataFrame({"text": texts})
        .with_columns(
            pl.col("text").str.extract_groups(_DATE_TIME).alias("parts"),
            pl.when(pl.col("text").str.contains(_BASIC))
            .then(pl.col("text").str.replace(_BASIC, "$1-$2-$3"))
            .alias("basic"),
        )
        .unnest("parts")
    )
    offset = (pl.col("hours").cast(pl.Int32) * 60 + pl.col("minutes").cast(pl.Int32).fill_null(0)) * pl.when(
        pl.col("sign") == "-"
    ).then(-1).otherwise(1)
    minute = pl.col("hour").cast(pl.Int32) * 60 + pl.col("minute").cast(pl.Int32) - offset.fill_null(0)
    parts = parts.with_columns(_days_of(parts["date"]).alias("day"), _days_of(parts["basic"]).alias("basic"))
    return parts.select("text", pl.coalesce(pl.col("day") + minute.floordiv(_MINUTES_A_DAY), "basic").alias("day"))
