"""Probabilistic passes, from rule set to outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from matching import reconcile, rule_set_of
from matching.errors import RuleInvalid
from matching.identity import ROW
from tests.matching.helpers import matched_people, read, same

pytest.importorskip("splink", reason="needs the extra 'linkage'")

FIELDS: list[dict[str, Any]] = [
    {"sourceField": "given_name", "swappedWith": "surname"},
    {"sourceField": "surname"},
    {"sourceField": "address_1"},
    {"sourceField": "suburb"},
    {"sourceField": "postcode", "method": "LEVENSHTEIN"},
    {"sourceField": "state", "method": "EXACT"},
    {"sourceField": "date_of_birth", "method": "LEVENSHTEIN"},
    {"sourceField": "soc_sec_id", "method": "LEVENSHTEIN"},
]


def test_febrl_without_a_label_or_a_rule(shared_data: Path) -> None:
    folder = shared_data / "febrl"
    source, target = read(folder / "source.csv", 1), read(folder / "target.csv", 2)
    rule_set = rule_set_of({"passes": [{"name": "linked", "linkage": {"fields": FIELDS}}]})
    outcome = reconcile(rule_set, source, target)
    truth = set(pl.read_csv(folder / "truth.csv", infer_schema=False).rows())
    found = matched_people(outcome, source, target)
    assert set(found) <= truth
    assert len(found) >= 0.998 * len(truth)
    # The weights of the fields and the prior's, the same for all, add up to the pair's.
    weights = [f"weight_{field['sourceField']}" for field in FIELDS]
    prior = outcome.matches.select(pl.col("weight") - pl.sum_horizontal(weights)).to_series()
    assert prior.max() - prior.min() < 1e-5
    assert outcome.matches["score"].is_between(0.99, 1).all()
    shuffled = source.collect().sample(fraction=1, shuffle=True, seed=3).lazy()
    assert same(outcome, reconcile(rule_set, shuffled, target))


def test_what_one_pass_left_over_is_linked_where_the_conditions_allow_it(shared_data: Path) -> None:
    folder = shared_data / "febrl"
    source, target = read(folder / "source.csv", 1), read(folder / "target.csv", 2)
    by_number = {"name": "number", "keys": [{"sourceField": "soc_sec_id"}]}
    linked = {
        "name": "linked",
        "linkage": {"fields": FIELDS, "blocking": [["date_of_birth"], ["given_name", "surname"]]},
        "conditions": [{"sourceField": "state"}],
        "comparisons": [{"sourceField": "postcode"}],
    }
    outcome = reconcile(rule_set_of({"passes": [by_number, linked]}), source, target)
    passes = dict(outcome.matches.group_by("pass").len().iter_rows())
    assert passes["number"] == 4561
    assert 200 < passes["linked"] < 439
    of_pass = outcome.matches.filter(pl.col("pass") == "linked")
    states = of_pass.lazy().join(source, left_on="source_row", right_on=ROW).select("state", "target_row").collect()
    other = states.lazy().join(target, left_on="target_row", right_on=ROW, suffix="_target").collect()
    assert other["state"].eq_missing(other["state_target"]).all()
    assert set(outcome.breaks.filter(pl.col("type") == "VALUE_MISMATCH")["field"]) == {"postcode"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"keys": [{"sourceField": "id"}]}, "a pass with linkage has no keys"),
        ({"cardinality": "ONE_TO_MANY"}, "linkage needs cardinality ONE_TO_ONE"),
        ({"linkage": {"fields": []}}, "at least 1 item"),
        ({"linkage": {"fields": FIELDS, "blocking": [["shoe_size"]]}}, "shoe_size"),
        ({"linkage": {"fields": [*FIELDS, {"sourceField": "state", "method": "SOUNDEX"}]}}, "JARO_WINKLER"),
        ({"linkage": {"fields": [{"sourceField": "a", "threshold": 0.9}]}}, "available: sourceField"),
    ],
)
def test_what_means_nothing_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(RuleInvalid) as raised:
        rule_set_of({"passes": [{"linkage": {"fields": FIELDS}, **change}]})
    assert text in raised.value.message
