"""Candidates of a one-to-one pass become matches: by the ambiguity that the pass allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from matching.comparators import FULL_SCORE
from matching.frames import Positions
from matching.keys import Flags, Numbers
from matching.links import REASON_CODES, Codes, Links, PassResult, total_score
from matching.plan import PassPlan
from matching.search import Board, Eligible, find_candidates
from matching.terms import Ambiguity, Reason

Indices = npt.NDArray[np.intp]


def settle_one_to_one(board: Board, plan: PassPlan, rows: Eligible) -> PassResult:
    """Finds the candidates of a pass and settles who belongs to whom. Raises SearchTooWide."""
    found = find_candidates(board, plan, rows)
    score = total_score(found.judged) if found.judged else np.full(len(found), FULL_SCORE, dtype=np.int64)
    return settle(board, plan, rows, found, score)


def settle(board: Board, plan: PassPlan, rows: Eligible, found: Links, score: Numbers) -> PassResult:
    """Settles who belongs to whom among candidates; `score` (0 and more) ranks them.

    A record that only had candidates which others took is DUPLICATE where the pass has keys, MISSING otherwise.
    """
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
            from matching.assignment import contested

            open_to_doubt = contested(
                found.source, found.target, source_height=board.source.height, target_height=board.target.height
            )
            chosen = np.flatnonzero(~open_to_doubt)
            candidates = found.at(np.flatnonzero(open_to_doubt))
            codes[0][candidates.source] = REASON_CODES[Reason.AMBIGUOUS]
            codes[1][candidates.target] = REASON_CODES[Reason.AMBIGUOUS]
        case Ambiguity.BEST:
            chosen = _best(board, found, score, codes)
        case Ambiguity.IN_ORDER:
            chosen = first_come(found.source, found.target)
    links = found.at(chosen)
    codes[0][links.source] = 0
    codes[1][links.target] = 0
    return PassResult(plan, _numbered(links), codes[0], codes[1], candidates)


def _best(board: Board, found: Links, score: Numbers, codes: list[Codes]) -> Indices:
    # Imported here, as above: SciPy takes half a second to load.
    from matching.assignment import assign

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


def first_come(source: Positions, target: Positions) -> Indices:
    """Which candidates become pairs when those of the first records choose first, ascending.

    Records are ranked by identity on each side, from 0, among those with candidates; a candidate is as early as the later of
    its two records, then as the earlier one: so it makes no difference which side is called the source.
    """
    ranks = np.unique(source, return_inverse=True)[1], np.unique(target, return_inverse=True)[1]
    left = np.lexsort((np.minimum(*ranks), np.maximum(*ranks)))
    chosen: list[Indices] = []
    while len(left):
        # In rounds: a candidate that is the first of both its records is a pair.
        taken = left[_is_first(ranks[0][left]) & _is_first(ranks[1][left])]
        chosen.append(taken)
        free = [np.ones(int(rank.max()) + 1, dtype=np.bool_) for rank in ranks]
        for one, rank in zip(free, ranks, strict=True):
            one[rank[taken]] = False
        left = left[free[0][ranks[0][left]] & free[1][ranks[1][left]]]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.intp)


def _is_first(ranks: Indices) -> Flags:
    """Whether a candidate is the first with its record: written from the end, the first one stays."""
    first = np.zeros(int(ranks.max()) + 1, dtype=np.intp)
    first[ranks[::-1]] = np.arange(len(ranks) - 1, -1, -1)
    return first[ranks] == np.arange(len(ranks))


def _numbered(links: Links) -> Links:
    """Each pair is a match of its own."""
    return replace(links, match=np.arange(len(links), dtype=np.int64))
