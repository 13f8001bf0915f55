"""`recon match` from Parquet, all artifacts, against datacompy on Polars in an environment of its own: it wants an older one."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
from exact.contest import ours, script, timed
from exact.rows import Inputs, made

PACKAGES = ("datacompy==1.1.0", "polars==1.44.2", "pyarrow")


def environment() -> str:
    """The Python of the peer's environment, made once in the user's cache."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "recon-benchmarks", "datacompy")
    python = folder / "bin" / "python"
    if subprocess.run([python, "-c", "import datacompy"], capture_output=True).returncode if python.exists() else True:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return str(python)


def same_counts(outs: dict[str, Path]) -> None:
    """datacompy keeps no identities: the numbers of pairs and of unmatched rows must agree."""
    for name in ("matched", "unmatched_source", "unmatched_target"):
        heights = {pl.scan_parquet(out / f"{name}.parquet").select(pl.len()).collect().item() for out in outs.values()}
        assert len(heights) == 1, f"{name}: {heights}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    source, target = made(Inputs(asked.rows))
    peer = script("datacompy_polars.py", source, target, python=environment())
    seconds = timed({"ours": ours(source, target), "datacompy": peer}, asked.rounds, same_counts)
    print(f"ratio exact_vs_datacompy {seconds['ours'] / seconds['datacompy']:.3f}")


if __name__ == "__main__":
    main()
