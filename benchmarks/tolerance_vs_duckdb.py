"""Matching without a common id against the first third of the same job in hand-written DuckDB.

1,000,000 rows a side that share no reference: the amount may be a cent off, the date up to three days, and a tenth of the names
have a typing error; 2 % of each side have no partner. Ours reads both Parquet files, finds and scores the candidates, assigns
them one to one at the highest total score, and writes the matches. The peer only finds and scores the candidates (buckets
unnested, then joined) and writes them. Each runs as a process of its own, alternating; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl

ROWS = 1_000_000
SEED = 20_260_228


def generate(folder: Path, rows: int) -> tuple[Path, Path]:
    """Two Parquet files of texts, as twins of uploads are; `truth` numbers the partners. Made once."""
    paths = folder / f"ledger_{rows}.parquet", folder / f"bank_{rows}.parquet"
    if all(path.exists() for path in paths):
        return paths
    random = np.random.default_rng(SEED)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(letters[random.integers(0, 26, size)]) for size in random.integers(4, 10, 3_000)])
    name = words[random.integers(0, 3_000, (rows, 2))]
    truth = pl.DataFrame(
        {
            "truth": np.arange(rows),
            "cents": np.maximum(1, (random.lognormal(9.5, 1.2, rows)).astype(np.int64)),
            "day": random.integers(0, 365, rows),
            "name": np.char.add(np.char.add(name[:, 0], " "), name[:, 1]),
        }
    )
    for path, damaged in zip(paths, (False, True), strict=True):
        side = truth.filter(pl.Series(random.random(rows) >= 0.02))
        if damaged:
            count = side.height
            at, letter = random.integers(0, 9, count), letters[random.integers(0, 26, count)]
            typing_error = pl.concat_str(
                pl.col("name").str.slice(0, pl.col("at")), "letter", pl.col("name").str.slice(pl.col("at") + 1)
            )
            side = side.with_columns(at=pl.Series(at), letter=pl.Series(letter)).with_columns(
                pl.when(pl.Series(random.random(count) < 0.1)).then(typing_error).otherwise("name").alias("name"),
                pl.col("cents") + pl.Series(np.where(random.random(count) < 0.05, random.integers(-1, 2, count), 0)),
                pl.col("day") + pl.Series(np.where(random.random(count) < 0.3, random.integers(-3, 4, count), 0)),
            )
        side = side[random.permutation(side.height)]
        cents = pl.col("cents")
        side.select(
            "truth",
            (cents // 100).cast(pl.String) + "." + (cents % 100).cast(pl.String).str.zfill(2).alias("amount"),
            (pl.date(2026, 1, 1) + pl.duration(days="day")).cast(pl.String).alias("date"),
            "name",
        ).rename({"cents": "amount"}).write_parquet(path)
    return paths


OURS = """
import sys
from pathlib import Path
import polars as pl
from matching import reconcile, rule_set_of
from matching.identity import FILE_ID, ROW
def read(path, file_id):
    row = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW)
    return pl.scan_parquet(path).drop("truth").with_columns(pl.lit(file_id, pl.Int64).alias(FILE_ID), row)
conditions = [
    {"sourceField": "amount", "matchType": "RANGE", "tolerance": "0.01"},
    {"sourceField": "date", "matchType": "DATE_WINDOW", "daysTolerance": 3},
    {"sourceField": "name", "matchType": "FUZZY", "fuzzyThreshold": 0.8},
]
rule_set = rule_set_of({"passes": [{"conditions": conditions}]})
outcome = reconcile(rule_set, read(sys.argv[1], 1), read(sys.argv[2], 2))
outcome.matches.write_parquet(sys.argv[3])
"""

PEER = """
COPY (
    WITH s AS (
        SELECT row, cents, day, name, unnest([cents - 1, cents, cents + 1]) AS bucket
        FROM (
            SELECT file_row_number AS row, CAST(CAST(amount AS DECIMAL(18, 2)) * 100 AS BIGINT) AS cents,
                CAST(date AS DATE) AS day, name
            FROM read_parquet('{source}', file_row_number = true)
        )
    ),
    t AS (
        SELECT file_row_number AS row, CAST(CAST(amount AS DECIMAL(18, 2)) * 100 AS BIGINT) AS cents,
            CAST(date AS DATE) AS day, name
        FROM read_parquet('{target}', file_row_number = true)
    ),
    candidates AS (
        SELECT s.row + 1 AS source_row, t.row + 1 AS target_row,
            1 - 0.5 * abs(s.cents - t.cents) / 1.0 AS amount_score, 1 - 0.5 * abs(s.day - t.day) / 3.0 AS date_score,
            1 - levenshtein(lower(s.name), lower(t.name)) / greatest(length(s.name), length(t.name)) AS name_score
        FROM s JOIN t ON s.bucket = t.cents AND t.day BETWEEN s.day - 3 AND s.day + 3
    )
    SELECT * FROM candidates WHERE name_score >= 0.8
) TO '{out}' (FORMAT parquet)
"""


def run_ours(source: Path, target: Path, out: Path) -> None:
    subprocess.run([sys.executable, "-c", OURS, str(source), str(target), str(out)], check=True)


def run_theirs(source: Path, target: Path, out: Path) -> None:
    statement = PEER.format(source=source, target=target, out=out)
    quiet = "SET enable_progress_bar = false"
    script = f"import duckdb; peer = duckdb.connect(); peer.execute({quiet!r}); peer.execute({statement!r})"
    subprocess.run([sys.executable, "-c", script], check=True)


def check(source: Path, target: Path, ours: Path, theirs: Path) -> None:
    """Every match is one of the peer's candidates, nearly every one is right, and nearly every partner is found."""
    matches = pl.read_parquet(ours).select("source_row", "target_row")
    candidates = pl.read_parquet(theirs).select("source_row", "target_row")
    strays = matches.join(candidates, on=["source_row", "target_row"], how="anti").height
    assert strays == 0, f"{strays} matches are no candidates of the peer"
    numbered = [pl.read_parquet(path, columns=["truth"]).with_row_index("row", offset=1) for path in (source, target)]
    right = matches.join(numbered[0], left_on="source_row", right_on="row").join(
        numbered[1], left_on="target_row", right_on="row", suffix="_target"
    )
    right = right.filter(pl.col("truth") == pl.col("truth_target")).height
    partners = numbered[0].join(numbered[1], on="truth").height
    print(f"{candidates.height:,} candidates, {matches.height:,} matches; precision {right / matches.height:.5f}")
    print(f"recall {right / partners:.5f}")
    assert right / matches.height > 0.995
    assert right / partners > 0.97


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = generate(Path(folder), arguments.rows)
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for number in range(arguments.rounds):
            for name, run in (("ours", run_ours), ("theirs", run_theirs)):
                began = perf_counter()
                run(source, target, Path(folder, f"{name}.parquet"))
                seconds[name].append(perf_counter() - began)
            print(
                f"round {number + 1}: ours {seconds['ours'][-1]:.2f} s, theirs {seconds['theirs'][-1]:.2f} s",
                flush=True,
            )
        check(source, target, Path(folder, "ours.parquet"), Path(folder, "theirs.parquet"))
    print(f"ratio tolerance_vs_duckdb {statistics.median(seconds['ours']) / statistics.median(seconds['theirs']):.3f}")


if __name__ == "__main__":
    main()
