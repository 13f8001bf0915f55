"""`recon match` against hand-written DuckDB: the same CSV files, the same artifacts.

1,000,000 rows a side (less 1 % missing, plus some duplicate keys), two text keys, three comparisons: a status that must be
equal, an amount within 0.01, a date within a day. Both sides run as a process of their own, from start to the last byte
written, alternating; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl

ROWS = 1_000_000
SEED = 20_260_131


def generate(folder: Path, rows: int) -> tuple[Path, Path]:
    """Two CSV files with one truth and seeded differences; made once."""
    paths = folder / f"oms_{rows}.csv", folder / f"gateway_{rows}.csv"
    if all(path.exists() for path in paths):
        return paths
    random = np.random.default_rng(SEED)
    number = pl.Series(random.permutation(rows))
    truth = pl.DataFrame({"number": number}).select(
        (pl.lit("ORD-") + (pl.col("number") // 3).cast(pl.String).str.zfill(9)).alias("order_id"),
        (pl.col("number") % 3 + 1).cast(pl.String).alias("line"),
        pl.Series("cents", random.integers(100, 500_000, rows)),
        pl.Series("status", np.array(["PAID", "SHIPPED", "RETURNED", "OPEN"])[random.integers(0, 4, rows)]),
        pl.lit(date(2026, 1, 1)).dt.offset_by("0d").alias("start"),
        pl.Series("days", random.integers(0, 300, rows)),
        (pl.lit("customer ") + pl.Series(random.integers(0, 100_000, rows)).cast(pl.String)).alias("customer"),
        (pl.lit("note on ") + pl.col("number").hash(1).cast(pl.String)).alias("note"),
    )
    for path, amount, day, damaged in zip(
        paths, ("gross_amount", "captured_amount"), ("order_date", "settlement_date"), (False, True), strict=True
    ):
        kept = truth.filter(pl.Series(random.random(rows) >= 0.01))
        if damaged:
            kept = _damaged(kept, random)
        kept = pl.concat([kept, kept[random.integers(0, kept.height, rows // 1000)]])
        kept = kept[random.permutation(kept.height)]
        cents = pl.col("cents")
        written = kept.select(
            "order_id",
            "line",
            ((cents // 100).cast(pl.String) + "." + (cents % 100).cast(pl.String).str.zfill(2)).alias(amount),
            "status",
            (pl.col("start") + pl.duration(days="days")).cast(pl.String).alias(day),
            "customer",
            "note",
        )
        written.write_csv(path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path)
    return paths


def _damaged(kept: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """2 % of the amounts up to 3 cents off, 2 % of the dates up to 3 days, half a percent of the statuses wrong."""

    def some(share: float) -> pl.Series:
        return pl.Series(random.random(kept.height) < share)

    def off() -> pl.Series:
        return pl.Series(random.integers(-3, 4, kept.height))

    return kept.with_columns(
        pl.when(some(0.02)).then(pl.col("cents") + off()).otherwise("cents").alias("cents"),
        pl.when(some(0.02)).then(pl.col("days") + off()).otherwise("days").alias("days"),
        pl.when(some(0.005)).then(pl.lit("LOST")).otherwise("status").alias("status"),
    )


def run_ours(source: Path, target: Path, out: Path) -> None:
    command = [str(Path(sys.executable).with_name("recon")), "match", str(source), str(target), "--out", str(out)]
    command += ["--key", "order_id", "--key", "line", "--compare", "status"]
    command += ["--compare", "gross_amount=captured_amount:0.01", "--compare", "order_date=settlement_date:1d"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def run_theirs(source: Path, target: Path, out: Path) -> None:
    command = [sys.executable, __file__, "--peer", str(source), str(target), str(out)]
    subprocess.run(command, check=True)


PEER = """
CREATE TEMP TABLE source_rows AS
    SELECT *, row_number() OVER () AS row FROM read_csv('{source}', all_varchar = true, header = true, nullstr = '\\N');
CREATE TEMP TABLE target_rows AS
    SELECT *, row_number() OVER () AS row FROM read_csv('{target}', all_varchar = true, header = true, nullstr = '\\N');

CREATE TEMP TABLE source_numbered AS
    SELECT row, order_id, line, status, gross_amount, order_date,
        row_number() OVER (PARTITION BY order_id, line ORDER BY row) AS n
    FROM source_rows
    WHERE trim(order_id) <> '' AND trim(line) <> '';
CREATE TEMP TABLE target_numbered AS
    SELECT row, order_id, line, status, captured_amount, settlement_date,
        row_number() OVER (PARTITION BY order_id, line ORDER BY row) AS n
    FROM target_rows
    WHERE trim(order_id) <> '' AND trim(line) <> '';

CREATE TEMP TABLE pairs AS
    SELECT row_number() OVER (ORDER BY s.row) AS match_id, s.row AS source_row, t.row AS target_row,
        s.order_id, s.line, s.status AS source_status, t.status AS target_status,
        gross_amount, captured_amount, order_date, settlement_date,
        s.status = t.status AS agrees_1,
        gross_amount = captured_amount
            OR coalesce(abs(TRY_CAST(captured_amount AS DECIMAL(18, 2)) - TRY_CAST(gross_amount AS DECIMAL(18, 2))) <= 0.01, false)
            AS agrees_2,
        CASE WHEN gross_amount <> captured_amount THEN
            CAST(TRY_CAST(captured_amount AS DECIMAL(18, 2)) - TRY_CAST(gross_amount AS DECIMAL(18, 2)) AS VARCHAR) END AS delta_2,
        order_date = settlement_date
            OR coalesce(abs(TRY_CAST(settlement_date AS DATE) - TRY_CAST(order_date AS DATE)) <= 1, false) AS agrees_3,
        CASE WHEN order_date <> settlement_date THEN TRY_CAST(settlement_date AS DATE) - TRY_CAST(order_date AS DATE) END AS delta_3
    FROM source_numbered s JOIN target_numbered t USING (order_id, line, n);

COPY (
    SELECT match_id, 'pass 1' AS pass, 1 AS source_file_id, source_row, 2 AS target_file_id, target_row,
        (agrees_1::INT + agrees_2::INT + agrees_3::INT) / 3.0 AS score, agrees_1, agrees_2, delta_2, agrees_3, delta_3
    FROM pairs ORDER BY match_id
) TO '{out}/matched.parquet' (FORMAT parquet);

CREATE TEMP TABLE unmatched_source AS
    SELECT s.* EXCLUDE row, 1 AS _recon_file_id, s.row AS _recon_row, CASE
        WHEN trim(order_id) = '' OR trim(line) = '' THEN 'NULL_KEY'
        WHEN (order_id, line) IN (SELECT (order_id, line) FROM target_rows) THEN 'DUPLICATE' ELSE 'MISSING' END AS _recon_reason
    FROM source_rows s
    ANTI JOIN pairs ON s.row = pairs.source_row;
CREATE TEMP TABLE unmatched_target AS
    SELECT t.* EXCLUDE row, 2 AS _recon_file_id, t.row AS _recon_row, CASE
        WHEN trim(order_id) = '' OR trim(line) = '' THEN 'NULL_KEY'
        WHEN (order_id, line) IN (SELECT (order_id, line) FROM source_rows) THEN 'DUPLICATE' ELSE 'MISSING' END AS _recon_reason
    FROM target_rows t
    ANTI JOIN pairs ON t.row = pairs.target_row;

CREATE TEMP TABLE exceptions AS
    SELECT 'VALUE_MISMATCH' AS type, 'MEDIUM' AS severity, 'status' AS field, source_status AS source_value,
        target_status AS target_value, NULL::VARCHAR AS delta, source_row, target_row, match_id,
        'order_id=' || order_id || ', line=' || line AS key, 'Value mismatch for field status' AS description, 1 AS number
    FROM pairs WHERE NOT agrees_1
    UNION ALL
    SELECT 'VALUE_MISMATCH', 'MEDIUM', 'gross_amount', gross_amount, captured_amount, delta_2, source_row, target_row, match_id,
        'order_id=' || order_id || ', line=' || line, 'Value mismatch for field gross_amount: ' || delta_2, 2
    FROM pairs WHERE NOT agrees_2
    UNION ALL
    SELECT 'VALUE_MISMATCH', 'MEDIUM', 'order_date', order_date, settlement_date, delta_3::VARCHAR, source_row, target_row,
        match_id, 'order_id=' || order_id || ', line=' || line, 'Value mismatch for field order_date: ' || delta_3, 3
    FROM pairs WHERE NOT agrees_3
    UNION ALL
    SELECT CASE _recon_reason WHEN 'MISSING' THEN 'MISSING_TARGET' WHEN 'DUPLICATE' THEN 'DUPLICATE' ELSE 'FORMAT_ERROR' END,
        'HIGH', NULL, NULL, NULL, NULL, _recon_row, NULL, NULL, 'order_id=' || order_id || ', line=' || line,
        'No matching record found in target', 0
    FROM unmatched_source
    UNION ALL
    SELECT CASE _recon_reason WHEN 'MISSING' THEN 'MISSING_SOURCE' WHEN 'DUPLICATE' THEN 'DUPLICATE' ELSE 'FORMAT_ERROR' END,
        'HIGH', NULL, NULL, NULL, NULL, NULL, _recon_row, NULL, 'order_id=' || order_id || ', line=' || line,
        'No matching record found in source', 0
    FROM unmatched_target;

COPY (FROM unmatched_source ORDER BY _recon_row) TO '{out}/unmatched_source.parquet' (FORMAT parquet);
COPY (FROM unmatched_source ORDER BY _recon_row) TO '{out}/unmatched_source.csv' (HEADER);
COPY (FROM unmatched_target ORDER BY _recon_row) TO '{out}/unmatched_target.parquet' (FORMAT parquet);
COPY (FROM unmatched_target ORDER BY _recon_row) TO '{out}/unmatched_target.csv' (HEADER);
COPY (SELECT * EXCLUDE number FROM exceptions ORDER BY source_row, target_row, number)
    TO '{out}/exceptions.parquet' (FORMAT parquet);
COPY (SELECT * EXCLUDE number FROM exceptions ORDER BY source_row, target_row, number)
    TO '{out}/exceptions.csv' (HEADER);
"""


def peer(source: str, target: str, out: str) -> None:
    import duckdb

    Path(out).mkdir(parents=True, exist_ok=True)
    duckdb.sql(PEER.format(source=source, target=target, out=out))


def found(out: Path) -> list[pl.DataFrame]:
    """What both must agree on: the pairs, every unmatched row with its reason, and what each exception says."""
    pairs = pl.read_parquet(out / "matched.parquet").select("source_row", "target_row").cast(pl.Int64)
    facts = [pairs.sort("source_row")]
    for side in ("source", "target"):
        rest = pl.read_parquet(out / f"unmatched_{side}.parquet")
        facts.append(rest.with_columns(pl.col("_recon_file_id", "_recon_row").cast(pl.Int64)))
    exceptions = pl.read_parquet(out / "exceptions.parquet")
    told = ["type", "field", "source_value", "target_value", "key"]
    facts.append(exceptions.select(*told, pl.col("source_row", "target_row").cast(pl.Int64)).sort(pl.all()))
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", nargs=3, metavar=("SOURCE", "TARGET", "OUT"))
    options = parser.parse_args()
    if options.peer:
        peer(*options.peer)
        return
    folder = Path(tempfile.gettempdir()) / "recon-benchmarks"
    folder.mkdir(exist_ok=True)
    source, target = generate(folder, options.rows)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    runners = {"ours": run_ours, "theirs": run_theirs}
    with tempfile.TemporaryDirectory() as work:
        for _ in range(options.rounds):
            for name, runner in runners.items():
                started = perf_counter()
                runner(source, target, Path(work, name))
                seconds[name].append(perf_counter() - started)
        for ours, theirs in zip(found(Path(work, "ours")), found(Path(work, "theirs")), strict=True):
            assert ours.equals(theirs), f"the results differ:\n{ours}\n{theirs}"
    for name, taken in seconds.items():
        print(f"{name}: {statistics.median(taken):.2f} s of {', '.join(f'{one:.2f}' for one in taken)}")
    name = "match_vs_duckdb_1m" if options.rows == ROWS else f"match_vs_duckdb_{options.rows}"
    print(f"ratio {name} {statistics.median(seconds['ours']) / statistics.median(seconds['theirs']):.3f}")


if __name__ == "__main__":
    main()
