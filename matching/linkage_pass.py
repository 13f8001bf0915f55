"""Probabilistic passes: weights learned from the records themselves decide who is a candidate of whom."""

from __future__ import annotations

import numpy as np
import polars as pl

from matching.frames import Side
from matching.linkage import link
from matching.linkage_options import Linkage
from matching.links import Judged, Links, PassResult
from matching.one_to_one import settle
from matching.plan import PassPlan
from matching.search import Board, Eligible, judge_all
from matching.texts import key_values

WEIGHT_UNITS = 1_000_000
"""Weights rank pairs as whole numbers: to six decimals, as they are learned."""


def settle_by_linkage(board: Board, plan: PassPlan, linkage: Linkage, rows: Eligible) -> PassResult:
    """Scores the candidates of a probabilistic pass, leaves out what its conditions don't allow, and settles the rest.

    A match's score is the probability that its records are of one thing. Raises LinkageUnavailable, MatchingError.
    """
    frames = [
        _compared(side, linkage, looked_at)
        for side, looked_at in ((board.source, rows.source), (board.target, rows.target))
    ]
    linked = link(frames[0], frames[1], linkage.settings, model=linkage.model)
    pairs = linked.pairs
    source = rows.source[pairs["source"].to_numpy()]
    target = rows.target[pairs["target"].to_numpy()]
    judged = judge_all(board, plan.rules, source, target)
    found = Links(
        source,
        target,
        np.arange(len(source), dtype=np.int64),
        tuple(judged),
        (pairs["probability"] * WEIGHT_UNITS).floor().cast(pl.Int64).to_numpy(),
        tuple(pairs.get_column(name) for name in pairs.columns if name.startswith("weight")),
    )
    allowed = _allowed(plan, judged, len(source))
    found = found if allowed.all() else found.at(np.flatnonzero(allowed))
    weights = pairs["weight"].to_numpy()[allowed]
    ranked = np.round((weights - linkage.minimum_weight) * WEIGHT_UNITS).astype(np.int64)
    return settle(board, plan, rows, found, ranked)


def _allowed(plan: PassPlan, judged: list[Judged], count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    allowed = np.ones(count, dtype=np.bool_)
    for one in judged:
        if one.comparison in plan.conditions:
            allowed &= one.verdict.agrees.to_numpy()
    return allowed


def _compared(side: Side, linkage: Linkage, rows: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> pl.DataFrame:
    return pl.DataFrame(
        [key_values(one, side.name, side.reader(rows)).alias(str(number)) for number, one in enumerate(linkage.fields)]
    )
