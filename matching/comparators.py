"""Field rules on pairs of values: do they agree, and how far apart are they? Whole columns at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.dates import read_days
from matching.frames import comparable, rendered
from matching.numbers import differences, read_numbers
from matching.plan import Comparison
from matching.terms import MatchType


@dataclass(frozen=True)
class Verdict:
    """Per pair of values, in their order: `agrees` Boolean without nulls, and `delta` for match types that measure.

    `delta` is target minus source: String (exact decimal) for RANGE, Int64 (days) for DATE_WINDOW, null where the texts are
    identical or one of them can't be read.
    """

    agrees: pl.Series
    delta: pl.Series | None = None


def judge(comparison: Comparison, source: pl.Series, target: pl.Series) -> Verdict:
    """Judges the pairs of two columns of one length. Null agrees with null and with no value."""
    one, other = comparable(source, target, comparison.transforms)
    agrees = one.eq_missing(other)
    dtype = _DELTAS.get(comparison.match_type)
    delta = None if dtype is None else pl.repeat(None, len(one), dtype=dtype, eager=True)
    if comparison.match_type is MatchType.FUZZY and comparison.fuzzy_threshold > 1:
        # Not even equal texts are that similar.
        return Verdict(one.is_null() & other.is_null())
    differs = _DIFFERING.get(comparison.match_type)
    if differs is None or agrees.all():
        return Verdict(agrees, delta)
    # Only what is not identical is worth looking into.
    rows = (~agrees & one.is_not_null() & other.is_not_null()).arg_true()
    if not len(rows):
        return Verdict(agrees, delta)
    found = differs(comparison, rendered(one.gather(rows)), rendered(other.gather(rows)))
    agrees = agrees.scatter(rows, found.agrees)
    return Verdict(agrees, delta if delta is None or found.delta is None else delta.scatter(rows, found.delta))


def _range(comparison: Comparison, source: pl.Series, target: pl.Series) -> Verdict:
    expected = read_numbers(source, any_comma=comparison.any_comma)
    found = read_numbers(target, any_comma=comparison.any_comma)
    # A currency agrees with none given; null is not true.
    other_currency = (expected["currency"] != found["currency"]).fill_null(value=False)
    measured = differences(expected["number"], found["number"], comparison.tolerance)
    within = measured["within"].fill_null(value=False)
    return Verdict(within & ~other_currency, measured["delta"].set(other_currency, None))


def _date_window(comparison: Comparison, source: pl.Series, target: pl.Series) -> Verdict:
    delta = read_days(target).cast(pl.Int64) - read_days(source).cast(pl.Int64)
    return Verdict((delta.abs() <= comparison.days_tolerance).fill_null(value=False), delta)


def _fuzzy(comparison: Comparison, source: pl.Series, target: pl.Series) -> Verdict:
    # Imported here: it takes longer to load than most matches take without it.
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    frame = pl.DataFrame({"source": source, "target": target})
    pairs = frame.unique()
    lowered = pairs.select(pl.all().str.to_lowercase())
    distance = cpdist(
        lowered["source"].to_list(),
        lowered["target"].to_list(),
        scorer=Levenshtein.distance,
        dtype=np.int64,
        workers=-1,
    )
    # Length is that of the texts as they are: lower case may be longer.
    length = pl.max_horizontal(pl.all().str.len_chars()).cast(pl.Int64)
    similarity = pairs.select((length - pl.lit(pl.Series(distance))) / length).to_series()
    judged = pairs.with_columns((similarity >= comparison.fuzzy_threshold).alias("agrees"))
    found = frame.join(judged, on=["source", "target"], how="left", maintain_order="left")
    return Verdict(found["agrees"])


def _either_way(holds: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[Comparison, pl.Series, pl.Series], Verdict]:
    def judge_texts(_: Comparison, source: pl.Series, target: pl.Series) -> Verdict:
        frame = pl.DataFrame({"source": source, "target": target}).select(pl.all().str.to_lowercase())
        one, other = pl.col("source"), pl.col("target")
        return Verdict(frame.select((holds(one, other) | holds(other, one)).alias("agrees")).to_series())

    return judge_texts


def _contains(text: pl.Expr, part: pl.Expr) -> pl.Expr:
    return text.str.contains(part, literal=True)


def _starts_with(text: pl.Expr, part: pl.Expr) -> pl.Expr:
    return text.str.starts_with(part)


def _ends_with(text: pl.Expr, part: pl.Expr) -> pl.Expr:
    return text.str.ends_with(part)


_DIFFERING: dict[MatchType, Callable[[Comparison, pl.Series, pl.Series], Verdict]] = {
    MatchType.FUZZY: _fuzzy,
    MatchType.RANGE: _range,
    MatchType.CONTAINS: _either_way(_contains),
    MatchType.STARTS_WITH: _either_way(_starts_with),
    MatchType.ENDS_WITH: _either_way(_ends_with),
    MatchType.DATE_WINDOW: _date_window,
}
"""What judges texts that differ; EXACT has nothing more to say about them."""

_DELTAS: dict[MatchType, type[pl.String | pl.Int64]] = {MatchType.RANGE: pl.String, MatchType.DATE_WINDOW: pl.Int64}
