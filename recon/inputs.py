"""Files on disk as matching reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

IN_MEMORY = 1 << 30
"""Bytes of a CSV file that is read once and held, without a twin on disk."""


def open_input(path: Path, file_id: int, twin: Path, held_csv: int = IN_MEMORY) -> pl.LazyFrame:
    """A file as matching reads it, by way of the Parquet `twin` where it needs one. Raises FileUnreadable, naming the file.

    A regular CSV file of up to `held_csv` bytes is read once and held.
    """
    from polars.exceptions import PolarsError

    from models.errors import FileUnreadable
    from models.tabular.ingest import READERS

    if path.suffix.lower() not in READERS:
        raise FileUnreadable(f"Unsupported file type: {path.name}; supported: {', '.join(READERS)}", filename=path.name)
    try:
        return _readable(path, file_id, twin, held_csv)
    except (FileUnreadable, PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise FileUnreadable(f"{path.name}: {reason}", filename=path.name) from error


def _readable(path: Path, file_id: int, twin: Path, held_csv: int) -> pl.LazyFrame:
    from polars import scan_parquet

    from matching.identity import RESERVED
    from models.errors import FileUnreadable
    from models.tabular import scan
    from models.tabular.delimited import regular_csv
    from models.tabular.ingest import READERS

    suffix = path.suffix.lower()
    if suffix == ".csv" and path.stat().st_size <= held_csv:
        held = regular_csv(path)
        if held is not None and not {*RESERVED} & {*held.columns}:
            return scan(held.lazy(), file_id)
    if suffix == ".parquet":
        frame = scan_parquet(path, glob=False)
        if _is_twin(frame.collect_schema()):
            return scan(frame, file_id)
    reserved = sorted({*RESERVED} & {*READERS[suffix](path, twin)})
    if reserved:
        raise FileUnreadable(f"Column name '{reserved[0]}' is reserved", column=reserved[0])
    return scan(twin, file_id)


def _is_twin(schema: pl.Schema) -> bool:
    """Whether Parquet can be read as it is: plain columns and, if it is an artifact, the identity of its records."""
    from polars import Binary, Categorical, Enum, Int64, Null

    from matching.identity import FILE_ID, RESERVED, ROW

    if any(dtype.is_nested() or isinstance(dtype, Binary | Categorical | Enum | Null) for dtype in schema.values()):
        return False
    return not {*RESERVED} & {*schema} or all(schema.get(name) == Int64 for name in (FILE_ID, ROW))
