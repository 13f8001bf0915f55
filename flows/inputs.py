"""From a resolved input to a frame with record identity."""

from __future__ import annotations

import polars as pl

from models.plan import ResolvedInput
from models.storage import Storage
from models.tabular import scan


def frame(storage: Storage, resolved: ResolvedInput) -> pl.LazyFrame:
    """The input's columns in order, then `_recon_file_id` and `_recon_row` (Int64); one row a record, in row order.

    Reads lazily: only the columns that are asked for leave the storage. A step's output keeps the identity that its
    records got in their first file.
    """
    twin = resolved.file.twin_path
    if twin is None:
        raise ValueError(f"file {resolved.file.id} was resolved without a twin")
    return scan(storage.scan_parquet(twin), resolved.file.id)
