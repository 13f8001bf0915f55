"""Every field rule against plain Python, and what holds for all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import holidays
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from rapidfuzz import fuzz
from rapidfuzz.distance import JaroWinkler

from matching.comparators import judge
from matching.differences import FULL_SCORE
from matching.fields import FieldRule
from matching.plan import Comparison
from matching.rendering import Reader
from matching.verdicts import Verdict
from tests.matching.oracle import similarity

RULE: TypeAdapter[FieldRule] = TypeAdapter(FieldRule)
EXACT = Context(prec=5000)
Values = Sequence[Any]


def reader(columns: Mapping[str, Values]) -> Reader:
    def read(field: str) -> pl.Series:
        values = columns[field]
        return values if isinstance(values, pl.Series) else pl.Series(values, dtype=pl.String)

    return read


def judged(
    rule: Mapping[str, Any],
    source: Values,
    target: Values,
    source_columns: Mapping[str, Values] | None = None,
    target_columns: Mapping[str, Values] | None = None,
) -> Verdict:
    read = RULE.validate_python({"sourceField": "v", **rule})
    assert RULE.validate_python(RULE.dump_python(read, mode="json", by_alias=True)) == read
    verdict = judge(
        Comparison(1, read),
        reader({"v": source, **(source_columns or {})}),
        reader({"v": target, **(target_columns or {})}),
    )
    assert verdict.agrees.dtype == pl.Boolean
    assert not verdict.agrees.null_count()
    score = verdict.score
    assert score.dtype == pl.Int64
    assert ((score > 0) == verdict.agrees).all()
    assert score.is_between(0, FULL_SCORE).all()
    return verdict


def agrees(rule: Mapping[str, Any], one: Any, other: Any, **columns: Any) -> bool:
    source = {name: [value[0]] for name, value in columns.items()}
    target = {name: [value[1]] for name, value in columns.items()}
    return judged(rule, [one], [other], source, target).agrees.item()


RATES = [{"from": "USD", "to": "EUR", "date": "2026-01-01", "rate": "0.9"}]
RULES: list[dict[str, Any]] = [
    {"matchType": "EXACT"},
    {"matchType": "FUZZY"},
    {"matchType": "FUZZY", "algorithm": "JARO_WINKLER"},
    {"matchType": "FUZZY", "algorithm": "TOKEN_SORT", "fuzzyThreshold": 0},
    {"matchType": "FUZZY", "algorithm": "TOKEN_SET"},
    {"matchType": "RANGE", "tolerance": 1},
    {"matchType": "CONTAINS"},
    {"matchType": "STARTS_WITH"},
    {"matchType": "ENDS_WITH"},
    {"matchType": "REGEX", "pattern": r"(\d+)"},
    {"matchType": "ONE_OF", "groups": [["1", "one"], ["2"]]},
    {"matchType": "DATE_WINDOW", "daysTolerance": 3},
    {"matchType": "DATE_WINDOW", "businessDays": True, "calendar": "DE", "daysTolerance": 1},
    {"matchType": "NUMERIC", "tolerance": "0.01", "percent": 10, "percentOf": "LARGER"},
    {"matchType": "NUMERIC", "tolerance": 1, "percent": 10, "percentOf": "LARGER", "combine": "SMALLER"},
    {"matchType": "NUMERIC", "perCurrency": {"USD": 1, "JPY": "0"}, "decimal": ","},
]
"""All the same from either side."""
ALL_RULES = [*RULES, {"matchType": "FX", "rates": RATES, "dateField": "v"}]

values = st.lists(
    st.tuples(
        *[
            st.sampled_from(
                [
                    "1",
                    "1.00",
                    "2",
                    "$1",
                    "1 USD",
                    "€1",
                    "1,05",
                    "one",
                    "one two",
                    "two one",
                    "2026-01-01",
                    "2026-01-05",
                    "",
                    None,
                ]
            )
        ]
        * 2
    ),
    max_size=12,
)


@settings(deadline=None)
@given(values, st.sampled_from(RULES))
def test_a_rule_is_the_same_from_either_side(pairs: list[tuple[str | None, str | None]], rule: dict[str, Any]) -> None:
    source, target = [one for one, _ in pairs], [other for _, other in pairs]
    there, back = judged(rule, source, target), judged(rule, target, source)
    assert there.agrees.equals(back.agrees)
    assert there.score.equals(back.score)
    if there.delta is not None and back.delta is not None:
        for one, other in zip(there.delta, back.delta, strict=True):
            assert (one is None) == (other is None)
            assert one is None or Decimal(one) == -Decimal(other)


@settings(deadline=None)
@given(values, st.sampled_from(ALL_RULES))
def test_pairs_are_judged_each_by_itself(pairs: list[tuple[str | None, str | None]], rule: dict[str, Any]) -> None:
    together = judged(rule, [one for one, _ in pairs], [other for _, other in pairs])
    for at, (one, other) in enumerate(pairs):
        alone = judged(rule, [one], [other])
        assert alone.agrees.item() == together.agrees[at]
        assert alone.score.item() == together.score[at]
        assert alone.delta is None or together.delta is None or alone.delta.item() == together.delta[at]
        said = None if alone.note is None else alone.note.item()
        assert said == (None if together.note is None else together.note[at])


@pytest.mark.parametrize("rule", ALL_RULES)
def test_null_agrees_with_null_and_with_no_value(rule: dict[str, Any]) -> None:
    assert judged(rule, [None, None, "1", None], [None, "1", None, ""]).agrees.to_list() == [True, False, False, False]
    empty = judged(rule, [], [])
    assert empty.agrees.is_empty()
    nothing = judge(
        Comparison(1, RULE.validate_python({"sourceField": "v", **rule})), *[lambda _: pl.Series([None])] * 2
    )
    assert nothing.agrees.to_list() == [True]


@pytest.mark.parametrize("rule", [one for one in ALL_RULES if one["matchType"] not in ("REGEX", "FX")])
def test_identical_texts_agree(rule: dict[str, Any]) -> None:
    texts = ["", "x", "1", "$1", "2026-01-01", " "]
    verdict = judged(rule, texts, texts)
    assert verdict.agrees.all()
    assert verdict.score.to_list() == [FULL_SCORE] * len(texts)


# Texts

words = st.text("abAB é", max_size=8)


@settings(deadline=None)
@given(st.lists(st.tuples(words, words), max_size=10), st.sampled_from([0.0, 0.5, 0.8, 0.9, 1.0]))
def test_similarities_are_those_of_the_algorithms(pairs: list[tuple[str, str]], threshold: float) -> None:
    oracles = {
        "LEVENSHTEIN": similarity,
        "JARO_WINKLER": lambda one, other: JaroWinkler.similarity(one.lower(), other.lower()),
        "TOKEN_SORT": lambda one, other: fuzz.token_sort_ratio(one.lower(), other.lower()) / 100,
        "TOKEN_SET": lambda one, other: fuzz.token_set_ratio(one.lower(), other.lower()) / 100,
    }
    for algorithm, oracle in oracles.items():
        rule = {"matchType": "FUZZY", "algorithm": algorithm, "fuzzyThreshold": threshold}
        verdict = judged(rule, [one for one, _ in pairs], [other for _, other in pairs])
        expected = [one == other or round(oracle(one, other), 9) >= threshold for one, other in pairs]
        assert verdict.agrees.to_list() == expected, algorithm


@pytest.mark.parametrize(
    ("algorithm", "one", "other", "threshold"),
    [
        ("JARO_WINKLER", "MARTHA", "marhta", 0.9611),
        ("TOKEN_SORT", "Acme Corp", "corp ACME", 1.0),
        ("TOKEN_SET", "Acme Corp Ltd", "corp acme", 1.0),
        ("TOKEN_SORT", "ab cd", "cd ax", 0.8),
        ("LEVENSHTEIN", "abcde", "abcdx", 0.8),
    ],
)
def test_a_similarity_at_its_bound_agrees(algorithm: str, one: str, other: str, threshold: float) -> None:
    rule = {"matchType": "FUZZY", "algorithm": algorithm}
    assert agrees({**rule, "fuzzyThreshold": threshold}, one, other)
    assert threshold == 1 or not agrees({**rule, "fuzzyThreshold": threshold + 0.0001}, one, other)


@pytest.mark.parametrize(
    ("rule", "one", "other", "expected"),
    [
        ({"pattern": r"INV-(\d+)"}, "pay INV-12", "INV-12 / 3", True),
        ({"pattern": r"INV-(\d+)"}, "INV-12", "INV-13", False),
        ({"pattern": r"INV-\d+"}, "x INV-12", "INV-12", True),
        ({"pattern": r"INV-(\d+)"}, "none", "none", False),
        ({"pattern": r"INV-(\d+)"}, "INV-1", "none", False),
        ({"sourcePattern": r"INV-(\d+)", "targetPattern": r"^(\d+)"}, "INV-12", "12/2026", True),
        ({"sourcePattern": r"INV-(\d+)", "pattern": r"\d+"}, "INV-12", "x12", True),
    ],
)
def test_what_a_pattern_finds_must_be_equal(rule: dict[str, Any], one: str, other: str, expected: bool) -> None:
    assert agrees({"matchType": "REGEX", **rule}, one, other) is expected


def test_a_table_says_what_is_the_same() -> None:
    pairs = {"matchType": "ONE_OF", "pairs": [{"source": "Visa", "target": "VI"}, {"source": "Visa", "target": "V"}]}
    assert judged(pairs, ["Visa", "Visa", "VI", "x", "x"], ["VI", "V", "Visa", "x", "y"]).agrees.to_list() == [
        True, True, False, True, False,
    ]  # fmt: skip
    groups = {"matchType": "ONE_OF", "groups": [["Visa", "VI", "V"], ["MC", "Mastercard"]]}
    assert judged(groups, ["V", "Visa", "VI", "MC"], ["VI", "V", "MC", "x"]).agrees.to_list() == [
        True,
        True,
        False,
        False,
    ]
    both = {**pairs, **groups}
    assert judged(both, ["Visa", "MC"], ["VI", "Mastercard"]).agrees.to_list() == [True, True]


# Dates

days = st.dates(min_value=date(2023, 12, 20), max_value=date(2026, 1, 10))


@settings(deadline=None)
@given(st.lists(st.tuples(days, days), max_size=12), st.integers(0, 9), st.integers(0, 9))
def test_days_before_and_after_are_counted_apart(pairs: list[tuple[date, date]], before: int, after: int) -> None:
    source, target = [one.strftime("%d.%m.%Y") for one, _ in pairs], [other.isoformat() for _, other in pairs]
    rule = {"matchType": "DATE_WINDOW", "daysBefore": before, "daysAfter": after, "sourceFormats": ["%d.%m.%Y"]}
    verdict = judged(rule, source, target)
    apart = [(other - one).days for one, other in pairs]
    assert verdict.delta is not None
    assert verdict.delta.to_list() == apart
    assert verdict.agrees.to_list() == [-before <= one <= after for one in apart]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(days, days), min_size=1, max_size=8),
    st.integers(0, 5),
    st.sampled_from([("US", None), ("DE", "BY"), ("XECB", None), (None, None)]),
    st.sampled_from([("SAT", "SUN"), ("FRI", "SAT"), ()]),
)
def test_business_days_are_counted_one_by_one(
    pairs: list[tuple[date, date]], tolerance: int, calendar: tuple[str | None, str | None], weekend: tuple[str, ...]
) -> None:
    years = range(2023, 2027)
    country, subdivision = calendar
    off: Any = {}
    if country == "XECB":
        off = holidays.financial_holidays("XECB", years=years)
    elif country:
        off = holidays.country_holidays(country, subdiv=subdivision, years=years)
    names = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]

    def works(day: date) -> bool:
        return names[day.weekday()] not in weekend and day not in off

    def apart(one: date, other: date) -> int:
        if other < one:
            return -apart(other, one)
        return sum(works(one + timedelta(days=step)) for step in range(1, (other - one).days + 1))

    rule: dict[str, Any] = {
        "matchType": "DATE_WINDOW",
        "businessDays": True,
        "daysTolerance": tolerance,
        "weekend": weekend,
    }
    rule |= {"calendar": country, "subdivision": subdivision}
    verdict = judged(rule, [one.isoformat() for one, _ in pairs], [other.isoformat() for _, other in pairs])
    expected = [apart(one, other) for one, other in pairs]
    assert verdict.agrees.to_list() == [abs(one) <= tolerance for one in expected]
    assert verdict.delta is not None
    found = verdict.delta.to_list()
    assert found == [None if one == other else gap for (one, other), gap in zip(pairs, expected, strict=True)]


def test_business_days_of_any_year_there_is() -> None:
    rule = {"matchType": "DATE_WINDOW", "businessDays": True, "calendar": "US", "daysTolerance": 1}
    assert not agrees(rule, "0001-01-01T00:30:00+02:00", "9999-12-31T23:30:00-02:00")
    # Christmas 2026 is a Friday.
    assert agrees(rule, "2026-12-24", "2026-12-28")
    assert not agrees({**rule, "calendar": None}, "2026-12-24", "2026-12-28")


def test_days_are_read_by_the_formats_of_their_side() -> None:
    rule = {"matchType": "DATE_WINDOW", "sourceFormats": ["%d/%m/%Y"], "targetFormats": ["%m/%d/%Y"]}
    assert agrees(rule, "02/01/2026", "01/02/2026")
    assert not agrees(rule, "02/01/2026", "02/01/2026")
    assert agrees(rule, "n/a", "n/a")
    assert not agrees(rule, "n/a", "n/b")


# Amounts

digits = st.text("0123456789", min_size=1, max_size=3) | st.text("0123456789", min_size=15, max_size=40)
amounts = st.builds(
    lambda sign, whole, part: sign + whole + part,
    st.sampled_from(["", "-"]),
    digits,
    st.sampled_from(["", ".5", ".05", ".10", ".333333333333333333333"]),
)
percents = st.sampled_from(["0", "0.5", "1", "10", "33.333333333333333333333333", "100", "250", "1e-30"]).map(Decimal)
tolerances = st.sampled_from(["0", "0.01", "1", "5", "1e30"]).map(Decimal)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(amounts, amounts), max_size=10),
    st.none() | tolerances,
    st.none() | percents,
    st.sampled_from(["LARGER", "SMALLER"]),
    st.sampled_from(["SOURCE", "TARGET", "LARGER"]),
)
def test_amounts_are_exact(
    pairs: list[tuple[str, str]], tolerance: Decimal | None, percent: Decimal | None, combine: str, of: str
) -> None:
    rule: dict[str, Any] = {"matchType": "NUMERIC", "tolerance": tolerance, "percent": percent}
    if percent is not None:
        rule |= {"combine": combine, "percentOf": of}
    verdict = judged(rule, [one for one, _ in pairs], [other for _, other in pairs])

    def within(one: Fraction, other: Fraction) -> bool:
        bounds = [] if tolerance is None else [Fraction(tolerance)]
        if percent is not None:
            base = {"SOURCE": abs(one), "TARGET": abs(other), "LARGER": max(abs(one), abs(other))}[of]
            bounds.append(base * Fraction(percent) / 100)
        bound = (min if combine == "SMALLER" else max)(bounds, default=Fraction(0))
        return abs(other - one) <= bound

    expected = [within(Fraction(one), Fraction(other)) for one, other in pairs]
    assert verdict.agrees.to_list() == expected
    assert verdict.delta is not None
    for (one, other), delta in zip(pairs, verdict.delta, strict=True):
        assert (delta is None) is (one == other)
        assert delta is None or Fraction(delta) == Fraction(other) - Fraction(one)


def test_a_percentage_of_many_digits_is_exact() -> None:
    third = "33." + "3" * 50
    assert agrees({"matchType": "NUMERIC", "percent": third}, "3", "3.99999999999999999999")
    assert not agrees({"matchType": "NUMERIC", "percent": third}, "3", "4")
    assert agrees({"matchType": "NUMERIC", "percent": "1" + "0" * 50, "tolerance": "1"}, "0.5", "-7")


@settings(deadline=None)
@given(st.lists(st.tuples(amounts, amounts), max_size=10), st.lists(percents, min_size=2, max_size=2), st.booleans())
def test_a_tighter_percentage_never_agrees_more(pairs: list[tuple[str, str]], two: list[Decimal], both: bool) -> None:
    tight, loose = (
        judged(
            {"matchType": "NUMERIC", "tolerance": 1, "percent": percent, "combine": "SMALLER" if both else "LARGER"},
            [one for one, _ in pairs],
            [other for _, other in pairs],
        )
        for percent in sorted(two)
    )
    assert (tight.agrees <= loose.agrees).all()
    assert (tight.score <= loose.score).all()


@pytest.mark.parametrize(
    ("rule", "one", "other", "expected"),
    [
        ({"percent": "1"}, "100", "101", True),
        ({"percent": "1"}, "100", "101.01", False),
        ({"percent": "1"}, "101", "100", True),
        ({"percent": "1", "percentOf": "TARGET"}, "101", "100", True),
        ({"percent": "1", "percentOf": "TARGET"}, "101.01", "100", False),
        ({"percent": "1", "percentOf": "LARGER"}, "-101", "-99.99", True),
        ({"tolerance": "0.5", "percent": "1"}, "10", "10.5", True),
        ({"tolerance": "0.5", "percent": "1", "combine": "SMALLER"}, "10", "10.5", False),
        ({"tolerance": "0.5", "percent": "1", "combine": "SMALLER"}, "10", "10.1", True),
        ({"percent": "1"}, "0", "0.0", True),
        ({}, "1", "1.00", True),
        ({}, "1", "1.01", False),
        ({"perCurrency": {"JPY": "1"}}, "¥100", "101 JPY", True),
        ({"perCurrency": {"JPY": "1"}}, "$100", "101 USD", False),
        ({"perCurrency": {"JPY": "1"}, "tolerance": 5}, "$100", "105", True),
        ({"perCurrency": {"JPY": "1"}, "tolerance": 5}, "100", "¥105", False),
        ({"tolerance": 1000}, "$1", "€1", False),
        ({"sourceLocale": "de"}, "1.234,50", "1234.5", True),
        ({"sourceLocale": "de"}, "1.234", "1.234", False),
        ({"sourceLocale": "de"}, "1.234", "1,234", True),
        ({"decimal": ","}, "1.234,5", "1234,50", True),
        ({"decimal": ","}, "1.5", "1.5", True),
        ({"sourceLocale": "de"}, "n/a", "n/a", True),
        ({"tolerance": 1}, "n/a", "1", False),
    ],
)
def test_amounts(rule: dict[str, Any], one: str, other: str, expected: bool) -> None:
    assert agrees({"matchType": "NUMERIC", **rule}, one, other) is expected


def test_products_too_large_for_a_column_are_exact() -> None:
    percent = "33.333333333333333333333333"
    texts = [f"{10**17 + 7 * number * 10**15}.5" for number in range(100)]
    near = [text.replace(".5", ".05") for text in texts]
    assert judged({"matchType": "NUMERIC", "percent": percent}, texts, near).agrees.all()
    assert not judged({"matchType": "NUMERIC", "percent": percent}, near, ["1"] * 100).agrees.any()


def test_currencies_of_fields_go_before_those_of_texts() -> None:
    rule = {
        "matchType": "NUMERIC", "tolerance": 1, "perCurrency": {"JPY": "100"},
        "sourceCurrencyField": "c", "targetCurrencyField": "d",
    }  # fmt: skip
    source, target = ["1", "1", "$1", "1", "1", "1"], ["1", "90", "1", "1.5", "3", "90"]
    verdict = judged(
        rule,
        source,
        target,
        {"c": ["USD", "jpy", " eur ", "USD", None, None]},
        {"d": ["EUR", "¥", "€", None, "", "JPY"]},
    )
    assert verdict.agrees.to_list() == [False, True, True, True, False, True]
    assert verdict.note is not None
    assert verdict.note.to_list() == ["the currencies are USD and EUR", None, None, None, None, None]
    assert RULE.validate_python({"sourceField": "v", **rule}).source_fields == ("v", "c")


# Amounts of several currencies

FX = {
    "matchType": "FX",
    "sourceCurrencyField": "from",
    "targetCurrencyField": "to",
    "dateField": "day",
    "rates": [
        {"from": "USD", "to": "EUR", "date": "2026-01-01", "rate": "0.9"},
        {"from": "USD", "to": "EUR", "date": "2026-01-10", "rate": "0.8"},
        {"from": "EUR", "to": "JPY", "date": "2026-01-01", "rate": 160.5},
        {"from": "BTC", "to": "USD", "date": "2026-01-01", "rate": "70000"},
    ],
}


def fx(one: str, other: str, currencies: tuple[str | None, str | None], day: str | None, **more: Any) -> Verdict:
    return judged({**FX, **more}, [one], [other], {"from": [currencies[0]], "day": [day]}, {"to": [currencies[1]]})


@pytest.mark.parametrize(
    ("one", "other", "currencies", "day", "delta"),
    [
        ("10", "9", ("USD", "EUR"), "2026-01-01", "0"),
        ("10", "9.00", ("USD", "EUR"), "2026-01-09", "0"),
        ("10", "8", ("USD", "EUR"), "2026-01-10", "0"),
        ("10", "8.01", ("usd", "€"), "2027-01-10", "0.01"),
        ("9", "10", ("EUR", "USD"), "2026-01-01", "0"),
        ("1", "1.11", ("EUR", "USD"), "2026-01-01", "0"),
        ("1", "161", ("EUR", "JPY"), "2026-01-01", "1"),
        ("3", "482", ("EUR", "JPY"), "2026-01-01", "0"),
        ("1000", "6.23", ("JPY", "EUR"), "2026-01-01", "0"),
        ("10", "10.5", ("EUR", "EUR"), None, "0.5"),
        ("1.005", "1.005", ("EUR", "EUR"), None, "0"),
        ("1", "0.00001429", ("USD", "BTC"), "2026-01-01", "0"),
    ],
)
def test_amounts_are_converted_by_the_newest_rate(
    one: str, other: str, currencies: tuple[str, str], day: str | None, delta: str
) -> None:
    verdict = fx(one, other, currencies, day)
    assert verdict.delta is not None
    assert verdict.delta.to_list() == [delta]
    assert verdict.agrees.to_list() == [delta == "0"]


@pytest.mark.parametrize(
    ("currencies", "day", "note"),
    [
        (("USD", "EUR"), "2025-12-31", "no rate from USD to EUR for 2025-12-31"),
        (("USD", "JPY"), "2026-01-01", "no rate from USD to JPY for 2026-01-01"),
        (("USD", "EUR"), "soon", "no date in day to take a rate of"),
        ((None, "EUR"), "2026-01-01", "no currency in source"),
        (("USD", ""), "2026-01-01", "no currency in target"),
    ],
)
def test_without_a_rate_amounts_disagree_and_it_is_said_why(
    currencies: tuple[str | None, str], day: str, note: str
) -> None:
    verdict = fx("1", "1", currencies, day, tolerance=1000)
    assert verdict.agrees.to_list() == [False]
    assert verdict.note is not None
    assert verdict.note.to_list() == [note]


def test_a_rate_of_the_right_direction_goes_before_one_over_the_other() -> None:
    both = [*FX["rates"], {"from": "EUR", "to": "USD", "date": "2026-01-05", "rate": "2"}]
    assert fx("10", "9", ("USD", "EUR"), "2026-01-06", rates=both).agrees.item()
    assert fx("9", "18", ("EUR", "USD"), "2026-01-06", rates=both).agrees.item()
    assert fx("9", "10", ("EUR", "USD"), "2026-01-04", rates=both).agrees.item()


def test_rates_grow_old() -> None:
    assert fx("10", "8", ("USD", "EUR"), "2026-01-12", maxAgeDays=2).agrees.item()
    assert not fx("10", "8", ("USD", "EUR"), "2026-01-13", maxAgeDays=2).agrees.item()


def test_halves_of_minor_units_are_rounded_as_asked() -> None:
    # 5 JPY at 1 : 160.5 are 802.5.
    assert fx("5", "802", ("EUR", "JPY"), "2026-01-01").agrees.item()
    assert fx("5", "803", ("EUR", "JPY"), "2026-01-01", rounding="HALF_UP").agrees.item()
    assert fx("-5", "-803", ("EUR", "JPY"), "2026-01-01", rounding="HALF_UP").agrees.item()


rates = st.decimals(min_value="0.000001", max_value=100_000, places=6) | st.sampled_from([Decimal("3e-40"), Decimal(7)])


@settings(deadline=None)
@given(
    st.lists(st.tuples(amounts, amounts, st.booleans()), min_size=1, max_size=10),
    rates,
    st.sampled_from(["HALF_EVEN", "HALF_UP"]),
)
def test_conversions_are_exact(pairs: list[tuple[str, str, bool]], rate: Decimal, rounding: str) -> None:
    table = [{"from": "USD", "to": "JPY", "date": "2026-01-01", "rate": rate}]
    rule = {**FX, "rates": table, "rounding": rounding}
    source_currency = ["USD" if forth else "JPY" for _, _, forth in pairs]
    target_currency = ["JPY" if forth else "USD" for _, _, forth in pairs]
    verdict = judged(
        rule,
        [one for one, _, _ in pairs],
        [other for _, other, _ in pairs],
        {"from": source_currency, "day": ["2026-01-02"] * len(pairs)},
        {"to": target_currency},
    )
    assert verdict.delta is not None
    for (one, other, forth), delta in zip(pairs, verdict.delta, strict=True):
        product = Fraction(one) * (Fraction(rate) if forth else 1 / Fraction(rate)) * (1 if forth else 100)
        units = round(product)
        if rounding == "HALF_UP" and abs(product - units) == Fraction(1, 2):
            units = int(product + (Fraction(1, 2) if product > 0 else Fraction(-1, 2)))
        assert Fraction(delta) == Fraction(other) - Fraction(units, 1 if forth else 100)


def test_transforms_of_each_side_go_before_those_of_both() -> None:
    rule = {
        "matchType": "NUMERIC",
        "tolerance": "0.01",
        "sourceTransforms": [{"type": "CONCAT", "fields": ["cents"], "separator": "."}],
        "targetTransforms": ["NEGATE"],
        "transforms": ["TRIM"],
    }
    assert judged(rule, ["12"], ["-12.35"], {"cents": ["34"]}).agrees.to_list() == [True]
    read = RULE.validate_python({"sourceField": "v", **rule})
    assert (read.source_fields, read.target_fields) == (("v", "cents"), ("v",))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"matchType": "FUZZY", "algorithm": "SOUNDEX"}, "'LEVENSHTEIN', 'JARO_WINKLER', 'TOKEN_SORT' or 'TOKEN_SET'"),
        ({"matchType": "REGEX"}, "give pattern, or both sourcePattern and targetPattern"),
        ({"matchType": "ONE_OF"}, "give pairs or groups"),
        ({"matchType": "ONE_OF", "groups": [["a"], ["b", "a"]]}, "'a' is in two groups"),
        ({"matchType": "DATE_WINDOW", "calendar": "ZZ"}, "unknown calendar 'ZZ'; available: countries AD, AE, "),
        ({"matchType": "DATE_WINDOW", "calendar": "DE"}, "calendar and weekend need businessDays: true"),
        ({"matchType": "DATE_WINDOW", "businessDays": True, "subdivision": "BY"}, "subdivision needs a calendar"),
        (
            {"matchType": "DATE_WINDOW", "businessDays": True, "calendar": "DE", "subdivision": "TX"},
            "calendar DE has no subdivision 'TX'; available: BB, BE, ",
        ),
        (
            {"matchType": "DATE_WINDOW", "businessDays": True, "weekend": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]},
            "a week needs at least one business day",
        ),
        ({"matchType": "DATE_WINDOW", "daysTolerance": 1, "daysBefore": 1}, "give daysTolerance or daysBefore, not both"),
        ({"matchType": "NUMERIC", "percent": -1}, "greater than or equal to 0"),
        ({"matchType": "NUMERIC", "combine": "SMALLER"}, "combine and percentOf need percent"),
        ({"matchType": "NUMERIC", "perCurrency": {"usd": 1}}, "String should match pattern"),
        ({"matchType": "NUMERIC", "decimal": ",", "sourceLocale": "de"}, "give decimal or sourceLocale, not both"),
        ({"matchType": "FX", "dateField": "d", "rates": []}, "give at least one rate"),
        ({"matchType": "FX", "dateField": "d", "rates": [*RATES, *RATES]}, "two rates from USD to EUR on 2026-01-01"),
        ({"matchType": "FX", "dateField": "d", "rates": [{**RATES[0], "date": "2026-02-30"}]}, "not a date: 2026-02-30"),
        ({"matchType": "FX", "dateField": "d", "rates": [{**RATES[0], "rate": 0}]}, "greater than 0"),
        ({"matchType": "NUMERIC", "tolerence": 1}, "unknown option 'tolerence'; available: sourceField, "),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(rule: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        RULE.validate_python({"sourceField": "v", **rule})
