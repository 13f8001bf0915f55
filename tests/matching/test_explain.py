"""Why records are a match, and why a record is in none."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from matching import reconcile, rule_set_of
from matching.errors import RecordUnknown
from matching.explain import MOST_AT_ONCE, Questions, explain, why_not
from matching.identity import FILE_ID, ROW
from tests.matching.helpers import a_pass, legacy, side
from tests.matching.test_invariants import Columns, rule_sets, tables

NUMERIC = {"sourceField": "amount", "matchType": "NUMERIC", "tolerance": "0.01"}
WINDOW = {"sourceField": "day", "matchType": "DATE_WINDOW", "daysTolerance": 1}
NAME = {"sourceField": "name", "matchType": "FUZZY"}
KEY = {"sourceField": "id", "transforms": ["TRIM", "UPPER"]}
RULES = rule_set_of({"passes": [a_pass([KEY], [NAME], conditions=[NUMERIC, WINDOW], name="strict")]})

SOURCE = side(
    {
        "id": ["o-1", "O-2", "O-3", "O-1234567", "O-5"],
        "amount": ["10.00", "100.00", "7.00", "55.10", "1"],
        "day": ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04", "2026-02-01"],
        "name": ["Acme Ltd", "Beta", "Gamma", "Delta Holdings", "Omega"],
        "own": ["a", "b", "c", "d", "e"],
    }
)
TARGET = side(
    {
        "id": ["O-1", "O-2", "O-3", "O-1234576", "O-77"],
        "amount": ["10.01", "105.00", "7.00", "55.10", "900"],
        "day": ["2026-01-02", "2026-01-02", "2026-01-09", "2026-01-04", "2024-02-01"],
        "name": ["ACME", "Beta", "Gamma", "Delta Holdings", "Zeta"],
        "theirs": ["v", "w", "x", "y", "z"],
    },
    file_id=2,
)


def test_a_match_is_explained() -> None:
    outcome = reconcile(RULES, SOURCE, TARGET)
    found = explain(RULES, outcome, SOURCE, TARGET, 1)
    assert (found.match_id, found.pass_name, found.score) == (1, "strict", outcome.matches["score"][0])
    assert found.source[0].values == {
        "id": "o-1", "amount": "10.00", "day": "2026-01-01", "name": "Acme Ltd", "own": "a",
    }  # fmt: skip
    assert (found.target[0].file_id, found.target[0].row, found.target[0].values["theirs"]) == (2, 1, "v")
    key = found.keys[0]
    assert (key.source_value, key.source_compared, key.target_value, key.agrees) == ("o-1", "O-1", "O-1", True)
    assert [(one.kind, one.match_type, one.agrees, one.delta) for one in found.rules] == [
        ("CONDITION", "NUMERIC", True, "0.01"),
        ("CONDITION", "DATE_WINDOW", True, "1"),
        ("COMPARISON", "FUZZY", False, None),
    ]
    assert found.sentence == "name: similarity 0.5, at least 0.8 needed; id, amount, day agree"
    wire = json.loads(json.dumps(found.on_the_wire()))
    assert wire["passName"] == "strict"
    assert wire["rules"][1]["sourceField"] == "day"
    with pytest.raises(RecordUnknown, match="no match 2; the outcome has 1"):
        explain(RULES, outcome, SOURCE, TARGET, 2)


def test_a_match_of_groups_is_explained_by_its_sums() -> None:
    rules = rule_set_of({"passes": [a_pass(["id"], [NUMERIC], cardinality="MANY_TO_ONE")]})
    source = side({"id": ["1", "1", "2"], "amount": ["2.50", "2.50", "1"]})
    target = side({"id": ["1", "2"], "amount": ["6", "1"]}, file_id=2)
    found = explain(rules, reconcile(rules, source, target), source, target, 1)
    assert [one.row for one in found.source] == [1, 2]
    amount = found.rules[0]
    assert (amount.source_value, amount.target_value, amount.delta, amount.agrees) == ("5.00", "6", "1", False)
    assert found.sentence == "2 source and 1 target records together: amount differs by 1, allowed 0.01"


def test_a_legacy_match_is_explained() -> None:
    rules = legacy(["id"], "amount", amount={"matchType": "RANGE", "tolerance": "1"})
    found = explain(rules, reconcile(rules, SOURCE, TARGET), SOURCE, TARGET, 1)
    assert found.rules[0].says == "amount differs by 5, allowed 1"
    assert found.rules[0].beyond == "4"


def test_the_nearest_candidates_and_what_stands_in_the_way() -> None:
    found = why_not(RULES, SOURCE, TARGET, [(1, 2), (1, 3), (1, 4), (1, 5), (1, 1)])
    assert [one.reason for one in found] == ["MISSING"] * 4 + [None]
    amount, day, key, far, matched = found
    first = amount.candidates[0]
    assert (first.record.row, first.taken) == (2, None)
    assert first.sentence == "amount differs by 5, allowed 0.01; id, day, name agree"
    rules = {one.source_field: one for one in first.passes[0].judgements}
    assert (rules["amount"].delta, rules["amount"].beyond) == ("5", "4.99")
    assert not first.passes[0].fits
    assert day.candidates[0].sentence == "day: 6 days apart, allowed 1; id, amount, name agree"
    assert {one.source_field: one.beyond for one in day.candidates[0].passes[0].judgements}["day"] == "5"
    assert (key.candidates[0].record.row, key.candidates[0].sentence) == (4, "id is not equal; amount, day, name agree")
    assert key.sentence.startswith("Nearest is target record 2:4, agreement ")
    assert far.candidates[0].score < 0.5
    assert matched.sentence == "It has a partner: target record 2:1 (match 1, pass 'strict')"
    json.dumps([one.on_the_wire() for one in found])


def test_a_taken_candidate_says_by_whom() -> None:
    source = side({"id": ["a", "b"], "amount": ["5", "5"], "day": ["2026-01-01"] * 2, "name": ["x", "x"]})
    target = side({"id": ["a"], "amount": ["5"], "day": ["2026-01-01"], "name": ["x"]}, file_id=2)
    found = why_not(RULES, source, target, (1, 2))[0].candidates[0]
    assert found.taken is not None
    assert [(one.file_id, one.row) for one in found.taken.partners] == [(1, 1)]
    assert found.sentence.endswith("; taken by source record 1:1 (match 1, pass 'strict')")
    assert why_not(RULES, source, target, (2, 1), side="target")[0].taken is not None


def test_records_of_a_pass_that_sums_are_judged_together() -> None:
    first = a_pass(["ref"], name="first")
    summing = a_pass(["id"], conditions=[NUMERIC], cardinality="MANY_TO_ONE", name="sums")
    rules = rule_set_of({"passes": [first, summing]})
    source = side(
        {"id": ["1", "1", "1", "2", "2"], "ref": ["r", "s", "t", "u", "v"], "amount": ["9", "2.50", "2.50", "1", "1"]}
    )
    target = side({"id": ["x", "1", "2", "2"], "ref": ["r", "y", "z", "w"], "amount": ["9", "6", "1", "1"]}, file_id=2)
    short, several = (one.candidates[0] for one in why_not(rules, source, target, [(1, 2), (1, 4)]))
    assert short.record.row == 2
    together = next(one for one in short.passes if one.pass_name == "sums")
    # The first record of the key went with an earlier pass.
    assert together.sentence == "2 source and 1 target records with the key together: amount differs by 1, allowed 0.01"
    assert (together.judgements[-1].source_value, together.fits) == ("5.00", False)
    doubled = next(one for one in several.passes if one.pass_name == "sums")
    assert "together: the pass wants one target record of a key" in doubled.sentence
    assert not doubled.fits


def test_unknown_records_are_refused() -> None:
    with pytest.raises(RecordUnknown, match="source has no record 1:99"):
        why_not(RULES, SOURCE, TARGET, (1, 99))
    with pytest.raises(ValueError, match="at most 1000"):
        why_not(RULES, SOURCE, TARGET, [(1, 1)] * (MOST_AT_ONCE + 1))


def _edited(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text))
    return chance.choice([text[:at] + text[at + 1 :], text[:at] + "9" + text[at:], text[:at] + "x" + text[at + 1 :]])


def test_a_key_with_one_character_wrong_is_found_among_many() -> None:
    chance = random.Random(5)
    ids = [f"INV-{number:07d}" for number in range(70_000)]
    wrong = [(number, _edited(ids[number], chance)) for number in chance.sample(range(70_000), 40)]
    rules = rule_set_of({"passes": [a_pass(["id"])]})
    source = side({"id": [text for _, text in wrong]})
    questions = Questions.of(rules, source, side({"id": ids}, file_id=2))
    left = questions.outcome.unmatched_source.select(FILE_ID, ROW).rows()
    assert len(left) > 30
    for one in questions.why_not(left):
        written, near = str(one.record.values["id"]), str(one.candidates[0].record.values["id"])
        # Several may be one character away.
        assert Levenshtein.distance(written, near) == 1


def test_few_records_see_what_many_see_in_a_large_block() -> None:
    chance = np.random.default_rng(3)
    amounts = [f"{one / 100:.2f}" for one in chance.integers(1, 900_000, 60_000)]
    days = pl.Series(chance.integers(18_000, 19_000, 60_000)).cast(pl.Int32).cast(pl.Date).cast(pl.String).to_list()
    rules = rule_set_of({"passes": [a_pass([], conditions=[{**NUMERIC, "tolerance": "0"}, WINDOW])]})
    asked = side({"amount": [f"{one * 331}.005" for one in range(30)], "day": days[:30]})
    questions = Questions.of(rules, asked, side({"amount": amounts, "day": days}, file_id=2))
    rows = [(1, one) for one in range(1, 31)]
    many = questions.why_not(rows)
    assert [questions.why_not([one])[0] for one in rows[:4]] == many[:4]
    # The nearest amount is among them.
    for one in many[:10]:
        wanted = float(one.record.values["amount"] or 0)
        nearest = min(abs(float(amount) - wanted) for amount in amounts)
        seen = [abs(float(other.record.values["amount"] or 0) - wanted) for other in one.candidates]
        assert seen
        assert nearest <= min(seen)


@settings(max_examples=25, deadline=None)
@given(rule_sets, tables(), tables(), st.randoms(use_true_random=False))
def test_answers_depend_on_neither_order_nor_company(
    definition: dict[str, Any], source: Columns, target: Columns, chance: random.Random
) -> None:
    rules = rule_set_of(definition)
    inputs = side(source, file_id=1), side(target, file_id=2)
    questions = Questions.of(rules, *inputs)
    rows = [(1, number + 1) for number in range(len(source["id"]))]
    found = questions.why_not(rows, nearest=3)
    assert [one.record.row for one in found] == [row for _, row in rows]
    assert [questions.why_not([one], nearest=3)[0] for one in rows] == found
    shuffled = [one.collect() for one in inputs]
    shuffled = [one[chance.sample(range(one.height), one.height)] for one in shuffled]
    assert why_not(rules, *(one.lazy() for one in shuffled), rows, nearest=3) == found
    for one in found:
        assert len(one.candidates) <= 3
        scores = [other.score for other in one.candidates]
        assert scores == sorted(scores, reverse=True)
        assert (one.taken is None) == (one.reason is not None)
    for match_id in questions.outcome.matches["match_id"].unique():
        explained = explain(rules, questions.outcome, *inputs, match_id)
        assert explained.source
        assert explained.target
        json.dumps(explained.on_the_wire())


def test_a_probabilistic_match_is_explained_by_its_weights(shared_data: Path) -> None:
    pytest.importorskip("splink", reason="needs the extra 'linkage'")
    files = (shared_data / "febrl" / "source.csv", 1), (shared_data / "febrl" / "target.csv", 2)
    row = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW)
    inputs = [
        pl.scan_csv(path, infer_schema=False).with_columns(pl.lit(file_id, pl.Int64).alias(FILE_ID), row).head(600)
        for path, file_id in files
    ]
    names = ("given_name", "surname", "postcode", "date_of_birth", "soc_sec_id")
    rules = rule_set_of(
        {"passes": [{"name": "linked", "linkage": {"fields": [{"sourceField": one} for one in names]}}]}
    )
    outcome = reconcile(rules, inputs[0], inputs[1])
    found = explain(rules, outcome, inputs[0], inputs[1], 1)
    assert set(found.weights) == {"weight", *(f"weight_{one}" for one in names)}
    assert [(one.kind, one.source_field) for one in found.rules] == [("FIELD", one) for one in names]
    partner = found.target[0].file_id, found.target[0].row
    near = why_not(rules, inputs[0], inputs[1], partner, side="target", outcome=outcome)[0]
    assert (near.candidates[0].record.row, near.taken is not None) == (found.source[0].row, True)
