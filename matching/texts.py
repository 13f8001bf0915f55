"""Values as the texts that they are compared by, and what a chain of transforms makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from matching.pairs import FieldPair, SideName
from matching.rendering import Reader, rendered
from matching.transforming import changed
from matching.transforms import Transform


def transformed(read: Reader, field: str, chain: Sequence[Transform]) -> pl.Series:
    """The texts of a field after a chain of transforms."""
    return changed(rendered(read(field)), chain, read)


def key_values(key: FieldPair, side: SideName, read: Reader) -> pl.Series:
    """String: what one side's records have in a key, after its transforms. `read` is that side's."""
    return transformed(read, key.field_of(side), key.chain_of(side))


def comparable(pair: FieldPair, source: Reader, target: Reader) -> tuple[pl.Series, pl.Series]:
    """Both sides in one type in which values are equal exactly where their texts, after the transforms, are.

    The sides need not be of one length. Columns of one type stay what they are where nothing transforms them, if it is one
    whose values are equal exactly where their texts are: floats too (-0.0 is `0`, and nothing else shares a text).
    """
    if not pair.chain_of("source") and not pair.chain_of("target"):
        one, other = source(pair.source_field), target(pair.target_field)
        dtype = one.dtype
        plain = dtype.is_numeric() or isinstance(dtype, (pl.String, pl.Boolean, pl.Date, pl.Datetime, pl.Time))
        return (one, other) if plain and dtype == other.dtype else (rendered(one), rendered(other))
    return key_values(pair, "source", source), key_values(pair, "target", target)
