"""Values as the texts that they are compared by."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

Reader = Callable[[str], pl.Series]
"""Gives one side's values by field name; all that it gives are of one length and in one order of rows."""

_VALUE = "value"
"""A name to work under: a column's own may look like a pattern to Polars (`*`, `^x$`)."""


def rendered(column: pl.Series) -> pl.Series:
    """The values as texts, which is what they are compared by; null stays null.

    Whole floats without a point (`1001`), others with the fewest digits that give them back; Decimals with their scale
    (`40.00`); `true` and `false`; ISO dates and date-times (`2024-01-15T10:30:00`, a fraction only where there is one), those
    with a zone in UTC with `Z`.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.String):
        return column
    value = pl.col(_VALUE)
    if dtype.is_float():
        whole = (value == value.floor()) & (value.abs() < 2**63)
        text = pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
    elif isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            text = value.dt.strftime("%Y-%m-%dT%H:%M:%S%.f")
        else:
            text = value.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    elif isinstance(dtype, pl.Time):
        text = value.dt.strftime("%H:%M:%S%.f")
    elif isinstance(dtype, pl.Duration):
        text = value.dt.to_string("iso")
    else:
        text = value.cast(pl.String)
    return column.alias(_VALUE).to_frame().select(text).to_series()
