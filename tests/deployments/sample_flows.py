"""Flows for the worker's tests. They tell what they do by appending lines to the file `trace`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import polars as pl
from prefect import flow, get_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES


def tell(trace: str, line: str) -> None:
    with Path(trace).open("a") as file:
        file.write(f"{line}\n")


def tell_state(flow: Any, flow_run: Any, state: Any) -> None:
    tell(flow_run.parameters["trace"], f"hook {state.name}")


@flow
def stamp(trace: str) -> None:
    tell(trace, f"started {time.time()} {os.getpid()}")
    get_run_logger().info("a line through the logger")
    os.write(1, b"a line on standard output\n")
    os.write(2, b"a line on standard error\n")


@flow(on_cancellation=[tell_state], on_crashed=[tell_state])
def sleep(trace: str, seconds: float = 60) -> None:
    tell(trace, f"started {time.time()} {os.getpid()}")
    time.sleep(seconds)
    tell(trace, f"ended {time.time()}")


@flow(on_cancellation=[tell_state], on_crashed=[tell_state])
def compute(trace: str) -> None:
    """One call into Polars that takes far longer than any test waits, in little memory."""
    numbers = pl.LazyFrame({"a": pl.int_range(0, 500_000, eager=True)})
    pairs = numbers.join(numbers, how="cross", suffix="_b")
    tell(trace, f"started {time.time()} {os.getpid()}")
    pairs.select((pl.col("a") % 7 * pl.col("a_b") % 11).sum()).collect(engine="streaming")
    tell(trace, "ended")


@flow
def fail(trace: str) -> None:
    tell(trace, "started")
    raise ValueError("as it should")


@flow
def vanish(trace: str) -> None:
    """Ends its process without a word."""
    tell(trace, "started")
    os._exit(0)


@flow
async def asynchronous(trace: str) -> None:
    tell(trace, "started")


@flow
def environment(trace: str, names: list[str]) -> None:
    for name in names:
        tell(trace, f"{name}={os.environ.get(name)}")
    tell(trace, f"retries {PREFECT_CLIENT_MAX_RETRIES.value()}")
