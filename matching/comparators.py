"""Field rules on pairs of values: do they agree, how well, and how far apart are they? Whole columns at a time."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from matching.differences import FULL_SCORE
from matching.fields import (
    DateWindowRule,
    ExactRule,
    FieldRule,
    FuzzyRule,
    FxRule,
    NumericRule,
    OneOfRule,
    RangeRule,
    RegexRule,
    TextRule,
)
from matching.measured import judge_days, judge_fx, judge_numeric, judge_range
from matching.notation import pattern_groups
from matching.plan import Comparison
from matching.similarity import similarities
from matching.terms import MatchType
from matching.texts import Reader, comparable, rendered
from matching.verdicts import Pairs, Verdict, graded


def judge(comparison: Comparison, source: Reader, target: Reader) -> Verdict:
    """Judges pairs of records: those at one place in what the two readers give. Null agrees with null and with no value."""
    rule = comparison.rule
    one, other = comparable(rule, source, target)
    agrees = one.eq_missing(other)
    if comparison.never_agrees:
        return Verdict(one.is_null() & other.is_null())
    dtype = DELTA_TYPES.get(rule.match_type)
    delta = None if dtype is None else pl.repeat(None, len(one), dtype=dtype, eager=True)
    doubtful = one.is_not_null() & other.is_not_null()
    if _settled_by_equality(rule):
        if isinstance(rule, ExactRule) or agrees.all():
            return Verdict(agrees, delta)
        # Only what is not identical is worth looking into.
        doubtful &= ~agrees
    rows = doubtful.arg_true()
    if not len(rows):
        return Verdict(agrees, delta)
    pairs = Pairs(
        rendered(one.gather(rows)),
        rendered(other.gather(rows)),
        lambda field: source(field).gather(rows),
        lambda field: target(field).gather(rows),
    )
    found = _look(comparison, pairs)
    height = len(one)

    def note() -> pl.Series:
        return pl.repeat(None, height, dtype=pl.String, eager=True).scatter(rows, found.note)

    return Verdict(
        agrees.clone().scatter(rows, found.agrees),
        delta if delta is None or found.delta is None else delta.scatter(rows, found.delta),
        (agrees.cast(pl.Int64) * FULL_SCORE).scatter(rows, found.score),
        None if found.noted is None else note,
    )


DELTA_TYPES: dict[MatchType, type[pl.String | pl.Int64]] = {
    MatchType.RANGE: pl.String,
    MatchType.NUMERIC: pl.String,
    MatchType.FX: pl.String,
    MatchType.DATE_WINDOW: pl.Int64,
}
"""The match types that measure, and what a delta is; the others have none."""


def _settled_by_equality(rule: FieldRule) -> bool:
    """Whether identical texts agree whatever they are."""
    match rule:
        case RegexRule() | FxRule():
            return False
        case NumericRule():
            fields = rule.source_currency_field, rule.target_currency_field
            return fields == (None, None) and rule.style_of("source") == rule.style_of("target")
        case DateWindowRule():
            return rule.source_formats == rule.target_formats
        case _:
            return True


def _look(comparison: Comparison, pairs: Pairs) -> Verdict:
    rule, legacy = comparison.rule, comparison.legacy
    match rule:
        case ExactRule():
            return Verdict(pairs.source == pairs.target)
        case FuzzyRule():
            threshold = rule.fuzzy_threshold if legacy is None else legacy.fuzzy_threshold
            return _fuzzy(rule, threshold, pairs)
        case RangeRule():
            tolerance = rule.tolerance if legacy is None else legacy.tolerance
            return judge_range(tolerance, pairs, any_comma=legacy is not None)
        case TextRule():
            return _text(rule, pairs)
        case RegexRule():
            return _regex(rule, pairs)
        case OneOfRule():
            return _one_of(rule, pairs)
        case DateWindowRule():
            return judge_days(rule, pairs)
        case NumericRule():
            return judge_numeric(rule, pairs)
        case FxRule():
            return judge_fx(rule, pairs)


def _fuzzy(rule: FuzzyRule, threshold: float, pairs: Pairs) -> Verdict:
    similarity = similarities(pairs.source, pairs.target, rule.algorithm)
    agrees = similarity >= threshold
    facts = pl.DataFrame({"agrees": agrees, "similarity": similarity})
    shown = pl.col("similarity").clip(0).round(4)
    said = pl.when(~pl.col("agrees")).then(pl.format(f"similarity {{}}, at least {threshold} needed", shown))
    return Verdict(agrees, graded=graded(agrees, similarity), noted=lambda: facts.select(note=said).to_series())


def _text(rule: TextRule, pairs: Pairs) -> Verdict:
    frame = pl.DataFrame({"source": pairs.source, "target": pairs.target}).select(pl.all().str.to_lowercase())
    one, other = pl.col("source"), pl.col("target")
    holds = _HOLDS[rule.match_type]
    lengths = one.str.len_chars(), other.str.len_chars()
    found = frame.select(
        (holds(one, other) | holds(other, one)).alias("agrees"),
        (pl.min_horizontal(*lengths) / pl.max_horizontal(*lengths)).alias("part"),
    )
    return Verdict(found["agrees"], graded=graded(found["agrees"], found["part"]))


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


def _regex(rule: RegexRule, pairs: Pairs) -> Verdict:
    source, target = (
        texts.str.extract(pattern, 1 if pattern_groups(pattern) else 0)
        for texts, pattern in ((pairs.source, rule.pattern_of("source")), (pairs.target, rule.pattern_of("target")))
    )
    facts = pl.DataFrame({"source": source, "target": target})
    said = (
        pl.when(pl.col("source").is_null())
        .then(pl.lit("the pattern finds nothing in source"))
        .when(pl.col("target").is_null())
        .then(pl.lit("the pattern finds nothing in target"))
        .when(pl.col("source") != pl.col("target"))
        .then(pl.format("the pattern finds '{}' and '{}'", "source", "target"))
    )
    return Verdict((source == target).fill_null(value=False), noted=lambda: facts.select(note=said).to_series())


def _one_of(rule: OneOfRule, pairs: Pairs) -> Verdict:
    agrees = pl.repeat(value=False, n=len(pairs.source), dtype=pl.Boolean, eager=True)
    if rule.groups:
        group_of = {value: number for number, group in enumerate(rule.groups) for value in group}
        source, target = (
            texts.replace_strict(group_of, default=None, return_dtype=pl.Int64)
            for texts in (pairs.source, pairs.target)
        )
        agrees |= (source == target).fill_null(value=False)
    if rule.pairs:
        table = pl.DataFrame([one.model_dump() for one in rule.pairs]).unique().with_columns(known=pl.lit(value=True))
        asked = pl.DataFrame({"source": pairs.source, "target": pairs.target})
        found = asked.join(table, on=["source", "target"], how="left", maintain_order="left")
        agrees |= found["known"].fill_null(value=False)
    return Verdict(agrees)
