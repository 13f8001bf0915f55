"""What a pass finds: links between records, with the verdicts on them, and what it leaves and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.comparators import FULL_SCORE, Verdict
from matching.frames import Positions
from matching.plan import Comparison, PassPlan
from matching.terms import Reason
from matching.verdicts import joined

MATCHED_CODE = 0
REASON_CODES = {reason: code for code, reason in enumerate(Reason, start=MATCHED_CODE + 1)}

Codes = npt.NDArray[np.uint8]
"""Per row of a side: `MATCHED_CODE`, or why it has no partner, as in `REASON_CODES`: the higher code is the one that is told."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """A field rule and its verdicts, one per pair. `source_value` and `target_value` where they are not a record's own."""

    comparison: Comparison
    verdict: Verdict
    source_value: pl.Series | None = None
    target_value: pl.Series | None = None

    def at(self, rows: npt.NDArray[np.intp] | Numbers) -> Judged:
        """The verdicts of some pairs, in their order."""
        picked = pl.Series(rows, dtype=pl.UInt32)

        def gathered(column: pl.Series | None) -> pl.Series | None:
            return None if column is None else column.gather(picked)

        verdict = self.verdict.gather(picked)
        return Judged(self.comparison, verdict, gathered(self.source_value), gathered(self.target_value))


def joined_verdicts(parts: Sequence[Judged]) -> Judged:
    """One rule's verdicts on several parts of the pairs, one after the other."""
    verdicts = [one.verdict for one in parts]
    return Judged(parts[0].comparison, joined(verdicts))


@dataclass(frozen=True)
class Links:
    """Pairs of records. A match of one record with one is one pair, and each of its records is in no other match.

    A match of several records is as many pairs as its larger side has records: one-to-many links the one with each of the many,
    many-to-many the n-th with the n-th, and what is over with the last. `match` numbers the matches from 0.
    """

    source: Positions
    target: Positions
    match: Numbers
    judged: tuple[Judged, ...] = ()
    weight: Numbers | None = None
    """The score of each pair in millionths, where it is not the mean of the judged scores."""
    details: tuple[pl.Series, ...] = ()
    """Columns of their own that explain the pairs of a probabilistic pass."""

    def __len__(self) -> int:
        return len(self.source)

    def at(self, rows: npt.NDArray[np.intp] | Numbers) -> Links:
        """Some of the pairs, in their order."""
        return Links(
            self.source[rows],
            self.target[rows],
            self.match[rows],
            tuple(one.at(rows) for one in self.judged),
            None if self.weight is None else self.weight[rows],
            tuple(one.gather(pl.Series(rows, dtype=pl.UInt32)) for one in self.details),
        )

    @property
    def score(self) -> Numbers:
        """Millionths: the mean of the judged scores, full where nothing was judged."""
        if self.weight is not None:
            return self.weight
        if not self.judged:
            return np.full(len(self), FULL_SCORE, dtype=np.int64)
        return total_score(self.judged) // len(self.judged)


def total_score(judged: Sequence[Judged]) -> Numbers:
    """The sum of the scores of each pair, in millionths."""
    total = judged[0].verdict.score.to_numpy().astype(np.int64)
    for one in judged[1:]:
        total += one.verdict.score.to_numpy()
    return total


def no_links() -> Links:
    nothing = np.empty(0, dtype=np.uint32)
    return Links(nothing, nothing, np.empty(0, dtype=np.int64))


def pairs_as_links(source: Positions, target: Positions, judged: Sequence[Judged] = ()) -> Links:
    """Each pair is a match of its own."""
    return Links(source, target, np.arange(len(source), dtype=np.int64), tuple(judged))


@dataclass(frozen=True)
class PassResult:
    """What a pass found. Codes cover every row of a side: 0 where the pass has nothing to say of it, or matched it."""

    plan: PassPlan
    links: Links
    source_codes: Codes
    target_codes: Codes
    candidates: Links = field(default_factory=no_links)
    """Pairs for a person to decide on: contested ones, or what a pass that only suggests has found."""
