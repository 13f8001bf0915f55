"""Reading a twin: identity columns, single records, the first rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from matching.columns import exactly
from matching.identity import FILE_ID, ROW
from models.tabular.schema import json_value


def scan(source: Path | pl.LazyFrame, file_id: int) -> pl.LazyFrame:
    """A twin as matching reads it: its columns in their order, then `_recon_file_id` and `_recon_row` (Int64, from 1).

    A twin that has identity columns of its own (an artifact) is left as it is. Rows are in file order; the numbers stay right
    whatever is filtered or left out afterwards.
    """
    frame = pl.scan_parquet(source, glob=False) if isinstance(source, Path) else source
    names = frame.collect_schema().names()
    if FILE_ID in names:
        return frame
    numbered = frame.with_row_index(ROW, offset=1)
    return numbered.select(exactly(*names), pl.lit(file_id, pl.Int64).alias(FILE_ID), pl.col(ROW).cast(pl.Int64))


def records(frame: pl.LazyFrame, rows: Sequence[int], *, file_id: int | None = None) -> list[dict[str, Any]]:
    """The records of a `scan` whose `_recon_row` is in `rows`, as dicts of JSON scalars, identity columns included.

    In the frame's order; a number that is not there is left out. `file_id` narrows it to one file: the records of an artifact
    may come from several.
    """
    if not rows:
        return []
    wanted = pl.col(ROW).is_in(pl.Series(rows, dtype=pl.Int64).implode())
    if file_id is not None:
        wanted &= pl.col(FILE_ID) == file_id
    found = frame.filter(wanted).collect(engine="streaming")
    return [{name: json_value(value) for name, value in row.items()} for row in found.iter_rows(named=True)]


def preview(frame: pl.LazyFrame, limit: int, headers: Sequence[str] | None = None) -> list[list[Any]]:
    """The first `limit` rows as lists of JSON scalars, one per header.

    `headers` are those of the upload (`Ingested.headers`), where a name may repeat; the frame's own columns by default.
    """
    names = list(headers) if headers is not None else frame.collect_schema().names()
    first = frame.select(exactly(*dict.fromkeys(names))).head(limit).collect()
    columns = {name: [json_value(value) for value in first[name]] for name in first.columns}
    return [[columns[name][row] for name in names] for row in range(first.height)]
