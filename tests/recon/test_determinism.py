"""The same inputs and rules give the same bytes, whatever the threads and the order of rows."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import hashlib, sys, tempfile
from pathlib import Path
import polars as pl
from matching import reconcile, rule_set_of
from matching.identity import FILE_ID, ROW
from models.tabular import write_csv, write_parquet
from recon.generate import generate

made = generate(sys.argv[1], rows=4_000, seed=11, difficulty=4)
sides = []
for file_id, frame in enumerate((made.source, made.target), start=1):
    row = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW)
    side = frame.with_columns(pl.lit(file_id, pl.Int64).alias(FILE_ID), row)
    sides.append(side.sample(fraction=1, shuffle=True, seed=int(sys.argv[2])).lazy())
outcome = reconcile(rule_set_of(made.rules), *sides)
digest = hashlib.sha256()
with tempfile.TemporaryDirectory() as folder:
    for name in ("matches", "unmatched_source", "unmatched_target", "breaks"):
        for write in (write_parquet, write_csv):
            write(getattr(outcome, name), Path(folder, name))
            digest.update(Path(folder, name).read_bytes())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("scenario", ["payouts", "ledger", "invoices"])
def test_bytes_depend_neither_on_threads_nor_on_the_order_of_rows(scenario: str) -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, scenario, str(seed)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "POLARS_MAX_THREADS": threads},
        ).stdout
        for seed, threads in enumerate(("1", "2", "5"))
    }
    assert len(digests) == 1
