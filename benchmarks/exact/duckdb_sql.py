"""The job by hand in DuckDB. With `--duplicates` equal keys pair in row order, which costs it two window functions."""

from __future__ import annotations

import sys

import duckdb

READ = """
CREATE TEMP TABLE source_rows AS SELECT *, row_number() OVER () AS row FROM {source_file};
CREATE TEMP TABLE target_rows AS SELECT *, row_number() OVER () AS row FROM {target_file};
"""

NUMBER = """
CREATE TEMP TABLE source_numbered AS
    SELECT *, row_number() OVER (PARTITION BY account, reference ORDER BY row) AS n FROM source_rows;
CREATE TEMP TABLE target_numbered AS
    SELECT *, row_number() OVER (PARTITION BY account, reference ORDER BY row) AS n FROM target_rows;
"""

MATCH = """
CREATE TEMP TABLE pairs AS
    SELECT row_number() OVER (ORDER BY s.row) AS match_id, s.row AS source_row, t.row AS target_row,
        account, reference, s.status AS source_status, t.status AS target_status,
        gross_amount, captured_amount, order_date, settlement_date,
        {captured} - {gross} AS difference_1, gross_amount = captured_amount AS equal_1,
        settlement_date = order_date AS equal_3,
        {settled} - {ordered} AS difference_3,
        s.status = t.status AS agrees_2
    FROM {source} s JOIN {target} t USING ({keys});

CREATE TEMP TABLE judged AS
    SELECT *, equal_1 OR coalesce(abs(difference_1) <= 0.01, false) AS agrees_1,
        equal_3 OR coalesce(abs(difference_3) <= 1, false) AS agrees_3,
        CASE WHEN NOT equal_1 THEN CAST(difference_1 AS VARCHAR) END AS delta_1,
        CASE WHEN NOT equal_3 THEN difference_3 END AS delta_3
    FROM pairs;

COPY (
    SELECT match_id, 'pass 1' AS pass, 1 AS source_file_id, source_row, 2 AS target_file_id, target_row,
        (agrees_1::INT + agrees_2::INT + agrees_3::INT) / 3.0 AS score, agrees_1, delta_1, agrees_2, agrees_3, delta_3
    FROM judged ORDER BY match_id
) TO '{out}/matched.parquet' (FORMAT parquet);

CREATE TEMP TABLE unmatched_source AS
    SELECT s.* EXCLUDE row, 1 AS _recon_file_id, s.row AS _recon_row,
        {source_reason} AS _recon_reason
    FROM source_rows s ANTI JOIN pairs ON s.row = pairs.source_row ORDER BY s.row;
CREATE TEMP TABLE unmatched_target AS
    SELECT t.* EXCLUDE row, 2 AS _recon_file_id, t.row AS _recon_row,
        {target_reason} AS _recon_reason
    FROM target_rows t ANTI JOIN pairs ON t.row = pairs.target_row ORDER BY t.row;

CREATE TEMP TABLE exceptions AS
    SELECT 'VALUE_MISMATCH' AS type, 'MEDIUM' AS severity, 'gross_amount' AS field, gross_amount::VARCHAR AS source_value,
        captured_amount::VARCHAR AS target_value, delta_1 AS delta, source_row, target_row, match_id,
        'account=' || account || ', reference=' || reference AS key,
        'gross_amount differs by ' || delta_1 || ': more than 0.01' AS description, 1 AS number
    FROM judged WHERE NOT agrees_1
    UNION ALL
    SELECT 'VALUE_MISMATCH', 'MEDIUM', 'status', source_status, target_status, NULL, source_row, target_row, match_id,
        'account=' || account || ', reference=' || reference, 'status differs', 2
    FROM judged WHERE NOT agrees_2
    UNION ALL
    SELECT 'VALUE_MISMATCH', 'MEDIUM', 'order_date', order_date::VARCHAR, settlement_date::VARCHAR, delta_3::VARCHAR,
        source_row, target_row, match_id, 'account=' || account || ', reference=' || reference,
        'order_date differs by ' || delta_3 || ' days: more than 1', 3
    FROM judged WHERE NOT agrees_3
    UNION ALL
    SELECT CASE _recon_reason WHEN 'MISSING' THEN 'MISSING_TARGET' ELSE _recon_reason END, 'HIGH', NULL, NULL, NULL, NULL,
        _recon_row, NULL, NULL, 'account=' || account || ', reference=' || reference,
        'No matching record found in target', 0
    FROM unmatched_source
    UNION ALL
    SELECT CASE _recon_reason WHEN 'MISSING' THEN 'MISSING_SOURCE' ELSE _recon_reason END, 'HIGH', NULL, NULL, NULL, NULL,
        NULL, _recon_row, NULL, 'account=' || account || ', reference=' || reference,
        'No matching record found in source', 0
    FROM unmatched_target;

COPY unmatched_source TO '{out}/unmatched_source.parquet' (FORMAT parquet);
COPY unmatched_source TO '{out}/unmatched_source.csv' (HEADER);
COPY unmatched_target TO '{out}/unmatched_target.parquet' (FORMAT parquet);
COPY unmatched_target TO '{out}/unmatched_target.csv' (HEADER);
CREATE TEMP TABLE ordered AS
    SELECT * EXCLUDE number FROM exceptions ORDER BY source_row NULLS LAST, target_row NULLS LAST, number;
COPY ordered TO '{out}/exceptions.parquet' (FORMAT parquet);
COPY ordered TO '{out}/exceptions.csv' (HEADER);
"""


def run(source: str, target: str, out: str, options: list[str]) -> None:
    csv = source.endswith(".csv")
    read = "read_csv('{}', all_varchar = true, header = true)" if csv else "read_parquet('{}')"
    duplicates = "--duplicates" in options
    # What a Float64 holds is worked out in decimals too: 100.01 - 100.00 is more than 0.01 in floats.
    amount = "TRY_CAST({} AS DECIMAL(18, 2))"
    day = "TRY_CAST({} AS DATE)" if csv or "--text" in options else "{}"
    reason = "'MISSING'"
    if duplicates:
        reason = "CASE WHEN (account, reference) IN (SELECT (account, reference) FROM {}) THEN 'DUPLICATE' ELSE 'MISSING' END"
    statements = READ + (NUMBER if duplicates else "") + MATCH
    duckdb.sql(
        statements.format(
            source_file=read.format(source),
            target_file=read.format(target),
            source="source_numbered" if duplicates else "source_rows",
            target="target_numbered" if duplicates else "target_rows",
            keys="account, reference, n" if duplicates else "account, reference",
            gross=amount.format("gross_amount"),
            captured=amount.format("captured_amount"),
            ordered=day.format("order_date"),
            settled=day.format("settlement_date"),
            source_reason=reason.format("target_rows"),
            target_reason=reason.format("source_rows"),
            out=out,
        )
    )


if __name__ == "__main__":
    run(*sys.argv[1:4], sys.argv[4:])
