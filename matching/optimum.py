"""The best assignment of candidates in many small components, and where it is not the only one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from matching.graph import Blocks, Flags, Indices, Scores

_DENSE_CELLS = 2**21
"""A component with more pairs of rows than this, candidates or not, is solved from its edges alone."""


@dataclass(frozen=True)
class Choice:
    """Per edge: open, which is in some of the best assignments and not in all. Per row: needed, which all of them pair."""

    open: Flags
    source_needed: Flags
    target_needed: Flags


def best_edges(blocks: Blocks, weight: Scores) -> Flags:
    """Per edge, whether it is in the assignment with the highest total weight; 0 < weight < 2**51.

    Each component is solved on its own: which of several equal assignments it gets depends on nothing outside it.
    """
    swap = (blocks.sources > blocks.targets)[blocks.number]
    few = np.where(swap, blocks.target, blocks.source)
    many = np.where(swap, blocks.source, blocks.target)
    rows = np.minimum(blocks.sources, blocks.targets)
    columns = np.maximum(blocks.sources, blocks.targets)
    chosen = np.zeros(len(few), dtype=np.bool_)
    narrow = (rows <= 2)[blocks.number]
    at = np.flatnonzero(narrow)
    if len(at):
        chosen[at[_narrow(blocks.number[at], few[at], many[at], weight[at])]] = True
    at = np.flatnonzero(~narrow)
    order = at[np.argsort(blocks.number[at], kind="stable")]
    dense = rows * columns <= _DENSE_CELLS
    is_dense = dense[blocks.number[order]]
    at = order[is_dense]
    if len(at):
        chosen[at[_dense(blocks.number[at], few[at], many[at], weight[at], rows, columns)]] = True
    at = order[~is_dense]
    if len(at):
        for part in np.split(at, np.flatnonzero(np.diff(blocks.number[at])) + 1):
            number = blocks.number[part[0]]
            chosen[part[_sparse(few[part], many[part], weight[part], int(rows[number]), int(columns[number]))]] = True
    return chosen


def _narrow(number: Indices, few: Indices, many: Indices, weight: Scores) -> Indices:
    """The best edges of components with one or two rows on the smaller side.

    Of each row only the two heaviest edges count: the other row can take no more than one away.
    """
    slot = 2 * number + few
    order = np.lexsort((many, -weight, slot))
    ordered = slot[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    slots = 2 * (int(number.max()) + 1)
    heaviest = np.full(slots, -1, dtype=np.intp)
    heaviest[ordered[first]] = order[first]
    following = first[first + 1 < len(order)] + 1
    following = following[ordered[following] == ordered[following - 1]]
    next_to_it = np.full(slots, -1, dtype=np.intp)
    next_to_it[ordered[following]] = order[following]
    # No edge has index -1, which is the added one: no weight, no row.
    weights = np.append(weight, 0)
    column = np.append(many, -1)
    one, other = heaviest[::2], heaviest[1::2]
    one_second, other_second = next_to_it[::2], next_to_it[1::2]
    clash = (one >= 0) & (column[one] == column[other])
    one_stays = weights[one] + weights[other_second] >= weights[one_second] + weights[other]
    picked = np.concatenate(
        [np.where(clash & ~one_stays, one_second, one), np.where(clash & one_stays, other_second, other)]
    )
    return picked[picked >= 0]


def _dense(number: Indices, few: Indices, many: Indices, weight: Scores, rows: Indices, columns: Indices) -> Indices:
    """The best edges of components laid out as matrices; edges come by component. One call each, into compiled code.

    A pair of rows without an edge weighs nothing, so it stands for leaving both of them alone.
    """
    picked: list[Indices] = []
    first = np.flatnonzero(np.diff(number, prepend=-1))
    cells = (rows * columns)[number[first]]
    # As many components at a time as fill one of the largest matrices.
    batch = np.cumsum(cells) // _DENSE_CELLS
    cuts = np.append(first[np.flatnonzero(np.diff(batch, prepend=-1))], len(number))
    for start, stop in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        part = slice(start, stop)
        own = number[part]
        here = own[np.diff(own, prepend=-1) != 0]
        heights, widths = rows[here], columns[here]
        offsets = np.append(0, np.cumsum(heights * widths))
        offset_of = np.zeros(int(here[-1]) + 1, dtype=np.intp)
        offset_of[here] = offsets[:-1]
        cell = offset_of[own] + few[part] * columns[own] + many[part]
        costs = np.zeros(offsets[-1], dtype=np.float64)
        costs[cell] = -weight[part]
        found = [
            linear_sum_assignment(costs[begin:end].reshape(height, -1))[1]
            for begin, end, height in zip(offsets[:-1].tolist(), offsets[1:].tolist(), heights.tolist(), strict=True)
        ]
        row = np.arange(int(heights.sum())) - np.repeat(np.cumsum(heights) - heights, heights)
        taken = np.repeat(offsets[:-1], heights) + row * np.repeat(widths, heights) + np.concatenate(found)
        is_taken = np.zeros(len(costs), dtype=np.bool_)
        is_taken[taken] = True
        picked.append(start + np.flatnonzero(is_taken[cell]))
    return np.concatenate(picked)


def _sparse(few: Indices, many: Indices, weight: Scores, rows: int, columns: int) -> Indices:
    """The best edges of one component. Each row of the smaller side may also take a column of its own, at no weight."""
    own = np.arange(rows)
    # A stored zero would be no edge; every row has one partner, so that adding to all costs changes nothing.
    ceiling = int(weight.max()) + 1
    costs = np.concatenate([ceiling - weight, np.full(rows, ceiling)]).astype(np.float64)
    places = (np.concatenate([few, own]), np.concatenate([many, columns + own]))
    graph = csr_array((costs, places), shape=(rows, columns + rows))
    row, column = min_weight_full_bipartite_matching(graph)
    partner = np.empty(rows, dtype=np.intp)
    partner[row] = column
    return np.flatnonzero(partner[few] == many)


def alternatives(source: Indices, target: Indices, weight: Scores, best: Flags) -> Choice:
    """What other assignments there are with the same total weight as `best`, which has the highest; all weights are positive.

    An assignment becomes another one by moving sources along a cycle: each takes the target of the next. Leaving a row alone is
    a move to or from one more node, the free rows. Gains along cycles are never positive; potentials (the longest ways from
    the free rows) show which moves can be part of a cycle that gains nothing.
    """
    picked = np.flatnonzero(best)
    pair_of_source = np.zeros(int(source.max()) + 1, dtype=np.intp)
    pair_of_target = np.zeros(int(target.max()) + 1, dtype=np.intp)
    pairs = np.arange(1, len(picked) + 1)
    pair_of_source[source[picked]] = pairs
    pair_of_target[target[picked]] = pairs
    worth = np.zeros(len(picked) + 1, dtype=np.int64)
    worth[1:] = weight[picked]
    mover, taken = pair_of_source[source], pair_of_target[target]
    gain = weight - worth[mover]
    potential = _potentials(mover[~best], taken[~best], gain[~best], len(worth))
    tight = ~best & (potential[mover] + gain == potential[taken])
    source_leaves = potential == worth
    target_left = potential == 0
    source_leaves[0] = target_left[0] = False
    nodes = len(worth)
    starts = np.concatenate([mover[tight], np.flatnonzero(source_leaves), np.zeros(target_left.sum(), dtype=np.intp)])
    ends = np.concatenate([taken[tight], np.zeros(source_leaves.sum(), dtype=np.intp), np.flatnonzero(target_left)])
    moves = csr_array((np.ones(len(starts), dtype=np.int8), (starts, ends)), shape=(nodes, nodes))
    group = connected_components(moves, directed=True, connection="strong")[1]
    shared = np.bincount(group)[group] > 1
    is_open = (tight & (group[mover] == group[taken])) | (best & shared[mover])
    with_free = group == group[0]
    return Choice(
        is_open,
        ~(source_leaves & with_free)[pair_of_source] & (pair_of_source > 0),
        ~(target_left & with_free)[pair_of_target] & (pair_of_target > 0),
    )


def _potentials(mover: Indices, taken: Indices, gain: Scores, nodes: int) -> Scores:
    """Per node the highest gain of a way that ends there; a way may start anywhere, at 0. No cycle gains."""
    order = np.argsort(mover, kind="stable")
    taken, gain = taken[order], gain[order]
    degree = np.bincount(mover, minlength=nodes)
    start = np.cumsum(degree) - degree
    potential = np.zeros(nodes, dtype=np.int64)
    risen = np.flatnonzero(degree)
    while len(risen):
        # Only from where something rose can something else rise: the moves from those nodes, side by side.
        count = degree[risen]
        edge = np.arange(int(count.sum())) + np.repeat(start[risen] - np.cumsum(count) + count, count)
        reached = np.repeat(potential[risen], count) + gain[edge]
        end = taken[edge]
        higher = reached > potential[end]
        np.maximum.at(potential, end[higher], reached[higher])
        risen = np.unique(end[higher])
    return potential
