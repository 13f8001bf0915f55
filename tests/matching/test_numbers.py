from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.numbers import read_numbers
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
