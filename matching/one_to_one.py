"""Candidates of a one-to-one pass become matches: by the ambiguity that the pass allows."""

from __future__ import annotations

import numpy as np

from matching.assignment import assign, contested
from matching.comparators import FULL_SCORE
from matching.frames import Positions
from matching.keys import Flags
from matching.links import REASON_CODES, Codes, Links, PassResult, pairs_as_links, total_score
from matching.plan import PassPlan
from matching.search import Board, Eligible, find_candidates
from matching.terms import Ambiguity, Reason


def settle_one_to_one(board: Board, plan: PassPlan, rows: Eligible) -> PassResult:
    """Finds the candidates of a pass and settles who belongs to whom.

    A record that only had candidates which others took is DUPLICATE where the pass has keys, MISSING otherwise.
    """
    found = find_candidates(board, plan, rows)
    codes = [
        np.zeros(board.source.height, dtype=np.uint8),
        np.zeros(board.target.height, dtype=np.uint8),
    ]
    for code, looked_at in zip(codes, (rows.source, rows.target), strict=True):
        code[looked_at] = REASON_CODES[Reason.MISSING]
    over = REASON_CODES[Reason.DUPLICATE if plan.keys else Reason.MISSING]
    codes[0][found.source] = over
    codes[1][found.target] = over
    candidates = found.at(np.empty(0, dtype=np.int64))
    match plan.ambiguity:
        case Ambiguity.REVIEW:
            open_to_doubt = contested(
                found.source, found.target, source_height=board.source.height, target_height=board.target.height
            )
            chosen = np.flatnonzero(~open_to_doubt)
            candidates = found.at(np.flatnonzero(open_to_doubt))
            codes[0][candidates.source] = REASON_CODES[Reason.AMBIGUOUS]
            codes[1][candidates.target] = REASON_CODES[Reason.AMBIGUOUS]
        case Ambiguity.BEST:
            chosen = _best(board, found, codes)
        case Ambiguity.IN_ORDER:
            chosen = first_come(found.source, found.target, board.source.height, board.target.height)
    links = found.at(chosen)
    codes[0][links.source] = 0
    codes[1][links.target] = 0
    return PassResult(plan, _numbered(links), codes[0], codes[1], candidates)


def _best(board: Board, found: Links, codes: list[Codes]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    score = total_score(found.judged) if found.judged else np.full(len(found), FULL_SCORE, dtype=np.int64)
    best = assign(
        found.source,
        found.target,
        score,
        source_height=board.source.height,
        target_height=board.target.height,
    )
    for code, truncated in zip(codes, (best.truncated_source, best.truncated_target), strict=True):
        code[truncated] = REASON_CODES[Reason.SEARCH_TRUNCATED]
    return best.edges


def first_come(
    source: Positions, target: Positions, source_height: int, target_height: int
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Which candidates become pairs when each source record in turn takes the first target record that is free still.

    Candidates are in order of source, then target. In rounds: a candidate that is the first of both its records is a pair.
    """
    left = np.arange(len(source), dtype=np.intp)
    chosen: list[np.ndarray[tuple[int], np.dtype[np.intp]]] = []
    while len(left):
        at_source, at_target = source[left], target[left]
        firsts = _is_first(at_source, source_height) & _is_first(at_target, target_height)
        taken = left[firsts]
        chosen.append(taken)
        free_source = np.ones(source_height, dtype=np.bool_)
        free_target = np.ones(target_height, dtype=np.bool_)
        free_source[source[taken]] = False
        free_target[target[taken]] = False
        left = left[free_source[at_source] & free_target[at_target]]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.intp)


def _is_first(rows: Positions, height: int) -> Flags:
    """Whether a candidate is the first with its record: candidates come in order, so the last one written is the first."""
    first = np.zeros(height, dtype=np.intp)
    first[rows[::-1]] = np.arange(len(rows) - 1, -1, -1)
    return first[rows] == np.arange(len(rows))


def _numbered(links: Links) -> Links:
    return Links(
        links.source, links.target, pairs_as_links(links.source, links.target).match, links.judged, links.weight
    )
