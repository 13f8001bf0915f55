"""How far a condition reaches: between which values a source record looks for its candidates.

A window may be a little too wide, never too narrow: what it finds is judged exactly afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.dates import read_days
from matching.fields import DateWindowRule, FieldRule, RangeRule
from matching.numbers import read_numbers
from matching.texts import rendered
from matching.windows import Dimension, Floats


@dataclass(frozen=True)
class Reach:
    """A dimension to search in. `source_other` and `target_other` hold what can't be placed in it (null: it can be).

    Texts that are no number, or no date, agree with the same text only, and null agrees with null: these are found by equality.
    """

    dimension: Dimension
    source_other: pl.Series
    target_other: pl.Series


def reach_of(rule: FieldRule, source: pl.Series, target: pl.Series) -> Reach | None:
    """The reach of a condition whose values, after transforms, are `source` and `target`; None where it has no bounds."""
    texts = rendered(source), rendered(target)
    match rule:
        case RangeRule():
            numbers = [read_numbers(one, any_comma=False)["number"].cast(pl.Float64, strict=False) for one in texts]
            bound = float(rule.tolerance)
            below = above = np.full(len(source), bound)
        case DateWindowRule():
            numbers = [read_days(one).cast(pl.Float64) for one in texts]
            below = above = np.full(len(source), float(rule.days_tolerance))
        case _:
            return None
    placed = [one.is_finite().fill_null(value=False) for one in numbers]
    at_source, at_target = (
        one.set(~known, 0.0).fill_null(0.0).to_numpy() for one, known in zip(numbers, placed, strict=True)
    )
    return Reach(
        _window(at_source, at_target, below, above),
        *(_other(text, known) for text, known in zip(texts, placed, strict=True)),
    )


def _window(source: Floats, target: Floats, below: Floats, above: Floats) -> Dimension:
    # Numbers that no float holds are rounded, and so is what is subtracted from them.
    slack = np.spacing(np.abs(source) + np.maximum(below, above)) * 4
    return Dimension(target, source - below - slack, source + above + slack)


def _other(texts: pl.Series, placed: pl.Series) -> pl.Series:
    """What can't be placed: the text, or a mark that no text is for a null."""
    frame = pl.DataFrame({"text": texts, "placed": placed})
    return frame.select(
        pl.when("placed")
        .then(None)
        .otherwise(pl.when(pl.col("text").is_null()).then(pl.lit("\0")).otherwise(pl.format("={}", "text")))
        .alias("other")
    ).to_series()
