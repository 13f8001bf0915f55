"""The difference of two rule sets on the same inputs."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import Outcome, reconcile, rule_set_of
from matching.backtest import backtest, difference
from tests.matching.helpers import a_pass, side
from tests.matching.test_invariants import Columns, rule_sets, tables

AMOUNT = {"sourceField": "amount"}

Match = tuple[frozenset[Any], frozenset[Any]]


def matches_of(outcome: Outcome) -> list[Match]:
    found: dict[int, tuple[set[Any], set[Any]]] = {}
    for row in outcome.matches.iter_rows(named=True):
        one = found.setdefault(row["match_id"], (set(), set()))
        one[0].add((row["source_file_id"], row["source_row"]))
        one[1].add((row["target_file_id"], row["target_row"]))
    return [(frozenset(one), frozenset(other)) for one, other in found.values()]


def test_won_lost_re_paired_and_same() -> None:
    source = side({"id": ["a", "b", "c", "d"], "ref": ["1", "2", "3", "4"], "amount": ["1", "2", "3", "4"]})
    target = side({"id": ["a", "b", "x", "d"], "ref": ["1", "9", "3", "8"], "amount": ["1", "5", "3", "4"]}, file_id=2)
    old = rule_set_of({"passes": [a_pass(["id"], [AMOUNT], name="by id")]})
    again = [a_pass(["ref"], [AMOUNT], name="by ref"), a_pass(["amount"], name="by amount")]
    found = backtest(old, rule_set_of({"passes": again}), source, target)
    assert found.matches.rows() == [
        ("LOST", "2", None, "1:2", None, "2:2", None, "by id", None),
        ("WON", None, "2", None, "1:3", None, "2:3", None, "by ref"),
        ("SAME", "1", "1", "1:1", "1:1", "2:1", "2:1", "by id", "by ref"),
        ("SAME", "3", "3", "1:4", "1:4", "2:4", "2:4", "by id", "by amount"),
    ]
    counts = found.changes
    assert (counts.old, counts.new, counts.same, counts.won, counts.lost, counts.re_paired) == (3, 3, 2, 1, 1, 0)
    assert found.breaks.rows() == [
        ("MISSING_SOURCE", None, 0, 1, 1),
        ("MISSING_TARGET", None, 0, 1, 1),
        ("VALUE_MISMATCH", "amount", 0, 1, 0),
    ]
    assert found.totals.rows() == [
        ("source", "MATCHED", 3, 3), ("source", "MISSING", 1, 1),
        ("target", "MATCHED", 3, 3), ("target", "MISSING", 1, 1),
    ]  # fmt: skip


def test_matches_with_records_in_common_are_one_row() -> None:
    source = side({"id": ["a", "a"], "ref": ["2", "1"]})
    target = side({"id": ["a", "a"], "ref": ["1", "2"]}, file_id=2)
    old, new = (rule_set_of({"passes": [a_pass([name])]}) for name in ("id", "ref"))
    crossed = backtest(old, new, source, target)
    assert crossed.matches["status"].to_list() == ["RE_PAIRED"]
    assert crossed.matches.row(0)[3:7] == ("1:1, 1:2", "1:1, 1:2", "2:1, 2:2", "2:1, 2:2")
    assert (crossed.changes.re_paired_old, crossed.changes.re_paired_new, crossed.changes.re_paired) == (2, 2, 1)
    together = rule_set_of({"passes": [a_pass(["id"], cardinality="MANY_TO_MANY")]})
    assert backtest(old, together, source, target).changes.re_paired_new == 1


def test_nothing_against_nothing() -> None:
    rules = rule_set_of({"passes": [a_pass(["id"])]})
    found = backtest(rules, rules, side({"id": []}), side({"id": []}, file_id=2))
    assert (found.matches.height, found.breaks.height, found.totals.height) == (0, 0, 0)


@settings(max_examples=50, deadline=None)
@given(rule_sets, rule_sets, tables(), tables(), st.randoms(use_true_random=False))
def test_every_match_is_counted_once(
    old: dict[str, Any], new: dict[str, Any], source: Columns, target: Columns, chance: random.Random
) -> None:
    rules = rule_set_of(old), rule_set_of(new)
    inputs = side(source, file_id=1), side(target, file_id=2)
    outcomes = [reconcile(one, *inputs) for one in rules]
    found = difference(*outcomes)
    before, after = (matches_of(one) for one in outcomes)
    counts = found.changes
    assert counts.same + counts.won + counts.re_paired_new == counts.new == len(after)
    assert counts.same + counts.lost + counts.re_paired_old == counts.old == len(before)
    assert counts.same == len(set(before) & set(after))

    def untouched(match: Match, others: list[Match]) -> bool:
        return all(not match[0] & other[0] and not match[1] & other[1] for other in others)

    assert counts.won == sum(untouched(one, before) for one in after)
    assert counts.lost == sum(untouched(one, after) for one in before)
    assert found.breaks["same"].sum() + found.breaks["gone"].sum() == outcomes[0].breaks.height
    assert found.breaks["same"].sum() + found.breaks["new"].sum() == outcomes[1].breaks.height
    for name, columns in (("source", source), ("target", target)):
        totals = found.totals.filter(pl.col("side") == name)
        assert totals["old"].sum() == totals["new"].sum() == len(columns["id"])
    # The other way round, what was won is lost.
    turned = difference(*reversed(outcomes))
    assert (turned.changes.won, turned.changes.lost, turned.changes.same) == (counts.lost, counts.won, counts.same)
    assert turned.changes.re_paired == counts.re_paired
    itself = difference(outcomes[0], outcomes[0])
    assert set(itself.matches["status"]) <= {"SAME"}
    assert itself.breaks.filter((pl.col("gone") > 0) | (pl.col("new") > 0)).is_empty()
    shuffled = [one.collect() for one in inputs]
    shuffled = [one[chance.sample(range(one.height), one.height)].lazy() for one in shuffled]
    again = backtest(*rules, *shuffled)
    assert again.matches.equals(found.matches)
    assert again.breaks.equals(found.breaks)
