"""Deterministic files: one frame, one sequence of bytes, whatever the threads and however the frame is cut in memory."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from matching.columns import exactly

ROW_GROUP = 131_072
"""Rows of a Parquet row group. Fixed: left to itself, the writer cuts where its threads happen to."""


def write_parquet(frame: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    """Writes a frame, in its order, streaming where it is lazy. The file holds neither time nor machine."""
    lazy = frame.lazy()
    # The least and greatest texts of a row group help nobody to skip it, and take a tenth of the time.
    statistics = any(not isinstance(dtype, pl.String) for dtype in lazy.collect_schema().dtypes())
    lazy.sink_parquet(path, compression="lz4", row_group_size=ROW_GROUP, statistics=statistics, engine="streaming")


def write_csv(frame: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    """Writes a frame, in its order, as UTF-8 CSV: commas, LF, a header, quotes only where they are needed.

    A null is an empty cell, an empty text is `""`: they stay apart. (A null in a frame of one column is an empty line.)
    Other values as `text_columns` says.
    """
    text_columns(frame.lazy()).sink_csv(path, engine="streaming")


def text_columns(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The frame with every column as a String.

    Texts and numbers as they are (a Decimal with its scale, a Float64 with the fewest digits that give it back), `true` or
    `false`, ISO dates and times (`2024-01-15`, `2024-01-15T10:30:05`, a fraction only where there is one), times with a zone in
    UTC with `Z`, nested values as JSON, bytes as hexadecimal digits.
    """
    schema = frame.collect_schema()
    return frame.select(_text(name, dtype) for name, dtype in schema.items())


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = exactly(name)
    if isinstance(dtype, pl.String):
        return column
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is not None:
            return column.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.f")
    if isinstance(dtype, pl.Time):
        return column.dt.strftime("%H:%M:%S%.f")
    if isinstance(dtype, pl.Duration):
        return column.dt.to_string("iso")
    if isinstance(dtype, pl.Binary):
        return column.bin.encode("hex")
    if isinstance(dtype, pl.Struct):
        return pl.when(column.is_not_null()).then(column.struct.json_encode())
    if isinstance(dtype, (pl.List, pl.Array)):
        # Polars encodes structs: {"v":[…]}.
        wrapped = pl.struct(column.alias("v")).struct.json_encode()
        return pl.when(column.is_not_null()).then(wrapped.str.strip_prefix('{"v":').str.head(-1)).alias(name)
    return column.cast(pl.String)
