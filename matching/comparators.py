"""Field rules on pairs of values: do they agree, how well, and how far apart are they? Whole columns at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from matching.dates import read_days
from matching.fields import DateWindowRule, FuzzyRule, RangeRule, TextRule
from matching.numbers import differences, read_numbers
from matching.plan import Comparison
from matching.similarity import levenshtein_similarity
from matching.terms import MatchType
from matching.texts import Reader, comparable, rendered

FULL_SCORE = 1_000_000
"""The score of equal values; scores are in millionths."""

_NEARLY = FULL_SCORE - 1
"""The best that values can have which agree and are not equal."""


@dataclass(frozen=True)
class Verdict:
    """Per pair of values, in their order: `agrees` Boolean without nulls, and `delta` for match types that measure.

    `delta` is target minus source: String (exact decimal) for RANGE, Int64 (days) for DATE_WINDOW, null where the texts are
    identical or one of them can't be read.
    """

    agrees: pl.Series
    delta: pl.Series | None = None
    graded: pl.Series | None = None
    """Scores; None: full where the values agree, 0 elsewhere."""

    @property
    def score(self) -> pl.Series:
        """Int64 millionths, to rank pairs by: 1,000,000 for equal values, 0 where they disagree, never 0 where they agree."""
        return self.agrees.cast(pl.Int64) * FULL_SCORE if self.graded is None else self.graded


@dataclass(frozen=True)
class _Doubtful:
    """Pairs that have two values, and that equal texts don't settle."""

    comparison: Comparison
    source: pl.Series
    """String: the source's texts after all transforms."""
    target: pl.Series
    read_source: Reader
    """Gives other fields of the same records."""
    read_target: Reader


def judge(comparison: Comparison, source: Reader, target: Reader) -> Verdict:
    """Judges pairs of records: those at one place in what the two readers give. Null agrees with null and with no value."""
    rule = comparison.rule
    one, other = comparable(rule, source, target)
    agrees = one.eq_missing(other)
    if comparison.never_agrees:
        return Verdict(one.is_null() & other.is_null())
    dtype = _DELTAS.get(rule.match_type)
    delta = None if dtype is None else pl.repeat(None, len(one), dtype=dtype, eager=True)
    look = _LOOKS.get(type(rule))
    if look is None or agrees.all():
        return Verdict(agrees, delta)
    # Only what is not identical is worth looking into.
    rows = (~agrees & one.is_not_null() & other.is_not_null()).arg_true()
    if not len(rows):
        return Verdict(agrees, delta)
    found = look(
        _Doubtful(
            comparison,
            rendered(one.gather(rows)),
            rendered(other.gather(rows)),
            lambda field: source(field).gather(rows),
            lambda field: target(field).gather(rows),
        )
    )
    graded = (agrees.cast(pl.Int64) * FULL_SCORE).scatter(rows, found.score)
    agrees = agrees.scatter(rows, found.agrees)
    return Verdict(agrees, delta if delta is None or found.delta is None else delta.scatter(rows, found.delta), graded)


def _range(pairs: _Doubtful) -> Verdict:
    rule, legacy = pairs.comparison.rule, pairs.comparison.legacy
    assert isinstance(rule, RangeRule)  # noqa: S101
    expected = read_numbers(pairs.source, any_comma=legacy is not None)
    found = read_numbers(pairs.target, any_comma=legacy is not None)
    # A currency agrees with none given; null is not true.
    other_currency = (expected["currency"] != found["currency"]).fill_null(value=False)
    tolerance = rule.tolerance if legacy is None else legacy.tolerance
    measured = differences(expected["number"], found["number"], tolerance)
    within = measured["within"].fill_null(value=False)
    return Verdict(within & ~other_currency, measured["delta"].set(other_currency, None))


def _date_window(pairs: _Doubtful) -> Verdict:
    rule = pairs.comparison.rule
    assert isinstance(rule, DateWindowRule)  # noqa: S101
    delta = read_days(pairs.target).cast(pl.Int64) - read_days(pairs.source).cast(pl.Int64)
    return Verdict((delta.abs() <= rule.days_tolerance).fill_null(value=False), delta)


def _fuzzy(pairs: _Doubtful) -> Verdict:
    rule, legacy = pairs.comparison.rule, pairs.comparison.legacy
    assert isinstance(rule, FuzzyRule)  # noqa: S101
    similarity = levenshtein_similarity(pairs.source, pairs.target)
    agrees = similarity >= (rule.fuzzy_threshold if legacy is None else legacy.fuzzy_threshold)
    return Verdict(agrees, graded=_graded(agrees, similarity))


def _graded(agrees: pl.Series, part: pl.Series) -> pl.Series:
    """Scores from shares (floats: they rank, they decide nothing)."""
    score = (part.fill_nan(0) * FULL_SCORE).floor().clip(1, _NEARLY).cast(pl.Int64).fill_null(1)
    return agrees.cast(pl.Int64) * score


def _text(pairs: _Doubtful) -> Verdict:
    frame = pl.DataFrame({"source": pairs.source, "target": pairs.target}).select(pl.all().str.to_lowercase())
    one, other = pl.col("source"), pl.col("target")
    holds = _HOLDS[pairs.comparison.rule.match_type]
    lengths = one.str.len_chars(), other.str.len_chars()
    found = frame.select(
        (holds(one, other) | holds(other, one)).alias("agrees"),
        (pl.min_horizontal(*lengths) / pl.max_horizontal(*lengths)).alias("part"),
    )
    return Verdict(found["agrees"], graded=_graded(found["agrees"], found["part"]))


def _contains(text: pl.Expr, part: pl.Expr) -> pl.Expr:
    return text.str.contains(part, literal=True)


def _starts_with(text: pl.Expr, part: pl.Expr) -> pl.Expr:
    return text.str.starts_with(part)


def _ends_with(text: pl.Expr, part: pl.Expr) -> pl.Expr:
    return text.str.ends_with(part)


_HOLDS: dict[MatchType, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    MatchType.CONTAINS: _contains,
    MatchType.STARTS_WITH: _starts_with,
    MatchType.ENDS_WITH: _ends_with,
}

_LOOKS: dict[type[object], Callable[[_Doubtful], Verdict]] = {
    FuzzyRule: _fuzzy,
    RangeRule: _range,
    TextRule: _text,
    DateWindowRule: _date_window,
}
"""What judges values whose texts differ; EXACT has nothing more to say about them."""

_DELTAS: dict[MatchType, type[pl.String | pl.Int64]] = {MatchType.RANGE: pl.String, MatchType.DATE_WINDOW: pl.Int64}
