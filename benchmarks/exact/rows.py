"""The inputs of the exact-key benchmarks, made once and kept: two files of one truth with seeded differences.

Columns: `account` and `reference` (the keys, text), an amount, `status` (text), a day. About 1 % of the rows are missing on
either side; of the target's, 2 % of the amounts are up to 3 cents off, 2 % of the days up to 3, half a percent of the statuses
are others. With `duplicates` a thousandth of the rows of a side are there twice. Parquet holds amounts as Float64 and days as
Date, or all as text; CSV is all text.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

AMOUNTS, DAYS = ("gross_amount", "captured_amount"), ("order_date", "settlement_date")
SEED = 20_260_131


@dataclass(frozen=True)
class Inputs:
    """Which files a benchmark wants."""

    rows: int = 5_000_000
    suffix: str = ".parquet"
    typed: bool = True
    duplicates: bool = False


def made(wanted: Inputs) -> tuple[Path, Path]:
    """Source and target, written if they are not there."""
    folder = Path(tempfile.gettempdir()) / "recon-benchmarks"
    folder.mkdir(exist_ok=True)
    text = "" if wanted.typed and wanted.suffix == ".parquet" else "_text"
    twice = "_twice" if wanted.duplicates else ""
    paths = [folder / f"{name}_{wanted.rows}{text}{twice}{wanted.suffix}" for name in ("oms", "gateway")]
    for side, path in enumerate(paths):
        if not path.exists():
            _write(wanted, side, path)
    return paths[0], paths[1]


def _write(wanted: Inputs, side: int, path: Path) -> None:
    rows = wanted.rows
    numbers = np.random.default_rng(SEED + side).permutation(rows)
    if wanted.duplicates:
        numbers = np.concatenate([numbers, numbers[:: 1000 + side]])
    number = pl.col("number")
    chance = lambda salt: _mixed(number, salt) % 100_000  # noqa: E731
    off = lambda salt: (_mixed(number, salt) % 7).cast(pl.Int64) - 3  # noqa: E731
    cents = (_mixed(number, 1) % 500_000).cast(pl.Int64) + 100
    days = (_mixed(number, 2) % 300).cast(pl.Int64)
    kind = _mixed(number, 3) % 4
    if side:
        cents = cents + pl.when(chance(11) < 2_000).then(off(12)).otherwise(0)
        days = days + pl.when(chance(13) < 2_000).then(off(14)).otherwise(0)
        kind = pl.when(chance(15) < 500).then(4).otherwise(kind)
    status = kind.replace_strict({0: "PAID", 1: "SHIPPED", 2: "RETURNED", 3: "OPEN", 4: "LOST"}, return_dtype=pl.String)
    day = pl.lit(date(2026, 1, 1)) + pl.duration(days=days)
    typed = wanted.typed and wanted.suffix == ".parquet"
    text = (cents // 100).cast(pl.String) + "." + (cents % 100).cast(pl.String).str.zfill(2)
    frame = (
        pl.LazyFrame({"number": pl.Series(numbers, dtype=pl.UInt64)})
        .filter(chance(20 + side) >= 1_000)
        .select(
            (pl.lit("ACC-") + (number // 7).cast(pl.String).str.zfill(8)).alias("account"),
            (
                pl.lit("R") + _mixed(number % 7, 4).cast(pl.String).str.head(6) + "-" + (number % 7).cast(pl.String)
            ).alias("reference"),
            (text.cast(pl.Float64) if typed else text).alias(AMOUNTS[side]),
            status.alias("status"),
            (day if typed else day.cast(pl.String)).alias(DAYS[side]),
        )
    )
    unfinished = path.with_suffix(".tmp")
    if wanted.suffix == ".csv":
        frame.sink_csv(unfinished, engine="streaming")
    else:
        frame.sink_parquet(unfinished, engine="streaming", row_group_size=131_072, compression="lz4")
    unfinished.rename(path)


def _mixed(number: pl.Expr, salt: int) -> pl.Expr:
    """Splitmix64: numbers that look random, the same on every machine."""
    one = (number + salt * 1_000_003) * pl.lit(0x9E3779B97F4A7C15, pl.UInt64)
    two = (one ^ (one // 2**30)) * pl.lit(0xBF58476D1CE4E5B9, pl.UInt64)
    three = (two ^ (two // 2**27)) * pl.lit(0x94D049BB133111EB, pl.UInt64)
    return three ^ (three // 2**31)
