"""What a field rule says about pairs of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import polars as pl

from matching.differences import FULL_SCORE, NEARLY
from matching.rendering import Reader


@dataclass(frozen=True)
class Verdict:
    """Per pair of values, in their order: `agrees` Boolean without nulls, and `delta` for match types that measure.

    `delta` is target minus source: String (exact decimal) for RANGE, NUMERIC and FX (there minus the converted amount), Int64
    (days, or business days) for DATE_WINDOW. Null where identical texts need no look, or where one of them can't be read.
    """

    agrees: pl.Series
    delta: pl.Series | None = None
    graded: pl.Series | None = None
    """Scores; None: full where the values agree, 0 elsewhere."""
    noted: Callable[[], pl.Series] | None = None
    """Gives `note`, which is worked out only where it is read."""

    @property
    def note(self) -> pl.Series | None:
        """String: why values disagree; null where they agree, or where nothing can be said beside what delta and rule say."""
        return None if self.noted is None else self.noted()

    @property
    def score(self) -> pl.Series:
        """Int64 millionths, to rank pairs by: 1,000,000 for equal values, 0 where they disagree, never 0 where they agree."""
        return self.agrees.cast(pl.Int64) * FULL_SCORE if self.graded is None else self.graded

    def gather(self, rows: pl.Series | npt.NDArray[Any]) -> Verdict:
        """The verdicts of some pairs, in the order of `rows`."""
        noted = self.noted
        return Verdict(
            self.agrees.gather(rows),
            None if self.delta is None else self.delta.gather(rows),
            None if self.graded is None else self.graded.gather(rows),
            None if noted is None else lambda: noted().gather(rows),
        )


def joined(verdicts: Sequence[Verdict]) -> Verdict:
    """One rule's verdicts on several parts of the pairs (at least one), one part after the other."""
    deltas = [one.delta for one in verdicts if one.delta is not None]

    def note() -> pl.Series:
        return pl.concat(
            one.noted().cast(pl.String) if one.noted else pl.repeat(None, len(one.agrees), dtype=pl.String, eager=True)
            for one in verdicts
        )

    return Verdict(
        pl.concat([one.agrees for one in verdicts]),
        pl.concat(deltas) if deltas else None,
        pl.concat([one.score for one in verdicts]) if any(one.graded is not None for one in verdicts) else None,
        note if any(one.noted is not None for one in verdicts) else None,
    )


@dataclass(frozen=True)
class Pairs:
    """Pairs that have two values."""

    source: pl.Series
    """String: the source's texts after all transforms."""
    target: pl.Series
    read_source: Reader
    """Gives other fields of the same records."""
    read_target: Reader


def graded(agrees: pl.Series, part: pl.Series) -> pl.Series:
    """Scores of values that are not equal, from shares of 1 (floats: they rank, they decide nothing)."""
    score = (part.fill_nan(0) * FULL_SCORE).floor().clip(1, NEARLY).cast(pl.Int64).fill_null(1)
    return agrees.cast(pl.Int64) * score
