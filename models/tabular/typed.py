"""Parquet: its types stay what they are."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import polars.selectors as cs

from matching.columns import exactly
from models.errors import FileUnreadable
from models.tabular.writers import write_parquet


def read_parquet(path: Path, twin: Path) -> list[str]:
    """Rewrites a Parquet file as a twin; the types stay, but for those that mean text: dictionaries, enums, and bytes.

    Bytes become String if all of a column are UTF-8, hexadecimal digits otherwise; a column without a type is String. Raises
    FileUnreadable on what is not Parquet, on nested columns, on a column without a name, and on a NUL in a text.
    """
    try:
        frame = plain_table(pl.scan_parquet(path, glob=False))
        write_parquet(frame, twin)
        refuse_nul(pl.scan_parquet(twin, glob=False))
        return frame.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FileUnreadable(f"Not a readable Parquet file: {first_line(error)}") from error


def plain_table(frame: pl.LazyFrame) -> pl.LazyFrame:
    """A typed table as matching may read it. Raises FileUnreadable on a nested column and on one without a name."""
    schema = frame.collect_schema()
    _refuse(schema)
    return frame.select(_plain(frame, name, dtype) for name, dtype in schema.items())


def refuse_nul(frame: pl.LazyFrame) -> None:
    """Raises FileUnreadable if a text holds a NUL."""
    texts = frame.select(cs.string().str.contains("\0", literal=True).any()).collect(engine="streaming")
    for name, found in next(texts.iter_rows(named=True), {}).items():
        if found:
            raise FileUnreadable(f"Column '{name}' holds a NUL character", column=name)


def _refuse(schema: pl.Schema) -> None:
    nested = [name for name, dtype in schema.items() if dtype.is_nested() or isinstance(dtype, pl.Object)]
    if nested:
        names = ", ".join(f"'{name}'" for name in nested)
        raise FileUnreadable(f"Column {names} is nested; a table of plain columns is expected", columns=nested)
    unnamed = [position for position, name in enumerate(schema, start=1) if not name.strip()]
    if unnamed:
        raise FileUnreadable(f"Column {unnamed[0]} has no name", column=unnamed[0])


def _plain(frame: pl.LazyFrame, name: str, dtype: pl.DataType) -> pl.Expr:
    column = exactly(name)
    if isinstance(dtype, (pl.Categorical, pl.Enum, pl.Null)):
        return column.cast(pl.String)
    if isinstance(dtype, pl.Binary):
        try:
            frame.select(column.cast(pl.String).str.len_bytes().max()).collect(engine="streaming")
        except pl.exceptions.ComputeError:
            return column.bin.encode("hex")
        return column.cast(pl.String)
    return column


def first_line(error: Exception) -> str:
    """What a library says, without its advice."""
    return str(error).strip().partition("\n")[0]
