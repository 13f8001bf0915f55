"""`recon match` against hand-written DuckDB SQL: 5 million rows a side from CSV, all artifacts, equal results."""

from __future__ import annotations

from exact_vs_duckdb_parquet import main

if __name__ == "__main__":
    main(".csv", "exact_vs_duckdb_csv")
