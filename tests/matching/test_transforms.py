"""Every transform against plain Python."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from decimal import Context, Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from matching.currencies import MINOR_UNITS
from matching.rendering import Reader
from matching.transforming import changed
from matching.transforms import Transform

CHAIN: TypeAdapter[tuple[Transform, ...]] = TypeAdapter(tuple[Transform, ...])
EXACT = Context(prec=5000)
MODES = ["HALF_EVEN", "HALF_UP", "HALF_DOWN", "UP", "DOWN", "CEILING", "FLOOR"]


def reader(**columns: list[Any]) -> Reader:
    return lambda field: pl.Series(columns[field])


def run(texts: list[str | None], *chain: Any, **columns: list[Any]) -> list[str | None]:
    read = CHAIN.validate_python(list(chain))
    # What is stored comes back.
    assert CHAIN.validate_python(CHAIN.dump_python(read, mode="json", by_alias=True)) == read
    return changed(pl.Series(texts, dtype=pl.String), read, reader(**columns)).to_list()


@pytest.mark.parametrize(
    ("transform", "text", "expected"),
    [
        ("TRIM", "\u00a0 a b\t", "a b"),
        ("COLLAPSE_SPACES", " a \u00a0\n b ", " a b "),
        ("UPPER", "straße", "STRASSE"),
        ("LOWER", "ÀÉ", "àé"),
        ("STRIP_PUNCTUATION", "A.C.M.E., (Co-op) & Söhne+1", "ACME Coop  Söhne+1"),
        ("STRIP_LEADING_ZEROS", "00120", "120"),
        ("STRIP_LEADING_ZEROS", "000", "0"),
        ("STRIP_LEADING_ZEROS", "", ""),
        ("STRIP_LEADING_ZEROS", "-01", "-01"),
        ("DIGITS_ONLY", "+49 (30) 12-34٣", "49301234"),
        ("DIGITS_ONLY", "none", ""),
        ("NFKC", "Ａｃｍｅ ﬁ ²", "Acme fi 2"),
        ("REMOVE_ACCENTS", "Crème Brûlée Ångström ø", "Creme Brulee Angstrom ø"),
        ("REMOVE_ACCENTS", "e\u0301", "e"),
        ({"type": "TRIM"}, " a", "a"),
        ({"type": "REGEX_EXTRACT", "pattern": r"INV-(\d+)"}, "re INV-0042/x", "0042"),
        ({"type": "REGEX_EXTRACT", "pattern": r"\d+"}, "re INV-0042/x", "0042"),
        ({"type": "REGEX_EXTRACT", "pattern": r"INV-(\d+)", "group": 0}, "re INV-0042/x", "INV-0042"),
        ({"type": "REGEX_EXTRACT", "pattern": r"(?P<y>\d)(b)?"}, "1", "1"),
        ({"type": "REGEX_EXTRACT", "pattern": r"(\d)(b)?", "group": 2}, "1", None),
        ({"type": "REGEX_EXTRACT", "pattern": r"INV-(\d+)"}, "none", None),
        ({"type": "REGEX_REPLACE", "pattern": r"(\d+)-(\d+)", "replacement": "${2}x$1"}, "1-2 3-4", "2x1 4x3"),
        ({"type": "REGEX_REPLACE", "pattern": r"\d", "all": False}, "1-2", "-2"),
        ({"type": "REGEX_REPLACE", "pattern": "a", "replacement": "$$"}, "ab", "$b"),
        ({"type": "SUBSTRING", "start": 1, "length": 2}, "äbcd", "bc"),
        ({"type": "SUBSTRING", "start": -3}, "abcd", "bcd"),
        ({"type": "SUBSTRING", "start": -3, "length": 1}, "abcd", "b"),
        ({"type": "SUBSTRING", "start": 3, "length": 9}, "abcd", "d"),
        ({"type": "SUBSTRING", "start": 4}, "abcd", None),
        ({"type": "SUBSTRING", "start": -5}, "abcd", None),
        ({"type": "SUBSTRING", "start": 0}, "", None),
        ({"type": "SPLIT_TAKE", "separator": ".", "index": 0}, "a.b.c", "a"),
        ({"type": "SPLIT_TAKE", "separator": ".", "index": -1}, "a.b.c", "c"),
        ({"type": "SPLIT_TAKE", "separator": "/", "index": 1}, "a.b.c", None),
        ({"type": "MAP", "table": {"VI": "Visa"}}, "VI", "Visa"),
        ({"type": "MAP", "table": {"VI": "Visa"}}, "MC", "MC"),
        ({"type": "MAP", "table": {"VI": "Visa"}, "default": "NULL"}, "MC", None),
        ("PARSE_NUMBER", "($1,234.50)", "-1234.5"),
        ("PARSE_NUMBER", "007", "7"),
        ("PARSE_NUMBER", "-0.00", "0"),
        ("PARSE_NUMBER", "1.5e-3", "0.0015"),
        ("PARSE_NUMBER", "12,5", None),
        ("PARSE_NUMBER", "abc", None),
        ({"type": "PARSE_NUMBER", "locale": "de_DE"}, "1.234,50 €", "1234.5"),
        ({"type": "PARSE_NUMBER", "locale": "de-CH"}, "1’234.50", "1234.5"),
        ({"type": "PARSE_NUMBER", "locale": "fr"}, "1\u202f234,5", "1234.5"),
        ({"type": "PARSE_NUMBER", "decimal": ","}, "12.5", None),
        ({"type": "PARSE_NUMBER", "decimal": ","}, "12.500", "12500"),
        ({"type": "PARSE_NUMBER", "decimal": ",", "grouping": " "}, "12.500", None),
        ({"type": "PARSE_NUMBER", "grouping": ""}, "12,500", None),
        ("PARSE_DATE", "20260131", "2026-01-31"),
        ("PARSE_DATE", "2026-01-31T23:30-02:00", "2026-02-01"),
        ("PARSE_DATE", "31/01/2026", None),
        ({"type": "PARSE_DATE", "formats": ["%d/%m/%Y", "%m/%d/%Y"]}, "02/01/2026", "2026-01-02"),
        ({"type": "PARSE_DATE", "formats": ["%d/%m/%Y", "%m/%d/%Y"]}, "01/31/2026", "2026-01-31"),
        ({"type": "PARSE_DATE", "formats": ["%d/%m/%Y"]}, "31/01/26", None),
        ({"type": "PARSE_DATE", "formats": ["%d/%m/%y"]}, "31/01/26", "2026-01-31"),
        ({"type": "PARSE_DATE", "formats": ["%d %b %Y %H:%M %z"]}, "31 Jan 2026 23:30 -0200", "2026-02-01"),
        ({"type": "PARSE_DATE", "formats": ["%d/%m/%Y"]}, "2026-01-31", "2026-01-31"),
        ({"type": "ROUND", "places": 2}, "1.005", "1"),
        ({"type": "ROUND", "places": 2, "mode": "HALF_UP"}, "-1.005", "-1.01"),
        ({"type": "ROUND", "places": -2}, "150", "200"),
        ({"type": "ROUND"}, "2.5", "2"),
        ({"type": "ROUND"}, "x", None),
        ("NEGATE", "1.50", "-1.5"),
        ("NEGATE", "(3)", "3"),
        ("NEGATE", "0", "0"),
        ("NEGATE", "x", None),
        ("ABSOLUTE", "-1.50", "1.5"),
        ({"type": "MINOR_UNITS", "currency": "USD"}, "12.5", "1250"),
        ({"type": "MINOR_UNITS", "currency": "JPY"}, "12", "12"),
        ({"type": "MINOR_UNITS", "currency": "BHD"}, "-0.012", "-12"),
        ({"type": "MINOR_UNITS", "currency": "USD"}, "0.005", None),
        ("MINOR_UNITS", "€ 12", "1200"),
        ("MINOR_UNITS", "12", None),
    ],
)
def test_one_text(transform: Any, text: str, expected: str | None) -> None:
    assert run([text, None], transform) == [expected, None]


def test_chains_run_in_order_whatever_they_are_made_of() -> None:
    chain = [
        "TRIM",
        "PARSE_NUMBER",
        {"type": "ROUND", "places": 1},
        "NEGATE",
        {"type": "REGEX_REPLACE", "pattern": r"\."},
    ]
    assert run([" 1,234.56 ", "x", None, ""], *chain) == ["-12346", None, None, None]
    assert run([" a"], "UPPER", "TRIM", {"type": "MAP", "table": {"A": "b"}}) == ["b"]
    assert run([], *chain) == []


def test_fields_are_joined_without_nulls() -> None:
    joined = {"type": "CONCAT", "fields": ["middle", "last"], "separator": " "}
    columns = {"middle": ["B", None, None, None], "last": [1.0, 2.5, None, None]}
    assert run(["a", "a", None, "a"], joined, "UPPER", **columns) == ["A B 1", "A 2.5", None, "A"]


def test_minor_units_of_a_currency_field() -> None:
    transform = {"type": "MINOR_UNITS", "currencyField": "currency"}
    currencies = ["USD", " jpy", "€", "XYZ", None, ""]
    assert run(["1.5", "15", "1.5", "1", "1", "1"], transform, currency=currencies) == [
        "150",
        "15",
        "150",
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2.5", "2"), ("3.5", "4"), ("-2.5", "-2"), ("0.5", "0"), ("-0.5", "0"), ("12345678901234567890.5", None)],
)
def test_half_goes_to_the_even_neighbour(text: str, expected: str | None) -> None:
    assert run([text], {"type": "ROUND"}) == [expected or "12345678901234567890"]


numbers = st.builds(
    lambda sign, whole, part, power: sign + whole + part + power,
    st.sampled_from(["", "-"]),
    st.text("0123456789", min_size=1, max_size=24) | st.sampled_from(["0", "00", "5", "15"]),
    st.text("0159", max_size=24).map(".{}".format) | st.just("") | st.sampled_from([".5", ".05", ".005", ".50"]),
    st.sampled_from(["", "", "", "e3", "E-4"]),
)


def canonical(number: Decimal) -> str:
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if number else "0"


@settings(deadline=None)
@given(st.lists(numbers, max_size=20), st.integers(-18, 18), st.sampled_from(MODES))
def test_numbers_are_those_of_decimal(texts: list[str], places: int, mode: str) -> None:
    read = [Decimal(text) for text in texts]
    assert run([*texts], "PARSE_NUMBER") == [canonical(one) for one in read]
    assert run([*texts], "NEGATE") == [canonical(one.copy_negate()) for one in read]
    assert run([*texts], "ABSOLUTE") == [canonical(EXACT.abs(one)) for one in read]
    step = Decimal(1).scaleb(-places)
    expected = [canonical(one.quantize(step, f"ROUND_{mode}", EXACT)) for one in read]
    assert run([*texts], {"type": "ROUND", "places": places, "mode": mode}) == expected


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, st.sampled_from(["USD", "JPY", "BHD", "CLF", "ISK"])), max_size=20))
def test_minor_units_are_those_of_decimal(amounts: list[tuple[str, str]]) -> None:
    expected: list[str | None] = []
    for text, currency in amounts:
        units = Decimal(text).scaleb(MINOR_UNITS[currency], EXACT)
        expected.append(canonical(units) if units == units.to_integral_value(context=EXACT) else None)
    texts, currencies = [text for text, _ in amounts], [currency for _, currency in amounts]
    assert run([*texts], {"type": "MINOR_UNITS", "currencyField": "c"}, c=currencies) == expected


letters = st.characters(codec="utf-8", exclude_categories=["Cn", "Cs", "Co"])
texts = st.lists(st.text(letters | st.sampled_from([*"aA0 9-_.é\u0301ﬁ\u00a0"]), max_size=12), max_size=12)


@given(texts)
def test_texts_are_those_of_python(written: list[str]) -> None:
    def without_marks(text: str) -> str:
        decomposed = unicodedata.normalize("NFD", text)
        return unicodedata.normalize("NFC", "".join(one for one in decomposed if unicodedata.category(one) != "Mn"))

    def stripped(text: str) -> str:
        return text.lstrip("0") or ("0" if text else "")

    oracles = {
        "NFKC": lambda text: unicodedata.normalize("NFKC", text),
        "REMOVE_ACCENTS": without_marks,
        "STRIP_PUNCTUATION": lambda text: "".join(one for one in text if not unicodedata.category(one).startswith("P")),
        "DIGITS_ONLY": lambda text: re.sub("[^0-9]", "", text),
        "STRIP_LEADING_ZEROS": stripped,
    }
    for name, oracle in oracles.items():
        assert run([*written], name) == [oracle(text) for text in written], name


@given(texts, st.integers(-6, 6), st.none() | st.integers(1, 4))
def test_parts_are_those_of_python(written: list[str], start: int, length: int | None) -> None:
    def part(text: str) -> str | None:
        at = start if start >= 0 else len(text) + start
        if not 0 <= at < len(text):
            return None
        return text[at:] if length is None else text[at : at + length]

    assert run([*written], {"type": "SUBSTRING", "start": start, "length": length}) == [part(text) for text in written]

    def taken(text: str) -> str | None:
        parts = text.split("a")
        return parts[start] if -len(parts) <= start < len(parts) else None

    assert run([*written], {"type": "SPLIT_TAKE", "separator": "a", "index": start}) == [
        taken(text) for text in written
    ]


@settings(deadline=None)
@given(
    st.lists(st.dates(min_value=date(1000, 1, 1)), max_size=12),
    st.sampled_from(["%d/%m/%Y", "%m-%d-%Y", "%d.%m.%Y", "%b %d, %Y", "%d %B %Y", "%Y%m%d", "%Y/%j"]),
)
def test_dates_are_those_of_strptime(days: list[date], written_as: str) -> None:
    texts = [day.strftime(written_as) for day in days]
    assert run([*texts], {"type": "PARSE_DATE", "formats": [written_as]}) == [day.isoformat() for day in days]


@pytest.mark.parametrize(
    ("transform", "path", "text"),
    [
        ("Trim", (0,), "unknown transform; available: TRIM, COLLAPSE_SPACES, UPPER"),
        (7, (0,), "unknown transform"),
        ({}, (0,), "unknown transform"),
        ({"type": "TRIM", "side": "LEFT"}, (0, "PLAIN"), "unknown option 'side'; available: type"),
        ({"type": "REGEX_EXTRACT", "pattern": "a", "grp": 1}, (0, "REGEX_EXTRACT"), "available: type, pattern, group"),
        ("REGEX_EXTRACT", (0, "REGEX_EXTRACT", "pattern"), "Field required"),
        ({"type": "REGEX_EXTRACT", "pattern": "(a"}, (0, "REGEX_EXTRACT", "pattern"), "unclosed group"),
        ({"type": "REGEX_EXTRACT", "pattern": "a(?=b)"}, (0, "REGEX_EXTRACT", "pattern"), "look-around"),
        ({"type": "REGEX_EXTRACT", "pattern": "(a)", "group": 2}, (0, "REGEX_EXTRACT"), "no group 2; available: 0 to 1"),
        (
            {"type": "REGEX_REPLACE", "pattern": "(a)", "replacement": "$1x"}, (0, "REGEX_REPLACE"),
            "no group '1x'; available: 0, 1; where a letter follows, put it in braces: ${1}",
        ),
        ({"type": "SPLIT_TAKE", "separator": "", "index": 0}, (0, "SPLIT_TAKE", "separator"), "at least 1 character"),
        ({"type": "MAP", "table": {"a": "b"}, "default": "keep"}, (0, "MAP", "default"), "'KEEP' or 'NULL'"),
        ({"type": "PARSE_NUMBER", "locale": "xx"}, (0, "PARSE_NUMBER", "locale"), "unknown locale 'xx'; available: af, "),
        ({"type": "PARSE_NUMBER", "locale": "de", "decimal": ","}, (0, "PARSE_NUMBER"), "give locale or decimal, not both"),
        ({"type": "PARSE_NUMBER", "grouping": "."}, (0, "PARSE_NUMBER"), "decimal and grouping are the same"),
        ({"type": "PARSE_DATE", "formats": ["%d/%Q"]}, (0, "PARSE_DATE", "formats", 0), "unknown directive %Q; available: "),
        ({"type": "PARSE_DATE", "formats": ["%d/%m"]}, (0, "PARSE_DATE", "formats", 0), "says year and month"),
        ({"type": "PARSE_DATE", "formats": ["%d/%m/%Y %H"]}, (0, "PARSE_DATE", "formats", 0), "has minutes too"),
        ({"type": "PARSE_DATE", "formats": ["%F %I:%M"]}, (0, "PARSE_DATE", "formats", 0), "need %p"),
        ({"type": "PARSE_DATE", "formats": ["%d/%m/%Y%"]}, (0, "PARSE_DATE", "formats", 0), "unknown directive %"),
        ({"type": "ROUND", "places": 19}, (0, "ROUND", "places"), "less than or equal to 18"),
        ({"type": "ROUND", "mode": "EVEN"}, (0, "ROUND", "mode"), "'HALF_EVEN', 'HALF_UP'"),
        ({"type": "MINOR_UNITS", "currency": "EURO"}, (0, "MINOR_UNITS", "currency"), "unknown currency 'EURO'; available: AED"),
        ({"type": "MINOR_UNITS", "currency": "EUR", "currencyField": "c"}, (0, "MINOR_UNITS"), "currency or currencyField"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(transform: Any, path: tuple[Any, ...], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)) as raised:
        CHAIN.validate_python([transform])
    assert [problem["loc"] for problem in raised.value.errors()] == [path]  # pyright: ignore[reportAttributeAccessIssue]
