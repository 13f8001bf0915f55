"""SUBSET passes: which settlements make up this credit, from rule set to outcome."""

from __future__ import annotations

from typing import Any

import polars as pl

from matching import Outcome, reconcile, rule_set_of
from matching.identity import ROW
from tests.matching.helpers import side

AMOUNT: dict[str, Any] = {"sourceField": "amount", "matchType": "NUMERIC"}


def run(
    credits: dict[str, list[Any]],
    items: dict[str, list[Any]],
    *,
    conditions: list[dict[str, Any]] | None = None,
    many_to_one: bool = False,
    **rest: Any,
) -> Outcome:
    one = {
        "conditions": [AMOUNT] if conditions is None else conditions,
        "grouping": "SUBSET",
        "cardinality": "MANY_TO_ONE" if many_to_one else "ONE_TO_MANY",
        **rest,
    }
    sides = [side(credits, file_id=1), side(items, file_id=2)]
    return reconcile(rule_set_of({"passes": [one]}), *(reversed(sides) if many_to_one else sides))


def settled(outcome: Outcome, *, many_to_one: bool = False) -> dict[int, list[int]]:
    one, many = ("target_row", "source_row") if many_to_one else ("source_row", "target_row")
    grouped = outcome.matches.sort(many).group_by(one).agg(many)
    return dict(grouped.iter_rows())


CREDITS = {"amount": ["60.30", "15.00"]}
ITEMS = {"amount": ["10.10", "20.10", "30.10", "7.00", "8.00", "99.99"]}


def test_credits_are_made_up_of_settlements() -> None:
    outcome = run(CREDITS, ITEMS)
    assert settled(outcome) == {1: [1, 2, 3], 2: [4, 5]}
    assert outcome.totals.source == {"MATCHED": 2}
    assert outcome.totals.target == {"MATCHED": 5, "MISSING": 1}
    assert outcome.unmatched_target[ROW].to_list() == [6]
    assert outcome.matches.group_by("source_row").agg(pl.col("match_id").n_unique())["match_id"].to_list() == [1, 1]


def test_the_sides_may_be_the_other_way_round() -> None:
    outcome = run(CREDITS, ITEMS, many_to_one=True)
    assert settled(outcome, many_to_one=True) == {1: [1, 2, 3], 2: [4, 5]}
    assert outcome.totals.target == {"MATCHED": 2}


def test_keys_make_blocks() -> None:
    outcome = run(
        {"shop": ["a", "b"], "amount": ["3", "3"]},
        {"shop": ["a", "b", "b"], "amount": ["3", "1", "2"]},
        keys=[{"sourceField": "shop"}],
    )
    assert settled(outcome) == {1: [1], 2: [2, 3]}


def test_dates_make_a_pool_of_its_own_for_each() -> None:
    outcome = run(
        {"day": ["2026-01-05", "2026-01-07"], "amount": ["3", "3"]},
        {"day": ["2026-01-03", "2026-01-04", "2026-01-06", "2026-01-07"], "amount": ["1", "2", "2", "1"]},
        conditions=[AMOUNT, {"sourceField": "day", "matchType": "DATE_WINDOW", "daysBefore": 2}],
    )
    assert settled(outcome) == {1: [1, 2], 2: [3, 4]}


def test_fees_may_have_been_withheld() -> None:
    items = {"amount": ["50.00", "50.00", "7.77"]}
    assert settled(run({"amount": ["98.50"]}, items)) == {}
    assert settled(run({"amount": ["98.50"]}, items, subset={"fees": "1.49"})) == {}
    outcome = run({"amount": ["98.50"]}, items, subset={"fees": "1.50"})
    assert settled(outcome) == {1: [1, 2]}
    assert outcome.matches["delta_1_amount"].to_list() == ["1.5", "1.5"]


def test_the_tolerance_is_inclusive_and_exact_sums_go_first() -> None:
    tolerance = [{**AMOUNT, "tolerance": "0.05"}]
    items = {"amount": ["10.00", "5.05"]}
    assert settled(run({"amount": ["15.00"]}, items, conditions=tolerance)) == {1: [1, 2]}
    assert settled(run({"amount": ["15.00"]}, {"amount": ["10.00", "5.06"]}, conditions=tolerance)) == {}
    credits = {"amount": ["15.00", "15.05"]}
    assert settled(run(credits, items, conditions=tolerance)) == {2: [1, 2]}


def test_percentages_are_of_the_one_amount() -> None:
    percent = [{**AMOUNT, "percent": "1"}]
    credits = {"amount": ["100.00", "200.00"]}
    items = {"amount": ["60", "41", "150", "52.01"]}
    assert settled(run(credits, items, conditions=percent)) == {1: [1, 2]}


def test_several_equal_solutions_are_ambiguous() -> None:
    outcome = run({"amount": ["10"]}, {"amount": ["4", "6", "3", "7", "50"]})
    assert settled(outcome) == {}
    assert outcome.totals.source == {"AMBIGUOUS": 1}
    assert outcome.totals.target == {"AMBIGUOUS": 4, "MISSING": 1}
    kinds = outcome.breaks.group_by("type").len().sort("type")
    assert dict(kinds.iter_rows()) == {"MISSING_SOURCE": 1, "POTENTIAL_MATCH": 4}


def test_what_two_claim_is_ambiguous() -> None:
    outcome = run({"amount": ["10", "10"]}, {"amount": ["4", "6"]})
    assert outcome.totals.source == {"AMBIGUOUS": 2}
    dated = {"day": ["2026-01-05"] * 2, "amount": ["10", "10"]}
    window = [AMOUNT, {"sourceField": "day", "matchType": "DATE_WINDOW", "daysTolerance": 2}]
    outcome = run(dated, {"day": ["2026-01-05", "2026-01-04"], "amount": ["4", "6"]}, conditions=window)
    assert outcome.totals.source == {"AMBIGUOUS": 2}
    assert outcome.totals.target == {"AMBIGUOUS": 2}


def test_a_stopped_search_says_so() -> None:
    items = {"amount": [str(37 * number * number + 11) for number in range(1, 60)]}
    outcome = run({"amount": ["1000001"]}, items, subset={"budget": 100})
    assert outcome.totals.source == {"SEARCH_TRUNCATED": 1}
    missing = outcome.breaks.filter(pl.col("type") == "MISSING_TARGET")
    assert missing["description"].to_list() == [
        "No matching record found in target: the search was stopped by its budget, or by amounts too large to sum"
    ]


def test_currencies_don_t_add_up() -> None:
    conditions = [{**AMOUNT, "sourceCurrencyField": "ccy", "targetCurrencyField": "ccy"}]
    credits = {"amount": ["30", "30"], "ccy": ["EUR", "USD"]}
    items = {"amount": ["10", "20", "10", "20"], "ccy": ["EUR", "USD", "USD", "EUR"]}
    assert settled(run(credits, items, conditions=conditions)) == {1: [1, 4], 2: [2, 3]}


def test_unreadable_amounts_take_no_part() -> None:
    outcome = run({"amount": ["3", "n/a", None]}, {"amount": ["1", "2", "", "?"]})
    assert settled(outcome) == {1: [1, 2]}
    assert outcome.totals.source == {"MATCHED": 1, "MISSING": 2}
    assert outcome.totals.target == {"MATCHED": 2, "MISSING": 2}


def test_sizes_are_bounded() -> None:
    items = {"amount": ["1", "2", "3"]}
    assert settled(run({"amount": ["6"]}, items, subset={"maxSize": 2})) == {}
    assert settled(run({"amount": ["3"]}, items, subset={"minSize": 2})) == {1: [1, 2]}


def test_comparisons_are_judged_on_what_a_match_has_in_common() -> None:
    outcome = run(
        {"amount": ["3"], "shop": ["A"]},
        {"amount": ["1", "2"], "shop": ["A", "B"]},
        comparisons=[{"sourceField": "shop"}],
    )
    assert settled(outcome) == {1: [1, 2]}
    breaks = outcome.breaks.select("type", "field", "source_value", "target_value").rows()
    assert breaks == [("VALUE_MISMATCH", "shop", "A", "A, B")]


def test_what_may_be_chance_is_only_suggested_where_asked() -> None:
    """Of 30 amounts up to 5,000 some six make up nearly any sum."""
    items = {"amount": [str(7 * number**3 % 4_999 + 1) for number in range(1, 31)]}
    credit = {"amount": ["4014"]}
    outcome = run(credit, items)
    chance = outcome.matches["chance"][0]
    assert chance > 10
    doubted = run(credit, items, subset={"maximumChance": 0.05})
    assert doubted.totals.source == {"AMBIGUOUS": 1}
    suggested = doubted.breaks.filter(pl.col("type") == "POTENTIAL_MATCH")["target_row"]
    assert suggested.to_list() == outcome.matches["target_row"].to_list()
    assert run(CREDITS, ITEMS, subset={"maximumChance": 0.05}).totals.source == {"MATCHED": 2}


def test_a_sum_is_of_one_currency() -> None:
    assert settled(run({"amount": ["100"]}, {"amount": ["60 EUR", "40 USD"]})) == {}
    both = {"amount": ["60 EUR", "40 USD", "40 EUR", "60 USD"]}
    assert settled(run({"amount": ["100 EUR"]}, both)) == {1: [1, 3]}
    # By an amount that names no currency, either would do.
    assert run({"amount": ["100"]}, both).totals.source == {"AMBIGUOUS": 1}
    assert settled(run({"amount": ["100"]}, {"amount": ["60 EUR", "40 EUR", "7 USD"]})) == {1: [1, 2]}


def test_an_amount_without_currency_goes_with_any() -> None:
    assert settled(run({"amount": ["100 EUR"]}, {"amount": ["60 EUR", "40"]})) == {1: [1, 2]}
    several = {"amount": ["60 EUR", "40", "7 USD", "3"]}
    assert settled(run({"amount": ["100 EUR", "10 USD"]}, several)) == {1: [1, 2], 2: [3, 4]}
    assert settled(run({"amount": ["43", "67"]}, {"amount": ["60 EUR", "40", "7 EUR", "3"]})) == {1: [2, 4], 2: [1, 3]}
    assert settled(run({"amount": ["5"]}, {"amount": ["2", "3", "9 EUR", "9 USD"]})) == {1: [1, 2]}


def test_a_tolerance_of_a_currency_is_that_of_the_partners() -> None:
    rule = {**AMOUNT, "perCurrency": {"EUR": "1"}}
    assert settled(run({"amount": ["99"]}, {"amount": ["60 EUR", "40 EUR"]}, conditions=[rule])) == {1: [1, 2]}
    mixed = {"amount": ["60 EUR", "40 EUR", "98 USD"]}
    assert settled(run({"amount": ["99"]}, mixed, conditions=[rule])) == {1: [1, 2]}


def test_a_percentage_is_of_what_it_says() -> None:
    def found(credit: str, of: str, *, many_to_one: bool = False) -> bool:
        rule = {**AMOUNT, "percent": "1", "percentOf": of}
        outcome = run({"amount": [credit]}, {"amount": ["60", "40"]}, conditions=[rule], many_to_one=many_to_one)
        return bool(outcome.matches.height) and min(outcome.matches["score"]) >= 0.5

    # The sum is 100: one percent of it is 1.
    assert [found("99.00", "TARGET"), found("98.99", "TARGET"), found("101.00", "TARGET")] == [True, False, True]
    assert [found("99.01", "SOURCE"), found("99.00", "SOURCE"), found("101.01", "SOURCE")] == [True, False, True]
    assert [found("99.00", "LARGER"), found("101.01", "LARGER"), found("101.02", "LARGER")] == [True, True, False]
    assert found("101.00", "SOURCE", many_to_one=True)
    assert not found("101.01", "SOURCE", many_to_one=True)


def test_what_fees_allow_agrees() -> None:
    outcome = run({"amount": ["97"]}, {"amount": ["60", "40"]}, subset={"fees": "6"})
    assert outcome.matches["score"].to_list() == [0.75, 0.75]
    assert outcome.matches["delta_1_amount"].to_list() == ["3", "3"]


def test_powers_of_ten_are_numbers_too() -> None:
    assert settled(run({"amount": ["2"]}, {"amount": ["15e-1", "5e-1"]})) == {1: [1, 2]}


def test_what_is_too_large_to_be_summed_is_said_so() -> None:
    large = "1" + "0" * 18
    outcome = run({"amount": [large, "3"]}, {"amount": [large, "1", "2"]})
    assert settled(outcome) == {2: [2, 3]}
    assert outcome.totals.source == outcome.totals.target | {"MATCHED": 1} == {"MATCHED": 1, "SEARCH_TRUNCATED": 1}


def test_a_tolerance_may_be_larger_than_any_sum() -> None:
    wide = {**AMOUNT, "tolerance": "1" + "0" * 40}
    assert settled(run({"amount": ["7"]}, {"amount": ["1", "2"]}, conditions=[wide])) == {1: [1, 2]}
