"""What the tests of contained work have done in a process of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import polars as pl


def compute(trace: Path) -> None:
    """One call into Polars that takes far longer than any test waits, in little memory."""
    numbers = pl.LazyFrame({"a": pl.int_range(0, 500_000, eager=True)})
    pairs = numbers.join(numbers, how="cross", suffix="_b")
    trace.write_text(str(os.getpid()))
    pairs.select((pl.col("a") % 7 * pl.col("a_b") % 11).sum()).collect(engine="streaming")


def add(one: int, other: int) -> int:
    return one + other


def vanish() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
