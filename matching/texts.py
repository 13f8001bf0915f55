"""Values as the texts that they are compared by, and what a chain of transforms makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from matching.fields import FieldPair, SideName
from matching.transforms import Transform

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


def transformed(read: Reader, field: str, chain: Sequence[Transform]) -> pl.Series:
    """The texts of a field after a chain of transforms."""
    value = pl.col(_VALUE)
    for transform in chain:
        value = _TRANSFORMS[transform](value)
    return rendered(read(field)).alias(_VALUE).to_frame().select(value).to_series()


def _trim(text: pl.Expr) -> pl.Expr:
    return text.str.strip_chars()


def _upper(text: pl.Expr) -> pl.Expr:
    return text.str.to_uppercase()


_TRANSFORMS: dict[Transform, Callable[[pl.Expr], pl.Expr]] = {Transform.TRIM: _trim, Transform.UPPER: _upper}


def key_values(key: FieldPair, side: SideName, read: Reader) -> pl.Series:
    """String: what one side's records have in a key, after its transforms. `read` is that side's."""
    return transformed(read, key.field_of(side), key.chain_of(side))


def comparable(pair: FieldPair, source: Reader, target: Reader) -> tuple[pl.Series, pl.Series]:
    """Both sides in one type in which values are equal exactly where their texts, after the transforms, are.

    The sides need not be of one length. Columns of one plain type stay what they are where nothing transforms them.
    """
    if not pair.chain_of("source") and not pair.chain_of("target"):
        one, other = source(pair.source_field), target(pair.target_field)
        dtype = one.dtype
        plain = dtype.is_integer() or isinstance(dtype, (pl.String, pl.Boolean, pl.Date))
        return (one, other) if plain and dtype == other.dtype else (rendered(one), rendered(other))
    return key_values(pair, "source", source), key_values(pair, "target", target)
