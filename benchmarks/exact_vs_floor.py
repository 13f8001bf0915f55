"""`recon match` from Parquet with all artifacts against the floor: both files read and one bare Polars join on the two keys."""

from __future__ import annotations

import argparse

from exact.contest import ours, script, timed
from exact.rows import Inputs, made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text", action="store_true")
    asked = parser.parse_args()
    source, target = made(Inputs(asked.rows, typed=not asked.text))
    contenders = {"ours": ours(source, target), "floor": script("floor.py", source, target)}
    seconds = timed(contenders, asked.rounds)
    print(f"ratio exact_vs_floor{'_text' if asked.text else ''} {seconds['ours'] / seconds['floor']:.3f}")


if __name__ == "__main__":
    main()
