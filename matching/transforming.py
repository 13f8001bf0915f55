"""Runs chains of transforms on whole columns of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from matching.currencies import MINOR_UNITS, SYMBOLS
from matching.dates import iso_dates, read_days
from matching.decimals import canonical, negated, rounded, whole_units
from matching.notation import pattern_groups
from matching.numbers import read_numbers
from matching.rendering import Reader, rendered
from matching.transforms import (
    Concat,
    MapTable,
    MinorUnits,
    ParseDate,
    ParseNumber,
    Plain,
    PlainName,
    RegexExtract,
    RegexReplace,
    Round,
    SplitTake,
    Substring,
    Transform,
)

_TEXT = "text"


def changed(texts: pl.Series, chain: Sequence[Transform], read: Reader) -> pl.Series:
    """What a chain makes of texts; `read` gives other fields of the same records."""
    waiting = pl.col(_TEXT)
    texts = texts.alias(_TEXT)
    for transform in chain:
        expression = _expression(transform, waiting)
        if expression is not None:
            waiting = expression
            continue
        # Numbers, dates and other fields need the column itself.
        column = texts.to_frame().select(waiting.alias(_TEXT)).to_series()
        texts = _column(transform, column, read).alias(_TEXT)
        waiting = pl.col(_TEXT)
    return texts.to_frame().select(waiting.alias(_TEXT)).to_series()


def read_currencies(column: pl.Series) -> pl.Series:
    """Codes (String) of a column of currencies: symbols by what they stand for, others trimmed, in capitals; blank is null."""
    text = pl.col(_TEXT).str.strip_chars().str.to_uppercase()
    code = text.replace(SYMBOLS)
    return rendered(column).alias(_TEXT).to_frame().select(pl.when(code != "").then(code)).to_series()


def _expression(transform: Transform, text: pl.Expr) -> pl.Expr | None:
    match transform:
        case Plain(type=name):
            change = _PLAIN.get(name)
            return None if change is None else change(text)
        case RegexExtract():
            group = transform.group
            if group is None:
                group = 1 if pattern_groups(transform.pattern) else 0
            return text.str.extract(transform.pattern, group)
        case RegexReplace():
            replace = text.str.replace_all if transform.all else text.str.replace
            return replace(transform.pattern, transform.replacement)
        case Substring():
            long_enough = text.str.len_chars() >= (transform.start + 1 if transform.start >= 0 else -transform.start)
            return pl.when(long_enough).then(text.str.slice(transform.start, transform.length))
        case SplitTake():
            return text.str.split(transform.separator).list.get(transform.index, null_on_oob=True)
        case MapTable():
            if transform.default == "KEEP":
                return text.replace(transform.table)
            return text.replace_strict(transform.table, default=None, return_dtype=pl.String)
        case _:
            return None


def _no_leading_zeros(text: pl.Expr) -> pl.Expr:
    rest = text.str.strip_chars_start("0")
    return pl.when((rest == "") & (text != "")).then(pl.lit("0")).otherwise(rest)


_PLAIN: dict[PlainName, Callable[[pl.Expr], pl.Expr]] = {
    "TRIM": lambda text: text.str.strip_chars(),
    # A single space, which is all that most texts have, is left alone.
    "COLLAPSE_SPACES": lambda text: text.str.replace_all(r"\s{2,}|[^\S ]", " "),
    "UPPER": lambda text: text.str.to_uppercase(),
    "LOWER": lambda text: text.str.to_lowercase(),
    "STRIP_PUNCTUATION": lambda text: text.str.replace_all(r"\p{P}+", ""),
    "STRIP_LEADING_ZEROS": _no_leading_zeros,
    "DIGITS_ONLY": lambda text: text.str.replace_all(r"[^0-9]+", ""),
}


def _beyond_ascii(texts: pl.Series, change: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Changes what is more than ASCII: slow, and nothing to do for the rest."""
    rows = (texts.str.len_bytes() != texts.str.len_chars()).arg_true()
    return texts.clone().scatter(rows, change(texts.gather(rows))) if len(rows) else texts


def _without_accents(texts: pl.Series) -> pl.Series:
    return texts.str.normalize("NFD").str.replace_all(r"\p{Mn}+", "").str.normalize("NFC")


def _column(transform: Transform, texts: pl.Series, read: Reader) -> pl.Series:
    match transform:
        case Plain(type="NFKC"):
            return _beyond_ascii(texts, lambda some: some.str.normalize("NFKC"))
        case Plain(type="REMOVE_ACCENTS"):
            return _beyond_ascii(texts, _without_accents)
        case Plain(type="NEGATE"):
            return negated(_numbers(texts))
        case Plain():
            return _numbers(texts).str.strip_prefix("-")
        case ParseNumber():
            return canonical(read_numbers(texts, style=transform.style)["number"])
        case ParseDate():
            return iso_dates(read_days(texts, transform.formats))
        case Round():
            return rounded(_numbers(texts), transform.places, transform.mode)
        case Concat():
            columns = [texts, *(rendered(read(field)) for field in transform.fields)]
            return _joined(columns, transform.separator)
        case MinorUnits():
            return _minor_units(transform, texts, read)
        case _:
            raise AssertionError(transform)


def _numbers(texts: pl.Series) -> pl.Series:
    return canonical(read_numbers(texts)["number"])


def _joined(columns: Sequence[pl.Series], separator: str) -> pl.Series:
    frame = pl.DataFrame([one.alias(f"text{number}") for number, one in enumerate(columns)])
    some = pl.any_horizontal(pl.all().is_not_null())
    return frame.select(pl.when(some).then(pl.concat_str(pl.all(), separator=separator, ignore_nulls=True))).to_series()


def _minor_units(transform: MinorUnits, texts: pl.Series, read: Reader) -> pl.Series:
    amounts = read_numbers(texts)
    if transform.currency is not None:
        currency = pl.repeat(transform.currency, len(texts), dtype=pl.String, eager=True)
    elif transform.currency_field is not None:
        currency = read_currencies(read(transform.currency_field))
    else:
        currency = amounts["currency"]
    places = currency.replace_strict(MINOR_UNITS, default=None, return_dtype=pl.Int64)
    return whole_units(canonical(amounts["number"]), places)
