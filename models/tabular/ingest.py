"""An uploaded file becomes a Parquet twin, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import polars as pl

from matching.identity import RESERVED
from models.errors import FileUnreadable
from models.tabular.delimited import read_csv
from models.tabular.jsonl import read_json
from models.tabular.schema import profile
from models.tabular.typed import read_parquet


def read_excel(path: Path, twin: Path) -> list[str]:
    """As `excel.read_excel`, which is loaded when there is an Excel file."""
    from models.tabular import excel

    return excel.read_excel(path, twin)


READERS: dict[str, Callable[[Path, Path], list[str]]] = {
    ".csv": read_csv,
    ".xlsx": read_excel,
    ".xls": read_excel,
    ".parquet": read_parquet,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
}
"""By extension: reads the first path, writes the twin to the second, and gives the header as the file shows it."""


@dataclass(frozen=True)
class Ingested:
    """What an upload turned out to be.

    `headers` are as the file shows them, duplicates too; `column_count` counts them. `schema` has one entry per header, as
    `schema.profile` describes it; of duplicates each has that of the last one, which is the one that is kept.
    """

    row_count: int
    column_count: int
    headers: list[str]
    schema: list[dict[str, Any]]


def ingest(path: Path, filename: str, twin: Path) -> Ingested:
    """Reads the file at `path`, in the format that `filename` ends in, and writes its Parquet twin to `twin`.

    The twin has one column per name, in order of first appearance, and one row per record, in order: String for whatever was
    text (CSV, Excel, JSON), the file's own types for Parquet. Work files go beside the twin and are removed. Raises
    FileUnreadable, naming line and reason; then there is no twin.
    """
    reader = READERS.get(PurePath(filename).suffix.lower())
    if reader is None:
        raise FileUnreadable(
            f"Unsupported file type: {filename}; supported: {', '.join(READERS)}",
            filename=filename,
            supported=list(READERS),
        )
    try:
        headers = reader(path, twin)
        reserved = [name for name in RESERVED if name in headers]
        if reserved:
            raise FileUnreadable(
                f"Column name '{reserved[0]}' is reserved", column=reserved[0], reserved=list(RESERVED)
            )
    except BaseException:
        twin.unlink(missing_ok=True)
        raise
    frame = pl.scan_parquet(twin, glob=False)
    height = int(frame.select(pl.len()).collect().item())
    described = {column["name"]: column for column in profile(frame, height, trimmed=reader is read_csv)}
    return Ingested(height, len(headers), headers, [described[name] for name in headers])
