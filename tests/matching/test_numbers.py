from __future__ import annotations

from decimal import Context, Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.numbers import differences, read_numbers
from tests.matching.oracle import CURRENCY, number_of


def read(text: str | None, *, any_comma: bool = False) -> tuple[str | None, str | None]:
    number, currency = read_numbers(pl.Series([text], dtype=pl.String), any_comma=any_comma).row(0)
    return number, currency


@pytest.mark.parametrize(
    ("text", "number", "currency"),
    [
        ("0012.50", "0012.50", None),
        ("-12.5", "-12.5", None),
        ("+12.5", "12.5", None),
        ("12.5-", "-12.5", None),
        ("12.5+", "12.5", None),
        ("(12.5)", "-12.5", None),
        ("−12.5", "-12.5", None),
        ("1,234,567.89", "1234567.89", None),
        ("12,34,567", "1234567", None),
        ("1 234.5", "1234.5", None),
        ("1\u00a0234.5", "1234.5", None),
        ("1’234.5", "1234.5", None),
        ("12 %", "12", None),
        ("1.5E+3", "1.5E+3", None),
        (".5", ".5", None),
        ("5.", "5.", None),
        ("$1", "1", "USD"),
        ("US$ 1", "1", "USD"),
        ("A$1", "1", "AUD"),
        ("1 usd", "1", "USD"),
        ("EUR1e3", "1e3", "EUR"),
        ("1e3EUR", "1e3", "EUR"),
        ("1 €", "1", "EUR"),
        ("₿1", "1", "₿"),
        ("-$1", "-1", "USD"),
        ("$-1", "-1", "USD"),
        ("($1)", "-1", "USD"),
        ("$(1)", "-1", "USD"),
        ("(1) USD", "-1", "USD"),
        ("1-USD", "-1", "USD"),
    ],
)
def test_numbers_in_their_many_dresses(text: str, number: str, currency: str | None) -> None:
    assert read(text) == (number, currency)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "abc", "ORD-1", "1 XYZ", "1.2.3", "2024-01-15", "--1", "-1-", "(-1)", "((1))", "(1", "1)", "-", ".", "%", "$",
        "USD 1 USD", "$1€", "1CR", "1e9999", "e5", "٣", "１", "5@", "#5", "5#", "¤¤5", "$¤5", "1/2", "10:30", "1_000", "0x1F",
        "1,23", "1,2345", "1.234,56", ",123", "123,", "1,,234", "NaN", "inf", None,
    ],
)  # fmt: skip
def test_texts_without_a_number(text: str | None) -> None:
    assert read(text) == (None, None)


@pytest.mark.parametrize(("text", "number"), [("1.234,56", "1.23456"), ("1,23", "123"), (",1,", "1")])
def test_a_comma_counts_for_nothing_in_the_legacy_way(text: str, number: str) -> None:
    assert read(text, any_comma=True) == (number, None)


pieces = st.sampled_from(
    ["1", "23", "0.5", ".", ",", "-", "+", "(", ")", "%", " ", "e", "E2", "A", "'", *CURRENCY, "usd"]
)


@given(st.lists(st.lists(pieces, max_size=6).map("".join), max_size=20))
def test_numbers_are_those_of_the_oracle(texts: list[str]) -> None:
    found = read_numbers(pl.Series(texts, dtype=pl.String), any_comma=True).rows()
    for text, (number, currency) in zip(texts, found, strict=True):
        expected = number_of(text)
        assert (None if number is None else (Decimal(number), currency or "")) == expected, text


digits = st.text("0123456789", min_size=1, max_size=45)
numbers = st.builds(
    lambda sign, whole, part: sign + whole + part,
    st.sampled_from(["", "-"]),
    digits,
    digits.map(".{}".format) | st.just(""),
)
numbers |= st.sampled_from(["1e3", "1e-3", "1E+20", "-1e999", "0", "-0", "5.", ".5"])


@given(
    st.lists(st.tuples(numbers, numbers) | numbers.map(lambda one: (one, one)), max_size=8),
    st.decimals(min_value=0, max_value=10**30, allow_nan=False)
    | st.sampled_from([Decimal("1E+3"), Decimal("1E-45"), Decimal(0)]),
)
def test_differences_are_exact_whatever_the_size(pairs: list[tuple[str, str]], tolerance: Decimal) -> None:
    found = differences(
        pl.Series([one for one, _ in pairs], dtype=pl.String),
        pl.Series([other for _, other in pairs], dtype=pl.String),
        tolerance,
    )
    exact = Context(prec=5000)
    for (one, other), (within, delta) in zip(pairs, found.rows(), strict=True):
        expected = exact.subtract(Decimal(other), Decimal(one))
        assert within is (exact.abs(expected) <= tolerance)
        assert exact.compare(Decimal(delta), expected) == 0
        assert not ("." in delta and delta.endswith(("0", "."))), delta
        assert "E" not in delta.upper()


@pytest.mark.parametrize("tolerance", ["0.01", "1E-45"])
def test_what_is_no_number_has_no_difference(tolerance: str) -> None:
    texts = pl.Series([None, "1", None], dtype=pl.String)
    found = differences(texts, pl.Series(["1", None, None], dtype=pl.String), Decimal(tolerance))
    assert found.rows() == [(None, None)] * 3
