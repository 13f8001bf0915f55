"""The nearest of the records that lanes bring together, by the keys and rules of a rule set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from matching.fields import SideName
from matching.frames import Positions
from matching.links import Numbers
from matching.nearest import Fields, lanes_of, near_rows
from matching.nearness import parts_of, score_of
from matching.plan import PassPlan
from matching.search import Board

PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Nearest:
    """Pairs of rows of a board's sides, in order of the asked row, then the nearest first (ties by the other row)."""

    source: Positions
    target: Positions
    score: Numbers
    """Millionths; by the pass by which the two are nearest, the first one of several."""
    place: Numbers
    """Which of the passes that is."""


def nearest(
    fields: Fields,
    source: Positions,
    target: Positions,
    asked: SideName,
    *,
    span: int,
    text_span: int,
    keep: int,
    minimum: int = 0,
    most_lanes: int | None = None,
) -> Nearest:
    """For some records of one side up to `keep` of some of the other, of a score of at least `minimum` (millionths, inclusive).

    `span` is how far a record looks in each lane, `text_span` in those of alike texts: at most 2 * span * lanes candidates are
    judged for it.
    """
    own, theirs = (source, target) if asked == "source" else (target, source)
    lanes = list(islice(lanes_of(fields, asked, own, theirs, span, text_span), most_lanes))
    parts: list[Nearest] = []
    step = max(1, PAIRS_AT_ONCE // max(1, (span + text_span) * len(lanes)))
    for begin in range(0, len(own), step):
        places = near_rows(lanes, begin, min(begin + step, len(own)), len(theirs))
        pairs = own[places[0]], theirs[places[1]]
        if len(pairs[0]):
            at_source, at_target = pairs if asked == "source" else pairs[::-1]
            parts.append(_kept(fields.board, fields.passes, at_source, at_target, asked, keep, minimum))
    empty = np.empty(0, dtype=np.uint32)
    return Nearest(
        np.concatenate([empty, *(one.source for one in parts)]),
        np.concatenate([empty, *(one.target for one in parts)]),
        np.concatenate([empty.astype(np.int64), *(one.score for one in parts)]),
        np.concatenate([empty.astype(np.int64), *(one.place for one in parts)]),
    )


def _kept(
    board: Board,
    passes: Sequence[PassPlan],
    source: Positions,
    target: Positions,
    asked: SideName,
    keep: int,
    minimum: int,
) -> Nearest:
    scores = np.stack([score_of(parts_of(board, one, source, target)) for one in passes])
    place = scores.argmax(axis=0)
    score = scores[place, np.arange(len(source))]
    own, other = (source, target) if asked == "source" else (target, source)
    order = np.lexsort((other, -score, own))
    order = order[score[order] >= minimum]
    sorted_own = own[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_own, sorted_own)
    order = order[rank < keep]
    return Nearest(source[order], target[order], score[order], place[order].astype(np.int64))
