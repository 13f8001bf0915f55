"""Public data with known truth, beside the project."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from matching import Outcome, reconcile
from matching.identity import FILE_ID, ROW
from tests.matching.helpers import legacy, one_pass


def read(path: Path, file_id: int) -> pl.LazyFrame:
    texts = pl.scan_csv(path, infer_schema=False)
    row = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW)
    return texts.with_columns(pl.lit(file_id, pl.Int64).alias(FILE_ID), row)


def test_febrl_by_social_security_number(shared_data: Path) -> None:
    folder = shared_data / "febrl"
    source, target = read(folder / "source.csv", 1), read(folder / "target.csv", 2)
    truth = pl.read_csv(folder / "truth.csv", infer_schema=False)
    pairs: list[set[tuple[str, str]]] = []
    for rule_set in (one_pass(["soc_sec_id"]), legacy(["soc_sec_id"])):
        outcome: Outcome = reconcile(rule_set, source, target)
        assert outcome.matches.height == 4561
        assert outcome.unmatched_source.height == outcome.unmatched_target.height == 439
        found = (
            outcome.matches.lazy()
            .join(source, left_on="source_row", right_on=ROW)
            .join(target, left_on="target_row", right_on=ROW, suffix="_target")
            .select("rec_id", "rec_id_target")
            .collect()
        )
        pairs.append(set(found.rows()))
    assert pairs[0] == pairs[1]
    assert pairs[0] <= set(truth.rows())
