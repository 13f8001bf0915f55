"""Field rules on amounts and dates, judged on pairs of values."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import polars as pl

from matching.calendars import business_day_numbers
from matching.dates import iso_dates, read_days
from matching.decimals import plain_text
from matching.differences import FULL_SCORE, NEARLY, differences
from matching.measures import AmountRule, DateWindowRule, FxRule, NumericRule, RangeRule
from matching.numbers import read_numbers
from matching.pairs import SideName
from matching.rates import converted
from matching.rendering import Reader, rendered
from matching.transforming import read_currencies
from matching.verdicts import Pairs, Verdict


def judge_range(tolerance: Decimal, pairs: Pairs, *, any_comma: bool) -> Verdict:
    """RANGE: texts that are not identical. With `any_comma`, commas count for nothing wherever they are."""
    expected = read_numbers(pairs.source, any_comma=any_comma)
    found = read_numbers(pairs.target, any_comma=any_comma)
    # A currency agrees with none given; null is not true.
    other_currency = (expected["currency"] != found["currency"]).fill_null(value=False)
    measured = differences(expected["number"], found["number"], tolerance)
    agrees = measured["within"].fill_null(value=False) & ~other_currency
    score = measured["score"].fill_null(0) * agrees.cast(pl.Int64)
    return Verdict(agrees, measured["delta"].set(other_currency, None), graded=score)


def amounts_of(rule: RangeRule | AmountRule, side: SideName, texts: pl.Series, read: Reader) -> pl.DataFrame:
    """`number` and `currency` (String) of a side's texts after transforms; `read` gives other fields of the same records."""
    if isinstance(rule, RangeRule):
        return read_numbers(texts)
    found = read_numbers(texts, style=rule.style_of(side))
    field = rule.currency_field_of(side)
    if field is None:
        return found
    said = read_currencies(read(field))
    return found.with_columns(said.zip_with(said.is_not_null(), found["currency"]).alias("currency"))


def judge_numeric(rule: NumericRule, pairs: Pairs) -> Verdict:
    """NUMERIC."""
    source = amounts_of(rule, "source", pairs.source, pairs.read_source)
    target = amounts_of(rule, "target", pairs.target, pairs.read_target)
    differ = (source["currency"] != target["currency"]).fill_null(value=False)
    facts = pl.DataFrame({"differ": differ, "source": source["currency"], "target": target["currency"]})
    said = pl.when("differ").then(pl.format("the currencies are {} and {}", "source", "target"))
    return _judged(rule, pairs, source, target, differ, lambda: facts.select(note=said).to_series())


def judge_fx(rule: FxRule, pairs: Pairs) -> Verdict:
    """FX."""
    source = amounts_of(rule, "source", pairs.source, pairs.read_source)
    target = amounts_of(rule, "target", pairs.target, pairs.read_target)
    days = read_days(rendered(pairs.read_source(rule.date_field)), rule.date_formats)
    turned = converted(rule, source["number"], source["currency"], target["currency"], days)
    unrated = ~turned["rated"]

    def note() -> pl.Series:
        facts = pl.DataFrame(
            {"unrated": unrated, "day": iso_dates(days), "source": source["currency"], "target": target["currency"]}
        )
        said = (
            pl.when(pl.col("source").is_null())
            .then(pl.lit("no currency in source"))
            .when(pl.col("target").is_null())
            .then(pl.lit("no currency in target"))
            .when(pl.col("unrated") & pl.col("day").is_null())
            .then(pl.lit(f"no date in {rule.date_field} to take a rate of"))
            .when("unrated")
            .then(pl.format("no rate from {} to {} for {}", "source", "target", "day"))
        )
        return facts.select(note=said).to_series()

    return _judged(rule, pairs, turned.with_columns(source["currency"]), target, unrated, note)


def _judged(
    rule: AmountRule,
    pairs: Pairs,
    source: pl.DataFrame,
    target: pl.DataFrame,
    refused: pl.Series,
    note: Callable[[], pl.Series],
) -> Verdict:
    currency = target["currency"].zip_with(target["currency"].is_not_null(), source["currency"])
    measured = differences(source["number"], target["number"], _tolerance(rule, currency), rule.allowance)
    same = (pairs.source == pairs.target) & source["number"].is_null() & target["number"].is_null()
    agrees = (measured["within"].fill_null(value=False) & ~refused) | same
    score = measured["score"].fill_null(0).set(same, FULL_SCORE) * agrees.cast(pl.Int64)
    return Verdict(agrees, measured["delta"].set(refused, None), score, lambda: note().set(agrees, None))


def _tolerance(rule: AmountRule, currency: pl.Series) -> Decimal | pl.Series | None:
    if not rule.per_currency:
        return rule.absolute
    absolute = None if rule.absolute is None else plain_text(rule.absolute)
    table = {code: plain_text(tolerance) for code, tolerance in rule.per_currency.items()}
    return currency.replace_strict(table, default=absolute, return_dtype=pl.String)


def days_of(rule: DateWindowRule, side: SideName, texts: pl.Series) -> pl.Series:
    """Int32 days since 1970-01-01 of a side's texts after transforms."""
    return read_days(texts, rule.formats_of(side))


def judge_days(rule: DateWindowRule, pairs: Pairs) -> Verdict:
    """DATE_WINDOW."""
    source, target = days_of(rule, "source", pairs.source), days_of(rule, "target", pairs.target)
    unread = (pairs.source == pairs.target) & source.is_null() & target.is_null()
    if rule.business_days:
        stacked = pl.concat([source.alias("day"), target.alias("day")])
        numbers = business_day_numbers(
            stacked, calendar=rule.calendar, subdivision=rule.subdivision, weekend=rule.weekend
        )
        source, target = numbers.head(len(source)), numbers.tail(len(target))
    before, after = rule.days_allowed
    delta = (target.cast(pl.Int64) - source.cast(pl.Int64)).alias("delta")
    agrees = delta.is_between(-before, after).fill_null(value=False)
    away = pl.col("delta").abs()
    allowed = pl.when(pl.col("delta") < 0).then(before).otherwise(after).clip(1).cast(pl.Int64)
    near = (FULL_SCORE - FULL_SCORE // 2 * away // allowed).clip(1, NEARLY)
    score = delta.to_frame().select(pl.when(away == 0).then(FULL_SCORE).otherwise(near)).to_series()
    score = score.fill_null(0).set(unread, FULL_SCORE) * (agrees | unread).cast(pl.Int64)
    return Verdict(agrees | unread, delta, graded=score)
