"""Records without a partner that come near each other: what a person is asked about beside the breaks that say they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.comparators import FULL_SCORE
from matching.frames import Positions
from matching.keys import Numbers
from matching.near_search import PAIRS_AT_ONCE, nearest
from matching.nearest import MOST_LANES, Fields
from matching.nearness import parts_of, sentence_of
from matching.plan import PassPlan, Plan
from matching.search import Board

MOST_PAIRS = 10_000_000
"""About so many pairs are judged at most: the more records are left over, the less far each looks, and in the fewer lanes."""

FARTHEST = 8
FEWEST_LANES = 4


@dataclass(frozen=True)
class NearPairs:
    """Pairs of records without a partner, each at its score (millionths) by the pass by which the two are nearest."""

    source: Positions
    target: Positions
    score: Numbers
    place: Numbers
    """The number of the pass, from 0."""
    sentence: pl.Series
    """What does not agree, and what does."""


def no_near_pairs() -> NearPairs:
    empty = np.empty(0, dtype=np.uint32)
    none = empty.astype(np.int64)
    return NearPairs(empty, empty, none, none, pl.Series([], dtype=pl.String))


def near_pairs(plan: Plan, board: Board, decided: Sequence[tuple[Positions, Positions]]) -> NearPairs:
    """The nearest pairs of open records, as the rule set asks for them, by source, then the nearest first.

    `decided` are pairs that a person is asked about anyway. None where the rule set doesn't ask.
    """
    wanted = plan.potential_matches
    rows = [np.flatnonzero(one).astype(np.uint32) for one in (board.source_open, board.target_open)]
    if wanted is None or not len(rows[0]) or not len(rows[1]):
        return no_near_pairs()
    each = MOST_PAIRS // (2 * len(rows[0]))
    span = min(max(each // MOST_LANES, 1), FARTHEST)
    found = nearest(
        Fields(board, plan.passes),
        rows[0],
        rows[1],
        "source",
        span=span,
        text_span=span,
        keep=wanted.nearest,
        minimum=int(np.ceil(wanted.minimum_score * FULL_SCORE)),
        most_lanes=None if each >= MOST_LANES else max(each, FEWEST_LANES),
    )
    asked = [np.empty(0, dtype=np.int64), *(_codes(board, source, target) for source, target in decided)]
    new = np.flatnonzero(~np.isin(_codes(board, found.source, found.target), np.concatenate(asked)))
    source, target, place = found.source[new], found.target[new], found.place[new]
    return NearPairs(source, target, found.score[new], place, _sentences(board, plan.passes, source, target, place))


def _codes(board: Board, source: Positions, target: Positions) -> Numbers:
    return source.astype(np.int64) * board.target.height + target


def _sentences(
    board: Board, passes: Sequence[PassPlan], source: Positions, target: Positions, place: Numbers
) -> pl.Series:
    texts = pl.repeat(None, len(source), dtype=pl.String, eager=True)
    for number, one in enumerate(passes):
        every = np.flatnonzero(place == number)
        for begin in range(0, len(every), PAIRS_AT_ONCE):
            rows = every[begin : begin + PAIRS_AT_ONCE]
            said = sentence_of(parts_of(board, one, source[rows], target[rows]))
            texts = texts.scatter(pl.Series(rows, dtype=pl.UInt32), said)
    return texts
