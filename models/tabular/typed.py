"""Parquet: its types stay what they are."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import polars.selectors as cs

from matching.columns import exactly
from models.errors import FileUnreadable
from models.tabular.writers import write_parquet

FIRST_DAY, END_DAY = -719_162, 2_932_897
"""From 1970-01-01: 0001-01-01, and the day after 9999-12-31."""

LONGEST = 1_000_000_000
"""Days that no span reaches."""

PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000}
"""Nanoseconds don't reach as far in 64 bits."""


def read_parquet(path: Path, twin: Path) -> list[str]:
    """Rewrites a Parquet file as a twin; the types stay, but for those that mean text: dictionaries, enums, and bytes.

    Bytes become String if all of a column are UTF-8, hexadecimal digits otherwise; a column without a type is String, and so
    are integers of 128 bits, which other formats don't have. Extension types become what they are stored as. Raises
    FileUnreadable on what is not Parquet, on nested columns, on a column without a name, on a NUL in a text, and on dates and
    times outside the years 1 to 9999.
    """
    try:
        frame = plain_table(pl.scan_parquet(path, glob=False))
        write_parquet(frame, twin)
        written = pl.scan_parquet(twin, glob=False)
        refuse_nul(written)
        refuse_times(written)
        return frame.collect_schema().names()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise FileUnreadable(f"Not a readable Parquet file: {first_line(error)}") from error


def plain_table(frame: pl.LazyFrame) -> pl.LazyFrame:
    """A typed table as matching may read it. Raises FileUnreadable on a nested column and on one without a fit name."""
    frame = frame.select(_stored(name, dtype) for name, dtype in frame.collect_schema().items())
    schema = frame.collect_schema()
    _refuse(schema)
    return frame.select(_plain(frame, name, dtype) for name, dtype in schema.items())


def refuse_nul(frame: pl.LazyFrame) -> None:
    """Raises FileUnreadable if a text holds a NUL."""
    texts = frame.select(cs.string().str.contains("\0", literal=True).any()).collect(engine="streaming")
    for name, found in next(texts.iter_rows(named=True), {}).items():
        if found:
            raise FileUnreadable(f"Column '{name}' holds a NUL character", column=name)


def refuse_times(frame: pl.LazyFrame) -> None:
    """Raises FileUnreadable if a date or time is outside the years 1 to 9999, or a span has 1,000,000,000 days or more."""
    checked = {name: limits for name, dtype in frame.collect_schema().items() if (limits := _limits(dtype)) is not None}
    outside = frame.select(
        (~exactly(name).to_physical().is_between(first, end, closed="left")).any()
        for name, (first, end) in checked.items()
    ).collect(engine="streaming")
    for name, found in next(outside.iter_rows(named=True), {}).items():
        if found:
            raise FileUnreadable(f"Column '{name}' holds a time that is out of range", column=name)


def _limits(dtype: pl.DataType) -> tuple[int, int] | None:
    """The least value that a date, time or span may have, and the first one that it may not."""
    if isinstance(dtype, pl.Date):
        return FIRST_DAY, END_DAY
    if isinstance(dtype, pl.Datetime) and (ticks := PER_DAY.get(dtype.time_unit)):
        return FIRST_DAY * ticks, END_DAY * ticks
    if isinstance(dtype, pl.Duration) and (ticks := PER_DAY.get(dtype.time_unit)):
        return 1 - LONGEST * ticks, LONGEST * ticks
    return None


def _stored(name: str, dtype: pl.DataType) -> pl.Expr:
    column = exactly(name)
    return column.ext.storage() if isinstance(dtype, pl.BaseExtension) else column


def _refuse(schema: pl.Schema) -> None:
    nested = [name for name, dtype in schema.items() if dtype.is_nested() or isinstance(dtype, pl.Object)]
    if nested:
        names = ", ".join(f"'{name}'" for name in nested)
        raise FileUnreadable(f"Column {names} is nested; a table of plain columns is expected", columns=nested)
    unnamed = [position for position, name in enumerate(schema, start=1) if not name.strip()]
    if unnamed:
        raise FileUnreadable(f"Column {unnamed[0]} has no name", column=unnamed[0])
    nul = [position for position, name in enumerate(schema, start=1) if "\0" in name]
    if nul:
        raise FileUnreadable(f"The name of column {nul[0]} holds a NUL character", column=nul[0])


def _plain(frame: pl.LazyFrame, name: str, dtype: pl.DataType) -> pl.Expr:
    column = exactly(name)
    if isinstance(dtype, (pl.Categorical, pl.Enum, pl.Null, pl.Int128, pl.UInt128)):
        return column.cast(pl.String)
    if isinstance(dtype, pl.Binary):
        try:
            frame.select(column.cast(pl.String).str.len_bytes().max()).collect(engine="streaming")
        except pl.exceptions.ComputeError:
            return column.bin.encode("hex")
        return column.cast(pl.String)
    return column


def first_line(error: BaseException) -> str:
    """What a library says, without its advice."""
    return str(error).strip().partition("\n")[0]
