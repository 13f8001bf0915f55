"""Keys of records: who has them, and who has the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def key_hash(columns: Sequence[pl.Series], bits: int = 64) -> pl.Series:
    """One UInt64 per row; equal keys have equal hashes. Fewer `bits` are for tests."""
    names = [f"key{number}" for number in range(len(columns))]
    combined = pl.lit(0, pl.UInt64)
    for number, name in enumerate(names):
        combined = combined * pl.lit(0x9E3779B97F4A7C15, pl.UInt64) + pl.col(name).hash(number)
    if bits < 64:
        combined //= pl.lit(2 ** (64 - bits), pl.UInt64)
    frame = pl.DataFrame([one.alias(name) for one, name in zip(columns, names, strict=True)])
    return frame.select(combined.alias("hash")).to_series()


def blank(columns: Sequence[pl.Series]) -> pl.Series:
    """Boolean: whether one of a row's keys is null or a text of white space."""
    found = pl.repeat(value=False, n=len(columns[0]), dtype=pl.Boolean, eager=True)
    for column in columns:
        found |= column.is_null()
        if column.dtype == pl.String:
            # White space of any kind is before or after all that most texts begin with.
            suspects = ((column < "!") | (column >= "\x80")).arg_true()
            if len(suspects):
                bare = column.gather(suspects).str.strip_chars() == ""
                found[suspects.filter(bare)] = True
    return found


def key_ids(columns: Sequence[pl.Series], hashes: pl.Series) -> pl.Series:
    """UInt64, one number per key: its hash, unless two different keys share one. Null keys equal each other."""
    order = hashes.arg_sort()
    ordered = hashes.gather(order)
    same_hash = ordered == ordered.shift()
    same_key = pl.repeat(value=True, n=len(hashes), dtype=pl.Boolean, eager=True)
    for column in columns:
        value = column.gather(order)
        same_key &= value.eq_missing(value.shift())
    # The first row has no row before it, and null is not true.
    if not (same_hash & ~same_key).any():
        return hashes
    names = [f"key{number}" for number in range(len(columns))]
    keys = pl.DataFrame([one.alias(name) for one, name in zip(columns, names, strict=True)])
    numbers = keys.unique().with_row_index("id")
    found = keys.with_row_index("row").join(numbers, on=names, nulls_equal=True)
    return found.sort("row").get_column("id").cast(pl.UInt64)


def stacked(source: pl.Series, target: pl.Series) -> pl.Series:
    """Both columns in one, the source's first."""
    return pl.concat([source.alias("stacked"), target.alias("stacked")])


def group_numbers(source: Sequence[pl.Series], target: Sequence[pl.Series], height: int) -> tuple[Numbers, Numbers]:
    """Numbers from 0, equal exactly where all columns are (null equals null); `height` is the source's.

    The columns go together one by one, in equal types. Which number a key has says nothing.
    """
    if not source:
        raise ValueError("no columns")
    columns = [stacked(one, other) for one, other in zip(source, target, strict=True)]
    ids = key_ids(columns, key_hash(columns))
    numbers = np.unique(ids.to_numpy(), return_inverse=True)[1].astype(np.int64)
    return numbers[:height], numbers[height:]
