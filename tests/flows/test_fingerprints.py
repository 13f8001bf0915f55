"""Fingerprints: the same break in another run has the same, whatever files and rows it stands in."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flows.fingerprints import fingerprinted
from matching import reconcile
from matching.engines.partitioned import reconcile_partitioned
from matching.identity import FILE_ID, ROW
from matching.outcome import LargeOutcome, Outcome
from matching.spec import RuleSet, rule_set_of
from models.tabular.spill import ParquetSpill

RULES: RuleSet = rule_set_of(
    {
        "name": "r",
        "fieldMappings": [
            {"sourceField": "id", "targetField": "id", "isKey": True},
            {"sourceField": "amt", "targetField": "amt", "isKey": False},
        ],
    }
)


def frame(
    file_id: int, rows: list[tuple[str | None, ...]], columns: tuple[str, ...] = ("id", "amt", "note")
) -> pl.LazyFrame:
    made = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    return made.with_columns(
        pl.lit(file_id, dtype=pl.Int64).alias(FILE_ID), pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW)
    ).lazy()


SOURCE: list[tuple[str | None, ...]] = [("1", "10", "a"), ("2", "20", None), ("3", "30", ""), ("3", "31", "b")]
TARGET: list[tuple[str | None, ...]] = [("1", "11", "a"), ("4", "40", "d")]


def prints(outcome: Outcome | LargeOutcome) -> dict[tuple[str, str, int], str]:
    """By type, key, and number among those with the same."""
    found = fingerprinted(outcome).collect()
    assert found.drop("fingerprint").equals(outcome.breaks.lazy().collect())
    counted = found.select("type", "key", pl.int_range(pl.len()).over("type", "key"), "fingerprint")
    return {(kind, key, number): each for kind, key, number, each in counted.rows()}


def test_they_follow_the_records_through_other_files_and_rows(tmp_path: Path) -> None:
    first = prints(reconcile(RULES, frame(1, SOURCE), frame(2, TARGET)))
    moved = prints(reconcile(RULES, frame(7, [("9", "9", "z"), *SOURCE]), frame(8, TARGET[::-1])))
    assert first.items() < moved.items()
    assert len(set(moved.values())) == len(moved) == 6
    turned = [(note, amt, key) for key, amt, note in SOURCE]
    other_order = prints(reconcile(RULES, frame(1, turned, ("note", "amt", "id")), frame(2, TARGET)))
    assert other_order == first
    large = reconcile_partitioned(RULES, frame(1, SOURCE), frame(2, TARGET), ParquetSpill(tmp_path), 3)
    assert prints(large) == first


def test_other_values_are_another_break() -> None:
    first = prints(reconcile(RULES, frame(1, SOURCE), frame(2, TARGET)))
    changed: list[tuple[str | None, ...]] = [("1", "10", "a"), ("2", "20", ""), ("3", "30", ""), ("3", "31", "c")]
    second = prints(reconcile(RULES, frame(1, changed), frame(2, [("1", "12", "a"), ("4", "40", "d")])))
    same = {key for key in first if first[key] == second[key]}
    assert first.keys() == second.keys()
    # The null note became an empty one; another note and a compared amount changed.
    assert same == {("MISSING_TARGET", "id=3", 0), ("MISSING_SOURCE", "id=4", 0)}
