"""Which candidates become pairs where records compete for each other: the assignment with the highest total score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching.frames import Positions
from matching.graph import Blocks, Flags, Graph, Indices, Scores, blocks_of, reduced, source_components, turned
from matching.optimum import alternatives, best_edges

SCORE_LIMIT = 2**32
"""Scores are below it, so that every sum that decides between assignments is an exact number."""

BUDGET_LIMIT = 2**17
"""The largest budget: with more edges in a component, distances between ranks would outgrow exact numbers."""


@dataclass(frozen=True)
class Assignment:
    """`source[i]` is paired with `target[i]` by the candidate `edges[i]` of the input; `source` ascends, no row is in it twice.

    The flags cover every row of a side. Ambiguous: another assignment with the same objective gives the row another partner, or
    none, or one where it has none now. Truncated: the row's component was larger than the budget, so that a better assignment
    may exist, and its rows are not said to be ambiguous.
    """

    source: Positions
    target: Positions
    edges: Indices
    ambiguous_source: Flags
    ambiguous_target: Flags
    truncated_source: Flags
    truncated_target: Flags


@dataclass(frozen=True)
class _Settled:
    """Per edge of a graph: chosen; open, which is in some of the best assignments and not in all; truncated."""

    chosen: Flags
    open: Flags
    truncated: Flags

    @classmethod
    def nothing(cls, edges: int) -> _Settled:
        return cls(*(np.zeros(edges, dtype=np.bool_) for _ in range(3)))

    def take(self, edges: Indices, part: _Settled) -> None:
        self.chosen[edges] = part.chosen
        self.open[edges] = part.open
        self.truncated[edges] = part.truncated


def assign(
    source: Positions,
    target: Positions,
    score: Scores,
    *,
    source_height: int,
    target_height: int,
    budget: int = 50_000,
    most_pairs: bool = False,
) -> Assignment:
    """The best one-to-one assignment among the candidates `source[i]`, `target[i]` with `score[i]`, each of them given once.

    Best is the highest total score and, with equal totals, the most pairs; with `most_pairs`, the most pairs first. Positions
    are in the order of record identity on each side, and below the side's height; 0 <= score < `SCORE_LIMIT`.

    Where several assignments are best, the rows that they treat differently fall into components by the edges that are in
    some of them and not in all. In each such component rows are ranked by identity, each side from 0, and the assignment with the
    smallest sum of squared differences of its pairs' ranks is taken: equal candidates pair in order, the n-th with the n-th. What
    is equal even so is decided after turning the component to the side that compares first, so swapped sides give the
    mirrored assignment unless the component is its own mirror image.

    `budget` bounds each component on its own, in edges (1 to `BUDGET_LIMIT`), after reductions that lose nothing. A larger
    one, unless all its rows are candidates of each other with equal scores, is settled from its `budget` best edges first, exactly,
    then from the best of those left over, and so on. The result depends on neither edge order nor what other components there are.

    Raises ValueError for arrays of unequal length and for values outside their bounds.
    """
    _check(source, target, score, source_height, target_height, budget)
    settled = _Settled.nothing(len(source))
    rest = np.flatnonzero(contested(source, target, source_height=source_height, target_height=target_height))
    settled.chosen[:] = True
    if len(rest):
        whole = Graph(source.astype(np.intp), target.astype(np.intp), score, source_height, target_height)
        settled.take(rest, _settle(whole.part(rest), budget, most_pairs))
    edge_of = np.full(source_height, -1, dtype=np.intp)
    picked = np.flatnonzero(settled.chosen)
    edge_of[source[picked]] = picked
    edges = edge_of[edge_of >= 0]
    return Assignment(
        source[edges],
        target[edges],
        edges,
        _rows(source, settled.open, source_height),
        _rows(target, settled.open, target_height),
        _rows(source, settled.truncated, source_height),
        _rows(target, settled.truncated, target_height),
    )


def contested(source: Positions, target: Positions, *, source_height: int, target_height: int) -> Flags:
    """Per candidate: whether one of its rows is a candidate of another row too. The others are components of one pair."""
    single = np.bincount(source, minlength=source_height)[source] == 1
    single &= np.bincount(target, minlength=target_height)[target] == 1
    return ~single


def components(source: Positions, target: Positions) -> npt.NDArray[np.int64]:
    """Per candidate, the number of its connected component: from 0, in the order of their first source rows."""
    if not len(source):
        return np.zeros(0, dtype=np.int64)
    heights = int(source.max()) + 1, int(target.max()) + 1
    whole = Graph(source.astype(np.intp), target.astype(np.intp), np.zeros(len(source), dtype=np.int64), *heights)
    graph = whole.part(np.arange(len(source)))
    return source_components(graph)[graph.source].astype(np.int64)


def _check(
    source: Positions, target: Positions, score: Scores, source_height: int, target_height: int, budget: int
) -> None:
    if not len(source) == len(target) == len(score):
        raise ValueError(
            f"source, target and score must be equally long, not {len(source)}, {len(target)}, {len(score)}"
        )
    if not 1 <= budget <= BUDGET_LIMIT:
        raise ValueError(f"budget must be 1 to {BUDGET_LIMIT} edges, not {budget}")
    if not len(source):
        return
    for side, positions, height in (("source", source, source_height), ("target", target, target_height)):
        if int(positions.max()) >= height:
            raise ValueError(f"{side} has position {int(positions.max())}; {side}_height is {height}")
    if int(score.min()) < 0 or int(score.max()) >= SCORE_LIMIT:
        raise ValueError(f"score must be 0 to {SCORE_LIMIT - 1}, not {int(score.min())} to {int(score.max())}")


def _rows(positions: Positions, edges: Flags, height: int) -> Flags:
    rows = np.zeros(height, dtype=np.bool_)
    rows[positions[edges]] = True
    return rows


def _settle(graph: Graph, budget: int, most_pairs: bool) -> _Settled:
    settled = _Settled.nothing(len(graph.source))
    blocks = blocks_of(graph)
    rest = np.flatnonzero(~_settle_uniform(graph, blocks, settled))
    if len(rest):
        certain, left = reduced(graph.part(rest), blocks.number[rest], most_pairs)
        settled.chosen[rest[certain]] = True
        if len(left):
            settled.take(rest[left], _settle_reduced(graph.part(rest[left]), budget, most_pairs))
    return settled


def _settle_reduced(graph: Graph, budget: int, most_pairs: bool) -> _Settled:
    settled = _Settled.nothing(len(graph.source))
    blocks = blocks_of(graph)
    uniform = _settle_uniform(graph, blocks, settled)
    large = ~uniform & (blocks.edges > budget)[blocks.number]
    for number in np.unique(blocks.number[large]):
        edges = np.flatnonzero(blocks.number == number)
        settled.chosen[edges] = _in_portions(graph.part(edges), budget, most_pairs)
    settled.truncated[large] = True
    within = np.flatnonzero(~uniform & ~large)
    if len(within):
        settled.chosen[within], settled.open[within] = _exactly(graph.part(within), most_pairs)
    return settled


def _settle_uniform(graph: Graph, blocks: Blocks, settled: _Settled) -> Flags:
    """Settles the components in which any row may pair with any, equally well. Per edge, whether it is in one."""
    some = np.empty(len(blocks.edges), dtype=np.int64)
    some[blocks.number] = graph.score
    uniform = blocks.complete
    uniform[blocks.number[graph.score != some[blocks.number]]] = False
    at = uniform[blocks.number]
    settled.chosen[at] = (blocks.source == blocks.target)[at]
    settled.open[at] = (blocks.edges > 1)[blocks.number[at]]
    return at


def _exactly(graph: Graph, most_pairs: bool) -> tuple[Flags, Flags]:
    """Per edge, whether it is chosen and whether it is open."""
    blocks = blocks_of(graph)
    fewest = np.minimum(blocks.sources, blocks.targets)
    if most_pairs:
        highest = np.zeros(len(fewest), dtype=np.int64)
        np.maximum.at(highest, blocks.number, graph.score)
        weight = graph.score + (fewest * highest + 1)[blocks.number]
    else:
        weight = graph.score * (fewest + 1)[blocks.number] + 1
    best = best_edges(blocks, weight)
    choice = alternatives(graph.source, graph.target, weight, best)
    undecided = np.flatnonzero(choice.open)
    if len(undecided):
        must = choice.source_needed[graph.source[undecided]], choice.target_needed[graph.target[undecided]]
        best[undecided] = _by_rank(graph.part(undecided), *must)
    return best, choice.open


def _by_rank(graph: Graph, source_needed: Flags, target_needed: Flags) -> Flags:
    """Per open edge, whether it is chosen: of the assignments that have all needed rows, the one closest in rank.

    No edge joins two rows that are both not needed.
    """
    blocks = blocks_of(graph)
    fewest = np.minimum(blocks.sources, blocks.targets)
    ahead = blocks.source == blocks.target
    stray = (source_needed & (blocks.source >= fewest[blocks.number])) | (
        target_needed & (blocks.target >= fewest[blocks.number])
    )
    plain = np.bincount(blocks.number[ahead], minlength=len(fewest)) == fewest
    plain[blocks.number[stray]] = False
    chosen = ahead & plain[blocks.number]
    hard = np.flatnonzero(~plain[blocks.number])
    if len(hard):
        left = graph.part(hard)
        blocks = turned(blocks_of(left), left.score)
        distance = np.square(blocks.source - blocks.target)
        furthest = np.zeros(len(blocks.edges), dtype=np.int64)
        np.maximum.at(furthest, blocks.number, distance)
        worth = (np.minimum(blocks.sources, blocks.targets) * furthest + 1)[blocks.number]
        needed = source_needed[hard].astype(np.int64) + target_needed[hard]
        chosen[hard] = best_edges(blocks, worth * needed - distance)
    return chosen


def _in_portions(graph: Graph, budget: int, most_pairs: bool) -> Flags:
    """Per edge of one component, whether it is chosen: the best `budget` edges are settled first, then the best of the rest."""
    blocks = turned(blocks_of(graph), graph.score)
    distance = np.abs(blocks.source - blocks.target)
    order = np.lexsort((blocks.source, blocks.source + blocks.target, distance, -graph.score))
    chosen = np.zeros(len(order), dtype=np.bool_)
    source_free = np.ones(graph.source_height, dtype=np.bool_)
    target_free = np.ones(graph.target_height, dtype=np.bool_)
    while len(order):
        portion, order = order[:budget], order[budget:]
        taken = portion[_settle(graph.part(portion), budget, most_pairs).chosen]
        chosen[taken] = True
        source_free[graph.source[taken]] = False
        target_free[graph.target[taken]] = False
        order = order[source_free[graph.source[order]] & target_free[graph.target[order]]]
    return chosen
