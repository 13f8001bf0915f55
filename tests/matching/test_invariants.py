"""What holds for every rule set with passes, on every input."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import Outcome, reconcile, rule_set_of
from matching.identity import FILE_ID, ROW
from tests.matching.helpers import frames, same, side

Columns = dict[str, list[str | None]]

FIELDS = ("id", "ref", "amount", "day", "text")
CELLS: dict[str, st.SearchStrategy[str | None]] = {
    "id": st.sampled_from(["a", "b", "c", " a ", "", None]),
    "ref": st.sampled_from(["1", "2", None]),
    "amount": st.sampled_from(["1", "1.00", "1.01", "2.5", "-1", "EUR 1", "x", None]),
    "day": st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-05", "soon", None]),
    "text": st.sampled_from(["acme", "acmee", "Acme Ltd", "beta", None]),
}


@st.composite
def tables(draw: st.DrawFn, most: int = 8) -> Columns:
    rows = draw(st.integers(0, most))
    return {name: draw(st.lists(CELLS[name], min_size=rows, max_size=rows)) for name in FIELDS}


RULES: list[dict[str, Any]] = [
    {"sourceField": "ref"},
    {"sourceField": "amount", "matchType": "RANGE", "tolerance": "0.01"},
    {"sourceField": "amount", "matchType": "RANGE", "tolerance": "2"},
    {"sourceField": "day", "matchType": "DATE_WINDOW", "daysTolerance": 1},
    {"sourceField": "day", "matchType": "DATE_WINDOW", "daysTolerance": 4},
    {"sourceField": "amount", "matchType": "NUMERIC", "percent": "50", "percentOf": "LARGER"},
    {
        "sourceField": "amount",
        "matchType": "NUMERIC",
        "tolerance": "1",
        "percent": "60",
        "combine": "SMALLER",
        "percentOf": "LARGER",
    },
    {"sourceField": "day", "matchType": "DATE_WINDOW", "daysTolerance": 1, "businessDays": True},
    {"sourceField": "text", "matchType": "FUZZY", "fuzzyThreshold": 0.6},
    {"sourceField": "text", "matchType": "FUZZY", "fuzzyThreshold": 0.8, "algorithm": "JARO_WINKLER"},
    {"sourceField": "text", "matchType": "CONTAINS"},
    {"sourceField": "text", "matchType": "REGEX", "pattern": "(?i)^([a-z]{4})"},
    {"sourceField": "text", "matchType": "ONE_OF", "groups": [["acme", "beta"]]},
]
FINDING = RULES[:8]
SUMS = [
    {"sourceField": "amount", "matchType": "RANGE", "tolerance": "0.01"},
    {"sourceField": "amount", "matchType": "NUMERIC", "percent": "10"},
]
KEYS: list[dict[str, Any]] = [{"sourceField": "id", "transforms": ["TRIM"]}, {"sourceField": "ref"}]


@st.composite
def passes(draw: st.DrawFn) -> dict[str, Any]:
    keys = draw(st.lists(st.sampled_from(KEYS), unique_by=str, max_size=2))
    conditions = draw(st.lists(st.sampled_from(RULES), unique_by=str, max_size=2))
    if not keys:
        conditions = [draw(st.sampled_from(FINDING)), *conditions]
    cardinality = draw(st.sampled_from(["ONE_TO_ONE", "ONE_TO_ONE", "ONE_TO_MANY", "MANY_TO_ONE", "MANY_TO_MANY"]))
    if cardinality in ("ONE_TO_MANY", "MANY_TO_ONE") and draw(st.booleans()):
        others = [one for one in conditions if one["sourceField"] != "amount"]
        return {
            "keys": keys,
            "conditions": [draw(st.sampled_from(SUMS)), *others],
            "cardinality": cardinality,
            "grouping": "SUBSET",
            "subset": {"fees": draw(st.sampled_from(["0", "0.5"]))},
            "ambiguity": "REVIEW",
        }
    return {
        "keys": keys,
        "conditions": conditions,
        "comparisons": draw(st.lists(st.sampled_from(RULES), unique_by=str, max_size=2)),
        "cardinality": cardinality if keys else "ONE_TO_ONE",
        "ambiguity": draw(st.sampled_from([None, "BEST", "REVIEW", "IN_ORDER"])),
        "decision": draw(st.sampled_from(["MATCH", "MATCH", "SUGGEST"])),
    }


rule_sets = st.lists(passes(), min_size=1, max_size=3).map(lambda several: {"passes": several})


def run(definition: dict[str, Any], source: pl.LazyFrame, target: pl.LazyFrame) -> Outcome:
    return reconcile(rule_set_of(definition), source, target)


def identities(frame: pl.DataFrame, prefix: str) -> list[tuple[int, int]]:
    return frame.select(f"{prefix}_file_id", f"{prefix}_row").rows()


@settings(max_examples=200, deadline=None)
@given(rule_sets, tables(), tables())
def test_every_record_ends_in_one_place(definition: dict[str, Any], source: Columns, target: Columns) -> None:
    inputs = side(source, file_id=1), side(target, file_id=2)
    outcome = run(definition, *inputs)
    for name, given_in, unmatched in zip(
        ("source", "target"), inputs, (outcome.unmatched_source, outcome.unmatched_target), strict=True
    ):
        matched = set(identities(outcome.matches, name))
        left = unmatched.select(FILE_ID, ROW).rows()
        every = given_in.select(FILE_ID, ROW).collect().rows()
        assert len(left) == len(set(left))
        assert not matched & set(left)
        assert matched | set(left) == set(every)
    # A record is in one match; of a match of several, the links hold together.
    for name in ("source", "target"):
        assert outcome.matches.group_by(f"{name}_row").agg(pl.col("match_id").n_unique())["match_id"].max() in (1, None)
    # Whoever has no partner is in a break.
    for name, unmatched in (("source", outcome.unmatched_source), ("target", outcome.unmatched_target)):
        asked = set(identities(outcome.breaks.filter(pl.col(f"{name}_row").is_not_null()), name))
        assert set(unmatched.select(FILE_ID, ROW).rows()) <= asked


@settings(max_examples=100, deadline=None)
@given(rule_sets, tables(), tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(
    definition: dict[str, Any], source: Columns, target: Columns, chance: random.Random
) -> None:
    inputs = side(source, file_id=1), side(target, file_id=2)
    shuffled = [one.collect() for one in inputs]
    shuffled = [one[chance.sample(range(one.height), one.height)] for one in shuffled]
    assert same(run(definition, *inputs), run(definition, *(one.lazy() for one in shuffled)))


_SWAPPED = {"ONE_TO_MANY": "MANY_TO_ONE", "MANY_TO_ONE": "ONE_TO_MANY"}


@settings(max_examples=150, deadline=None)
@given(rule_sets, tables(), tables())
def test_swapped_sides_give_the_mirrored_outcome(definition: dict[str, Any], source: Columns, target: Columns) -> None:
    mirrored = {
        "passes": [
            one | {"cardinality": _SWAPPED.get(one["cardinality"], one["cardinality"])} for one in definition["passes"]
        ]
    }
    inputs = side(source, file_id=1), side(target, file_id=2)
    straight, other = run(definition, *inputs), run(mirrored, *reversed(inputs))
    pairs = set(straight.matches.select("source_row", "target_row").rows())
    assert pairs == set(other.matches.select("target_row", "source_row").rows())
    assert straight.totals.source == other.totals.target
    assert straight.totals.target == other.totals.source
    assert straight.unmatched_source.equals(other.unmatched_target)


@settings(max_examples=150, deadline=None)
@given(tables(3), tables(3), st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_a_tighter_tolerance_never_matches_more(
    source: Columns, target: Columns, days: int, more: int, keyed: bool
) -> None:
    def matched(tolerance: int) -> int:
        window = {"sourceField": "day", "matchType": "DATE_WINDOW", "daysTolerance": tolerance}
        one = {"keys": KEYS[:1] if keyed else [], "conditions": [window]}
        return run({"passes": [one]}, side(source, file_id=1), side(target, file_id=2)).matches.height

    assert matched(days) <= matched(days + more)


@settings(max_examples=60, deadline=None)
@given(passes(), tables(), tables())
def test_what_a_pass_matched_the_next_does_not_see(one: dict[str, Any], source: Columns, target: Columns) -> None:
    """Run again on what it left over, a pass that matches for good finds nothing that its first run could have found."""
    inputs = side(source, file_id=1), side(target, file_id=2)
    first = run({"passes": [one]}, *inputs)
    twice = run({"passes": [one | {"name": "first"}, one | {"name": "again"}]}, *inputs)
    again = twice.matches.filter(pl.col("pass") == "again")
    if one["ambiguity"] != "REVIEW" and one["decision"] == "MATCH":
        assert again.is_empty()
        assert twice.matches.drop("pass").equals(first.matches.drop("pass"))
    assert frames(first)[0].height <= twice.matches.height
