"""How far a condition reaches: between which values a source record looks for its candidates.

A window may be a little too wide, never too narrow: what it finds is judged exactly afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.calendars import business_day_numbers
from matching.fields import FieldRule
from matching.measured import amounts_of, days_of
from matching.measures import DateWindowRule, NumericRule, RangeRule
from matching.rendering import Reader
from matching.texts import key_values
from matching.windows import Dimension, Floats


@dataclass(frozen=True)
class Reach:
    """A dimension to search in. `source_other` and `target_other` hold what can't be placed in it (null: it can be).

    Texts that are no number, or no date, agree with the same text only, and null agrees with null: these are found by equality.
    """

    dimension: Dimension
    source_other: pl.Series
    target_other: pl.Series


def reach_of(rule: FieldRule, source: Reader, target: Reader) -> Reach | None:
    """The reach of a condition over the records that two readers give; None where it has no bounds."""
    if not isinstance(rule, RangeRule | NumericRule | DateWindowRule):
        return None
    texts = key_values(rule, "source", source), key_values(rule, "target", target)
    if isinstance(rule, DateWindowRule):
        values = _days(rule, *texts)
    else:
        amounts = amounts_of(rule, "source", texts[0], source), amounts_of(rule, "target", texts[1], target)
        values = tuple(one["number"].cast(pl.Float64, strict=False) for one in amounts)
    placed = [one.is_finite().fill_null(value=False) for one in values]
    at_source, at_target = (
        one.set(~known, 0.0).fill_null(0.0).to_numpy() for one, known in zip(values, placed, strict=True)
    )
    if isinstance(rule, DateWindowRule):
        below, above = (np.full(len(at_source), float(days)) for days in rule.days_allowed)
    else:
        below = above = _allowed(rule, at_source)
    # Numbers that no float holds are rounded, and so is what is subtracted from them.
    slack = np.spacing(np.abs(at_source) + np.maximum(below, above)) * 8
    dimension = Dimension(at_target, at_source - below - slack, at_source + above + slack)
    return Reach(dimension, *(_other(text, known) for text, known in zip(texts, placed, strict=True)))


def _days(rule: DateWindowRule, *texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    source, target = days_of(rule, "source", texts[0]), days_of(rule, "target", texts[1])
    if rule.business_days:
        stacked = business_day_numbers(
            pl.concat([source.alias("day"), target.alias("day")]),
            calendar=rule.calendar,
            subdivision=rule.subdivision,
            weekend=rule.weekend,
        )
        source, target = stacked.head(len(source)), stacked.tail(len(target))
    return source.cast(pl.Float64), target.cast(pl.Float64)


def _allowed(rule: RangeRule | NumericRule, source: Floats) -> Floats:
    """The most that a target's amount may be off."""
    if isinstance(rule, RangeRule):
        return np.full(len(source), float(rule.tolerance))
    known = [*rule.per_currency.values(), *([] if rule.absolute is None else [rule.absolute])]
    absolute = np.full(len(source), float(max(known))) if known else None
    if rule.percent is None:
        return np.zeros(len(source)) if absolute is None else absolute
    part = float(rule.percent) / 100
    if rule.percent_of != "SOURCE":
        # |t| <= |s| + off, so off <= part * |t| gives off <= |s| * part / (1 - part).
        part = part / (1 - part) if part < 1 else np.inf
    share = np.abs(source) * part if np.isfinite(part) else np.full(len(source), np.finfo(np.float64).max / 4)
    share = share * (1 + 1e-12)
    if absolute is None or (rule.combine == "SMALLER" and rule.absolute is None):
        return share
    return np.minimum(absolute, share) if rule.combine == "SMALLER" else np.maximum(absolute, share)


def _other(texts: pl.Series, placed: pl.Series) -> pl.Series:
    """What can't be placed: the text, or a mark that no text is for a null."""
    frame = pl.DataFrame({"text": texts, "placed": placed})
    return frame.select(
        pl.when("placed")
        .then(None)
        .otherwise(pl.when(pl.col("text").is_null()).then(pl.lit("\0")).otherwise(pl.format("={}", "text")))
        .alias("other")
    ).to_series()
