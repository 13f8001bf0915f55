"""Contenders side by side: each run is a process of its own, they alternate, and medians are compared."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import polars as pl

Command = Callable[[Path], Sequence[str]]
"""What runs a contender that writes its artifacts into a directory."""

HERE = Path(__file__).parent


def ours(source: Path, target: Path) -> Command:
    """`recon match` with two keys and three comparisons."""

    def command(out: Path) -> list[str]:
        recon = str(Path(sys.executable).with_name("recon"))
        keys = ["--key", "account", "--key", "reference"]
        amount, status, day = "gross_amount=captured_amount:0.01", "status", "order_date=settlement_date:1d"
        compares = ["--compare", amount, "--compare", status, "--compare", day]
        return [recon, "match", str(source), str(target), *keys, *compares, "--out", str(out)]

    return command


def script(name: str, source: Path, target: Path, *options: str, python: str = sys.executable) -> Command:
    """A contender that is a script beside this one."""
    return lambda out: [python, str(HERE / name), str(source), str(target), str(out), *options]


def _unchecked(_: dict[str, Path]) -> None:
    """There is nothing to compare."""


def timed(
    contenders: dict[str, Command], rounds: int, check: Callable[[dict[str, Path]], None] = _unchecked
) -> dict[str, float]:
    """The median wall-clock seconds of each contender; prints all of them, and CPU seconds. `check` sees what they wrote."""
    # Modules are compiled once, as they are when a package is installed.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = kept | {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir(), "recon-benchmarks", "pycache"))}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    worked: dict[str, list[float]] = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory(prefix="recon-bench-") as work:
        outs = {name: Path(work, name) for name in contenders}
        for _ in range(rounds):
            for name, command in contenders.items():
                outs[name].mkdir(exist_ok=True)
                before = os.times()
                started = perf_counter()
                subprocess.run(command(outs[name]), check=True, stdout=subprocess.DEVNULL, env=environment)
                taken[name].append(perf_counter() - started)
                after = os.times()
                worked[name].append(
                    after.children_user + after.children_system - before.children_user - before.children_system
                )
        check(outs)
    for name, seconds in taken.items():
        every = ", ".join(f"{one:.2f}" for one in seconds)
        print(f"{name}: {statistics.median(seconds):.2f} s of {every}; CPU {statistics.median(worked[name]):.2f} s")
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def same_facts(outs: dict[str, Path]) -> None:
    """The pairs with their verdicts, every unmatched row with its reason, and what each exception says must agree."""
    first, *others = ({name: _facts(out) for name, out in outs.items()}).items()
    for name, facts in others:
        for one, other in zip(first[1], facts, strict=True):
            assert one.equals(other), f"{first[0]} and {name} differ:\n{one}\n{other}"


def _facts(out: Path) -> list[pl.DataFrame]:
    pairs = pl.read_parquet(out / "matched.parquet")
    agrees = [name for name in pairs.columns if name.startswith("agrees_")]
    identities = ["match_id", "source_row", "target_row"]
    numbered = [pl.col(name).alias(f"agrees {at}") for at, name in enumerate(agrees)]
    found = [pairs.select(pl.col(*identities).cast(pl.Int64), *numbered)]
    for side in ("source", "target"):
        rest = pl.read_parquet(out / f"unmatched_{side}.parquet")
        found.append(rest.with_columns(pl.col("_recon_file_id", "_recon_row").cast(pl.Int64)))
        assert (out / f"unmatched_{side}.csv").stat().st_size
    exceptions = pl.read_parquet(out / "exceptions.parquet")
    told = ["type", "field", "source_value", "target_value", "key"]
    # A whole number in a float column is `100` here and `100.0` there.
    values = pl.col("source_value", "target_value").str.strip_suffix(".0")
    found.append(
        exceptions.with_columns(values).select(*told, pl.col("source_row", "target_row", "match_id").cast(pl.Int64))
    )
    return found
