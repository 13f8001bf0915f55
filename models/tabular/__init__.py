"""Bytes <-> frames: what was uploaded becomes a Parquet twin once; everything after reads that."""

from models.tabular.frames import preview, records, scan
from models.tabular.ingest import Ingested, ingest
from models.tabular.render import Format, render
from models.tabular.schema import json_value, profile, schema_snapshot
from models.tabular.writers import write_csv, write_parquet

__all__ = [
    "Format",
    "Ingested",
    "ingest",
    "json_value",
    "preview",
    "profile",
    "records",
    "render",
    "scan",
    "schema_snapshot",
    "write_csv",
    "write_parquet",
]
