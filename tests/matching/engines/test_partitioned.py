"""Partitions on disk change nothing: not a row, not a byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import Outcome, RuleSet, reconcile, rule_set_of
from matching.engines.partitioned import is_partitionable, reconcile_partitioned
from matching.errors import ColumnNotFound
from matching.outcome import LargeOutcome
from matching.plan import compile_rule_set
from models.tabular import write_csv, write_parquet
from models.tabular.spill import ParquetSpill
from tests.matching.helpers import a_pass, legacy, one_pass, side
from tests.matching.test_invariants import FIELDS, Columns, rule_sets, tables


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as place:
        yield Path(place)


def collected(outcome: LargeOutcome) -> list[pl.DataFrame]:
    lazy = (outcome.matches, outcome.unmatched_source, outcome.unmatched_target, outcome.breaks)
    return [*(one.collect() for one in lazy), outcome.amounts]


def assert_same(held: Outcome, spilled: LargeOutcome) -> None:
    assert spilled.statistics == held.statistics
    assert spilled.totals == held.totals
    expected = [held.matches, held.unmatched_source, held.unmatched_target, held.breaks, held.amounts]
    for one, other in zip(expected, collected(spilled), strict=True):
        assert one.schema == other.schema
        assert one.equals(other), f"{one}\n{other}"
    assert spilled.match_rows == held.matches.height
    assert spilled.unmatched_rows == (held.unmatched_source.height, held.unmatched_target.height)


LEGACY: list[RuleSet] = [
    legacy(["id", "ref"], "amount", "text", amount={"matchType": "RANGE", "tolerance": 0.01}),
    legacy(["id"], "day", "text", text={"matchType": "FUZZY", "fuzzyThreshold": 0.7}),
]


@st.composite
def written(draw: st.DrawFn) -> RuleSet:
    if draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from(LEGACY))
    definition: dict[str, Any] = draw(rule_sets)
    if draw(st.booleans()):
        definition |= {"amount": {"sourceField": "amount", "targetField": "amount"}}
    if draw(st.booleans()):
        definition |= {"potentialMatches": {"nearest": 2, "minimumScore": 0.3}}
    return rule_set_of(definition)


@settings(max_examples=150, deadline=None)
@given(
    written(),
    tables(12),
    tables(12),
    st.integers(1, 7),
    st.integers(1, 13),
    st.none() | st.randoms(use_true_random=False),
)
def test_partitions_change_nothing(
    rules: RuleSet, source: Columns, target: Columns, partitions: int, at_once: int, chance: random.Random | None
) -> None:
    inputs = [side(source, file_id=1), side(target, file_id=2)]
    held = reconcile(rules, *inputs)
    if chance is not None:
        rows = [one.collect() for one in inputs]
        inputs = [one[chance.sample(range(one.height), one.height)].lazy() for one in rows]
    with TemporaryDirectory() as place:
        spilled = reconcile_partitioned(
            rules, inputs[0], inputs[1], ParquetSpill(Path(place)), partitions, rows_at_once=at_once
        )
        assert_same(held, spilled)


def test_files_are_the_same_to_the_byte(folder: Path) -> None:
    rows = 3_000
    chance = random.Random(5)
    columns: Columns = {name: [None] * rows for name in FIELDS}
    for at in range(rows):
        columns["id"][at] = f"O-{chance.randrange(rows)}"
        columns["ref"][at] = str(at % 3)
        columns["amount"][at] = f"{chance.randrange(10_000)}.50"
        columns["text"][at] = chance.choice(["Åse", "", 'say "yes"', None])
    order = chance.sample(range(rows), rows)
    other = {name: [values[at] for at in order[100:]] for name, values in columns.items()}
    rules = one_pass(
        ["id"], [{"sourceField": "amount", "matchType": "RANGE", "tolerance": "3"}, {"sourceField": "text"}]
    )
    inputs = side(columns, file_id=1), side(other, file_id=2)
    held = reconcile(rules, *inputs)
    (folder / "spill").mkdir()
    spilled = reconcile_partitioned(rules, *inputs, ParquetSpill(folder / "spill"), 5, rows_at_once=700)
    for name in ("matches", "unmatched_source", "unmatched_target", "breaks"):
        for suffix, write in ((".parquet", write_parquet), (".csv", write_csv)):
            paths = [folder / f"{kind}{suffix}" for kind in ("held", "spilled")]
            write(getattr(held, name), paths[0])
            write(getattr(spilled, name), paths[1])
            assert paths[0].read_bytes() == paths[1].read_bytes(), name


def test_columns_that_no_rule_names_come_along(folder: Path) -> None:
    source = side({"id": ["a", "b"], "note*": ["x", "y"], "^id$": ["p", "q"]})
    target = side({"note*": ["z"], "id": ["b"]}, file_id=2)
    rules = one_pass(["id"])
    assert_same(reconcile(rules, source, target), reconcile_partitioned(rules, source, target, ParquetSpill(folder), 3))


def test_a_missing_column_is_named(folder: Path) -> None:
    inputs = side({"id": ["a"]}), side({"key": ["a"]}, file_id=2)
    with pytest.raises(ColumnNotFound, match="Column 'id' not found in target"):
        reconcile_partitioned(one_pass(["id"]), *inputs, ParquetSpill(folder), 2)


def test_what_can_be_partitioned() -> None:
    subset = a_pass(
        ["id"],
        conditions=[{"sourceField": "amount", "matchType": "RANGE", "tolerance": "0.01"}],
        cardinality="ONE_TO_MANY",
        grouping="SUBSET",
    )
    near = a_pass([], conditions=[{"sourceField": "amount", "matchType": "RANGE", "tolerance": "0.01"}])
    plan = compile_rule_set(rule_set_of({"passes": [a_pass(["id"]), subset, near]}))
    assert [is_partitionable(one) for one in plan.passes] == [True, False, False]
