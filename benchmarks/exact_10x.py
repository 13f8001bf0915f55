"""How `recon match` grows: 10 million rows a side against 1 million, from Parquet, all artifacts."""

from __future__ import annotations

import argparse

from exact.contest import ours, timed
from exact.rows import Inputs, made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the smaller one")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    contenders = {name: ours(*made(Inputs(asked.rows * factor))) for name, factor in (("one", 1), ("ten", 10))}
    seconds = timed(contenders, asked.rounds)
    print(f"ratio exact_10x {seconds['ten'] / seconds['one']:.3f}")


if __name__ == "__main__":
    main()
