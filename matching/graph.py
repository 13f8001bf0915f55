"""The candidates of rows that compete for each other, as a graph: its components, and what is plain to see in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]
Scores = npt.NDArray[np.int64]

_ROUNDS = 64
"""So many rounds of reductions at most. A component's reductions depend on it alone, so its result is the same in any partition."""


@dataclass(frozen=True)
class Graph:
    """Candidates whose rows are numbered from 0 on each side, in the order of record identity, without gaps."""

    source: Indices
    target: Indices
    score: Scores
    source_height: int
    target_height: int

    def part(self, edges: Indices) -> Graph:
        source, source_height = _renumbered(self.source[edges], self.source_height)
        target, target_height = _renumbered(self.target[edges], self.target_height)
        return Graph(source, target, self.score[edges], source_height, target_height)


@dataclass(frozen=True)
class Blocks:
    """Edges by connected component: per edge the component's number and its rows' ranks there, from 0 on each side.

    Per component: how many source rows, target rows and edges it has. An edge is there once.
    """

    number: Indices
    source: Indices
    target: Indices
    sources: Indices
    targets: Indices
    edges: Indices

    @property
    def complete(self) -> Flags:
        """Per component, whether each of its source rows has an edge to each of its target rows."""
        return self.edges == self.sources * self.targets


def _renumbered(positions: Indices, height: int) -> tuple[Indices, int]:
    present = np.zeros(height, dtype=np.bool_)
    present[positions] = True
    number = np.cumsum(present, dtype=np.intp)
    return number[positions] - 1, int(number[-1])


def source_components(graph: Graph) -> Indices:
    """Per source row, the number of its component, in the order of their first rows."""
    ones = np.ones(len(graph.source), dtype=np.int8)
    nodes = graph.source_height + graph.target_height
    links = csr_array((ones, (graph.source, graph.target + graph.source_height)), shape=(nodes, nodes))
    label = connected_components(links, directed=False)[1][: graph.source_height]
    _, first, number = np.unique(label, return_index=True, return_inverse=True)
    by_first = np.empty(len(first), dtype=np.intp)
    by_first[np.argsort(first)] = np.arange(len(first))
    return by_first[number]


def blocks_of(graph: Graph) -> Blocks:
    of_source = source_components(graph)
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


def reduced(graph: Graph, component: Indices, most_pairs: bool) -> tuple[Indices, Indices]:
    """The edges that every best assignment has, as far as they are plain to see, and those that remain to be decided.

    Drops only what no best assignment has, so that all best assignments are still there. `component` is each edge's number.
    """
    live = np.arange(len(graph.source))
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


def _round(graph: Graph, most_pairs: bool) -> tuple[Flags, Flags]:
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


def turned(blocks: Blocks, score: Scores) -> Blocks:
    """Swaps the sides of those components whose edges come first that way, so that either input leads to the same component."""
    swap = blocks.sources > blocks.targets
    undecided = blocks.sources == blocks.targets
    edges = np.flatnonzero(undecided[blocks.number])
    source, target, number = blocks.source[edges], blocks.target[edges], blocks.number[edges]
    straight, mirrored = np.lexsort((target, source, number)), np.lexsort((source, target, number))
    starts = np.flatnonzero(np.diff(number[straight], prepend=-1))
    of_start = number[straight][starts]
    for one, other in ((source, target), (target, source), (score[edges], score[edges])):
        ours, theirs = one[straight], other[mirrored]
        differs = np.where(ours != theirs, np.arange(len(ours)), len(ours))
        first = np.minimum.reduceat(differs, starts) if len(starts) else starts
        found = undecided[of_start] & (first < len(ours))
        swap[of_start[found]] = (theirs < ours)[first[found]]
        undecided[of_start[found]] = False
    at = swap[blocks.number]
    return Blocks(
        blocks.number,
        np.where(at, blocks.target, blocks.source),
        np.where(at, blocks.source, blocks.target),
        np.where(swap, blocks.targets, blocks.sources),
        np.where(swap, blocks.sources, blocks.targets),
        blocks.edges,
    )
