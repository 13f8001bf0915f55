"""`recon match` against hand-written DuckDB SQL: 5 million rows a side from Parquet, all artifacts, equal results.

Keys are unique, so that the SQL needs no numbering of equal keys; `--duplicates` has some, and `--text` has text only.
"""

from __future__ import annotations

import argparse

from exact.contest import ours, same_facts, script, timed
from exact.rows import Inputs, made


def main(suffix: str, name: str) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duplicates", action="store_true")
    parser.add_argument("--text", action="store_true")
    asked = parser.parse_args()
    source, target = made(Inputs(asked.rows, suffix, not asked.text, asked.duplicates))
    options = [f"--{one}" for one in ("duplicates", "text") if getattr(asked, one)]
    contenders = {"ours": ours(source, target), "DuckDB": script("duckdb_sql.py", source, target, *options)}
    seconds = timed(contenders, asked.rounds, same_facts)
    print(f"ratio {'_'.join([name, *options]).replace('--', '')} {seconds['ours'] / seconds['DuckDB']:.3f}")


if __name__ == "__main__":
    main(".parquet", "exact_vs_duckdb_parquet")
