"""The floor: both Parquet files read, and one bare Polars inner join on the two text keys."""

from __future__ import annotations

import sys

import polars as pl

if __name__ == "__main__":
    source, target = (pl.read_parquet(path, glob=False) for path in sys.argv[1:3])
    source.join(target, on=["account", "reference"])
