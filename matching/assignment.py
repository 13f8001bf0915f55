"""Which candidates become pairs where records compete for each other: the assignment with the highest total score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from matching.frames import Positions
from matching.optimum import Blocks, alternatives, best_edges

Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]
Scores = npt.NDArray[np.int64]

SCORE_LIMIT = 2**32
"""Scores are below it, so that every sum that decides between assignments is an exact number."""

BUDGET_LIMIT = 2**17
"""The largest budget: with more edges in a component, distances between ranks would outgrow exact numbers."""

_ROUNDS = 64
"""So many rounds of reductions at most. A component's reductions depend on it alone, so its result is the same in any partition."""


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
class _Graph:
    """Candidates whose rows are numbered from 0 on each side, in the order of record identity, without gaps."""

    source: Indices
    target: Indices
    score: Scores
    source_height: int
    target_height: int

    def part(self, edges: Indices) -> _Graph:
        source, source_height = _renumbered(self.source[edges], self.source_height)
        target, target_height = _renumbered(self.target[edges], self.target_height)
        return _Graph(source, target, self.score[edges], source_height, target_height)


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
        whole = _Graph(source.astype(np.intp), target.astype(np.intp), score, source_height, target_height)
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
    whole = _Graph(source.astype(np.intp), target.astype(np.intp), np.zeros(len(source), dtype=np.int64), *heights)
    graph = whole.part(np.arange(len(source)))
    return _source_components(graph)[graph.source].astype(np.int64)


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


def _renumbered(positions: Indices, height: int) -> tuple[Indices, int]:
    present = np.zeros(height, dtype=np.bool_)
    present[positions] = True
    number = np.cumsum(present, dtype=np.intp)
    return number[positions] - 1, int(number[-1])


def _source_components(graph: _Graph) -> Indices:
    """Per source row, the number of its component, in the order of their first rows."""
    ones = np.ones(len(graph.source), dtype=np.int8)
    nodes = graph.source_height + graph.target_height
    links = csr_array((ones, (graph.source, graph.target + graph.source_height)), shape=(nodes, nodes))
    label = connected_components(links, directed=False)[1][: graph.source_height]
    _, first, number = np.unique(label, return_index=True, return_inverse=True)
    by_first = np.empty(len(first), dtype=np.intp)
    by_first[np.argsort(first)] = np.arange(len(first))
    return by_first[number]


def _settle(graph: _Graph, budget: int, most_pairs: bool) -> _Settled:
    settled = _Settled.nothing(len(graph.source))
    certain, rest = _reduced(graph, most_pairs)
    settled.chosen[certain] = True
    if not len(rest):
        return settled
    left = graph.part(rest)
    blocks = _blocks(left)
    uniform = blocks.complete & ~_uneven(left.score, blocks)
    at = uniform[blocks.number]
    settled.chosen[rest[at & (blocks.source == blocks.target)]] = True
    settled.open[rest[at & (blocks.edges > 1)[blocks.number]]] = True
    large = ~uniform & (blocks.edges > budget)
    for number in np.flatnonzero(large):
        edges = np.flatnonzero(blocks.number == number)
        settled.chosen[rest[edges]] = _in_portions(left.part(edges), budget, most_pairs)
        settled.truncated[rest[edges]] = True
    within = np.flatnonzero(~(uniform | large)[blocks.number])
    if len(within):
        chosen, undecided = _exactly(left.part(within), most_pairs)
        settled.chosen[rest[within]] = chosen
        settled.open[rest[within]] = undecided
    return settled


def _blocks(graph: _Graph) -> Blocks:
    of_source = _source_components(graph)
    number = of_source[graph.source]
    of_target = np.empty(graph.target_height, dtype=np.intp)
    of_target[graph.target] = number
    source_rank, sources = _ranks(of_source)
    target_rank, targets = _ranks(of_target)
    return Blocks(number, source_rank[graph.source], target_rank[graph.target], sources, targets, np.bincount(number))


def _ranks(number: Indices) -> tuple[Indices, Indices]:
    """Per row, how many rows of its component come before it; per component, how many rows it has."""
    sizes = np.bincount(number)
    order = np.argsort(number, kind="stable")
    rank = np.empty(len(number), dtype=np.intp)
    rank[order] = np.arange(len(number)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank, sizes


def _uneven(score: Scores, blocks: Blocks) -> Flags:
    """Per component, whether its scores differ."""
    some = np.empty(len(blocks.edges), dtype=np.int64)
    some[blocks.number] = score
    uneven = np.zeros(len(blocks.edges), dtype=np.bool_)
    uneven[blocks.number[score != some[blocks.number]]] = True
    return uneven


def _reduced(graph: _Graph, most_pairs: bool) -> tuple[Indices, Indices]:
    """The edges that every best assignment has, as far as they are plain to see, and those that remain to be decided.

    Drops only what no best assignment has, so that all best assignments are still there.
    """
    live = np.arange(len(graph.source))
    component = _source_components(graph)[graph.source]
    certain: list[Indices] = []
    done: list[Indices] = []
    for _ in range(_ROUNDS):
        wins, hopeless = _round(graph, most_pairs)
        certain.append(live[wins])
        taken_source = np.zeros(graph.source_height, dtype=np.bool_)
        taken_source[graph.source[wins]] = True
        taken_target = np.zeros(graph.target_height, dtype=np.bool_)
        taken_target[graph.target[wins]] = True
        gone = hopeless | taken_source[graph.source] | taken_target[graph.target]
        # Nothing more will happen in a component in which nothing happened.
        changed = np.zeros(int(component.max()) + 1, dtype=np.bool_)
        changed[component[gone]] = True
        again = changed[component]
        done.append(live[~again])
        kept = np.flatnonzero(again & ~gone)
        live = live[kept]
        if not len(live):
            break
        component = component[kept]
        graph = graph.part(kept)
    return np.concatenate(certain), np.sort(np.concatenate([*done, live]))


def _round(graph: _Graph, most_pairs: bool) -> tuple[Flags, Flags]:
    """Per edge, whether every best assignment has it, and whether none has."""
    score = graph.score
    worth_more = np.ones(len(score), dtype=np.bool_)
    rivals = np.zeros(len(score), dtype=np.int64)
    alone: list[Flags] = []
    for row, height in ((graph.source, graph.source_height), (graph.target, graph.target_height)):
        best = np.zeros(height, dtype=np.int64)
        np.maximum.at(best, row, score)
        top = score == best[row]
        second = np.zeros(height, dtype=np.int64)
        np.maximum.at(second, row[~top], score[~top])
        worth_more &= top & (np.bincount(row[top], minlength=height)[row] == 1)
        rivals += second[row]
        alone.append(np.bincount(row, minlength=height)[row] == 1)
    # Without the edge, its two rows can bring in no more than their second best each.
    worth_more &= score > rivals
    if most_pairs:
        worth_more &= alone[0] | alone[1]
    hopeless = np.zeros(len(score), dtype=np.bool_)
    for row, height, other_alone in (
        (graph.source, graph.source_height, alone[1]),
        (graph.target, graph.target_height, alone[0]),
    ):
        # A partner that nobody else wants can always be had.
        sure = np.zeros(height, dtype=np.int64)
        np.maximum.at(sure, row[other_alone], score[other_alone])
        hopeless |= score < sure[row]
    return worth_more | (alone[0] & alone[1]), hopeless


def _exactly(graph: _Graph, most_pairs: bool) -> tuple[Flags, Flags]:
    """Per edge, whether it is chosen and whether it is open."""
    blocks = _blocks(graph)
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


def _by_rank(graph: _Graph, source_needed: Flags, target_needed: Flags) -> Flags:
    """Per open edge, whether it is chosen: of the assignments that have all needed rows, the one closest in rank.

    No edge joins two rows that are both not needed.
    """
    blocks = _blocks(graph)
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
        blocks = _turned(_blocks(left), left.score)
        distance = np.square(blocks.source - blocks.target)
        furthest = np.zeros(len(blocks.edges), dtype=np.int64)
        np.maximum.at(furthest, blocks.number, distance)
        worth = (np.minimum(blocks.sources, blocks.targets) * furthest + 1)[blocks.number]
        needed = source_needed[hard].astype(np.int64) + target_needed[hard]
        chosen[hard] = best_edges(blocks, worth * needed - distance)
    return chosen


def _turned(blocks: Blocks, score: Scores) -> Blocks:
    """Swaps the sides of those components whose edges come first that way, so that either input leads to the same component."""
    straight = np.lexsort((blocks.target, blocks.source, blocks.number))
    mirrored = np.lexsort((blocks.source, blocks.target, blocks.number))
    swap = blocks.sources > blocks.targets
    undecided = blocks.sources == blocks.targets
    starts = np.cumsum(blocks.edges) - blocks.edges
    for one, other in ((blocks.source, blocks.target), (blocks.target, blocks.source), (score, score)):
        ours, theirs = one[straight], other[mirrored]
        differs = np.where(ours != theirs, np.arange(len(ours)), len(ours))
        first = np.minimum.reduceat(differs, starts)
        found = undecided & (first < len(ours))
        swap[found] = (theirs < ours)[first[found]]
        undecided &= ~found
    at = swap[blocks.number]
    return Blocks(
        blocks.number,
        np.where(at, blocks.target, blocks.source),
        np.where(at, blocks.source, blocks.target),
        np.where(swap, blocks.targets, blocks.sources),
        np.where(swap, blocks.sources, blocks.targets),
        blocks.edges,
    )


def _in_portions(graph: _Graph, budget: int, most_pairs: bool) -> Flags:
    """Per edge of one component, whether it is chosen: the best `budget` edges are settled first, then the best of the rest."""
    blocks = _turned(_blocks(graph), graph.score)
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
