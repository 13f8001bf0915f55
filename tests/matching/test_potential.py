"""POTENTIAL_MATCH breaks of records without a partner, where a rule set asks for them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matching.potential
from matching import Outcome, reconcile, rule_set_of
from matching.explain import why_not
from matching.identity import ROW
from tests.matching.helpers import a_pass, same, side
from tests.matching.test_explain import KEY, NAME, NUMERIC, SOURCE, TARGET, WINDOW
from tests.matching.test_invariants import Columns, rule_sets, tables

ONE = a_pass([KEY], [NAME], conditions=[NUMERIC, WINDOW], name="strict")


def asking(nearest: int = 1, minimum: float = 0.65) -> Any:
    wanted = {"nearest": nearest, "minimumScore": minimum}
    return rule_set_of({"passes": [ONE], "potentialMatches": wanted})


def potential(outcome: Outcome) -> pl.DataFrame:
    pairs = pl.col("source_row").is_not_null() & pl.col("target_row").is_not_null()
    return outcome.breaks.filter((pl.col("type") == "POTENTIAL_MATCH") & pairs)


def test_near_records_are_put_to_a_person() -> None:
    outcome = reconcile(asking(), SOURCE, TARGET)
    plain = reconcile(rule_set_of({"passes": [ONE]}), SOURCE, TARGET)
    found = potential(outcome)
    assert found.select("source_row", "target_row", "severity", "match_id").rows() == [
        (2, 2, "MEDIUM", None), (3, 3, "MEDIUM", None), (4, 4, "MEDIUM", None),
    ]  # fmt: skip
    assert found["description"][0] == (
        "Nearest without a partner by 'strict', agreement 86.9 %: "
        "amount differs by 5, allowed 0.01; id, day, name agree; confirm or reject it"
    )
    assert found["key"][0] == "id=O-2"
    # In addition to all other breaks, and nothing else changes.
    others = outcome.breaks.filter(~pl.col("description").str.starts_with("Nearest"))
    assert others.equals(plain.breaks)
    assert outcome.matches.equals(plain.matches)
    assert outcome.statistics.exception_count == plain.statistics.exception_count + 3
    for row in found.iter_rows(named=True):
        answer = why_not(asking(), SOURCE, TARGET, (1, row["source_row"]))[0].candidates[0]
        assert answer.record.row == row["target_row"]
        assert f"{answer.score * 100:.1f} %" in row["description"]


def test_the_score_and_the_number_are_bounds() -> None:
    assert potential(reconcile(asking(minimum=0.9), SOURCE, TARGET)).is_empty()
    scores = [0.0, 0.3, 0.6, 0.868, 0.869, 0.875, 0.9]
    counts = [potential(reconcile(asking(20, score), SOURCE, TARGET)).height for score in scores]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 16
    assert potential(reconcile(asking(2, 0.0), SOURCE, TARGET)).height == 8


def test_what_is_suggested_anyway_is_not_asked_twice() -> None:
    rules = {"passes": [ONE | {"decision": "SUGGEST"}], "potentialMatches": {"minimumScore": 0.5}}
    found = potential(reconcile(rule_set_of(rules), SOURCE, TARGET))
    assert found.select("source_row", "target_row").rows() == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert found["description"][0].startswith("Suggested by pass 'strict'")


@settings(max_examples=20, deadline=None)
@given(rule_sets, tables(), tables(), st.integers(1, 3), st.randoms(use_true_random=False))
def test_only_records_without_a_partner_each_a_few_times(
    definition: dict[str, Any], source: Columns, target: Columns, nearest: int, chance: random.Random
) -> None:
    rules = rule_set_of(definition | {"potentialMatches": {"nearest": nearest, "minimumScore": 0.4}})
    inputs = side(source, file_id=1), side(target, file_id=2)
    outcome = reconcile(rules, *inputs)
    near = potential(outcome).filter(pl.col("description").str.starts_with("Nearest"))
    assert set(near["source_row"]) <= set(outcome.unmatched_source[ROW])
    assert set(near["target_row"]) <= set(outcome.unmatched_target[ROW])
    assert near["source_row"].value_counts()["count"].max() in (None, *range(1, nearest + 1))
    pairs = set(near.select("source_row", "target_row").rows())
    assert len(pairs) == near.height
    others = potential(outcome).filter(~pl.col("description").str.starts_with("Nearest"))
    assert not pairs & set(others.select("source_row", "target_row").rows())
    shuffled = [one.collect() for one in inputs]
    shuffled = [one[chance.sample(range(one.height), one.height)].lazy() for one in shuffled]
    assert same(reconcile(rules, *shuffled), outcome)


def test_the_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few pairs may be judged, each record still sees its next neighbours."""
    monkeypatch.setattr(matching.potential, "MOST_PAIRS", 1)
    chance = np.random.default_rng(1)
    count = 3_000
    ids = chance.permutation(count)
    source = side({"id": [f"S-{one}" for one in ids], "amount": [f"{one}.00" for one in ids]})
    target = side(
        {"id": [f"T-{one}" for one in range(count)], "amount": [f"{one}.40" for one in range(count)]}, file_id=2
    )
    rules = {"passes": [a_pass(["id"], conditions=[NUMERIC])], "potentialMatches": {"minimumScore": 0.3}}
    found = potential(reconcile(rule_set_of(rules), source, target))
    assert found.height > 0.99 * count
    assert found["source_row"].is_unique().all()
