"""The job by datacompy on Polars, with what it finds written out. Runs in an environment of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
from datacompy import PolarsCompare


def run(source: str, target: str, out: Path) -> None:
    names = {"captured_amount": "gross_amount", "settlement_date": "order_date"}
    found = PolarsCompare(
        pl.read_parquet(source),
        pl.read_parquet(target).rename(names),
        join_columns=["account", "reference"],
        abs_tol=0.01,
        df1_name="source",
        df2_name="target",
    )
    found.intersect_rows.write_parquet(out / "matched.parquet")
    for name, frame in (
        ("unmatched_source", found.df1_unq_rows),
        ("unmatched_target", found.df2_unq_rows),
        ("exceptions", found.all_mismatch()),
    ):
        frame.write_parquet(out / f"{name}.parquet")
        frame.write_csv(out / f"{name}.csv")


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
