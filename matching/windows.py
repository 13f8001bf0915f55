"""Pairs of rows that lie near each other: equal groups, and in each dimension a target value inside the source's window.

Values are replaced by their ranks among the target's: then a window is a range of ranks, whatever the numbers are, and how dense
they lie decides how many buckets a window meets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BUCKETS = 3
"""About so many buckets of the first dimension does a window meet: fewer give more pairs to throw away."""

PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Dimension:
    """Where target rows are, and between which values (inclusive) each source row looks for them. No NaN."""

    target: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class _Ranked:
    """A dimension in ranks of the target's distinct values; the window is `low <= rank < high`."""

    target: Integers
    low: Integers
    high: Integers
    distinct: int

    @property
    def width(self) -> float:
        return float((self.high - self.low).mean()) if len(self.low) else 0.0


def _ranked(one: Dimension) -> _Ranked:
    values, target = np.unique(one.target, return_inverse=True)
    low = np.searchsorted(values, one.low, side="left")
    high = np.searchsorted(values, one.high, side="right")
    return _Ranked(target.astype(np.int64), low, np.maximum(low, high), len(values))


def near_pairs(
    source_groups: Integers, target_groups: Integers, dimensions: Sequence[Dimension]
) -> Iterator[tuple[Integers, Integers]]:
    """Every pair of a source and a target row of one group (at least 0, below 2^31) in all windows; each pair once.

    In parts of some `PAIRS_AT_ONCE` candidates, in no order that means anything.
    """
    if not len(source_groups) or not len(target_groups):
        return
    ranked = sorted((_ranked(one) for one in dimensions), key=lambda one: -one.width)
    heights = len(source_groups), len(target_groups)
    along = ranked[0] if ranked else _everywhere(*heights)
    across = ranked[1] if len(ranked) > 1 else _everywhere(*heights)
    # What lies along one bucket is one run of the sorted target; across them, a window meets a few.
    size = max(1, int(np.ceil(across.width / BUCKETS)))
    buckets = across.distinct // size + 1
    cell_of_target = target_groups * buckets + across.target // size
    cells, cell_numbers = np.unique(cell_of_target, return_inverse=True)
    codes = cell_numbers.astype(np.int64) * (along.distinct + 1) + along.target
    order = np.argsort(codes, kind="stable")
    codes = codes[order]

    first = across.low // size
    met = np.where(across.high > across.low, (across.high - 1) // size - first + 1, 0)
    rows = np.repeat(np.arange(heights[0]), met)
    bucket = first[rows] + _positions_within(met)
    cell = source_groups[rows] * buckets + bucket
    # In order, neighbours are looked up beside each other: several times faster than all over the place.
    side_by_side = np.argsort(cell * (along.distinct + 1) + along.low[rows])
    rows, cell = rows[side_by_side], cell[side_by_side]
    at = np.minimum(np.searchsorted(cells, cell), len(cells) - 1)
    known = cells[at] == cell
    rows, at = rows[known], at[known]
    start = np.searchsorted(codes, at * (along.distinct + 1) + along.low[rows])
    counts = np.searchsorted(codes, at * (along.distinct + 1) + along.high[rows]) - start
    some = counts > 0
    rows, start, counts = rows[some], start[some], counts[some]
    checked = [*ranked[2:], *([across] if size > 1 else [])]
    for part in _parts(counts):
        source = np.repeat(rows[part], counts[part])
        target = order[np.repeat(start[part], counts[part]) + _positions_within(counts[part])]
        inside = np.ones(len(source), dtype=np.bool_)
        for one in checked:
            rank = one.target[target]
            inside &= (rank >= one.low[source]) & (rank < one.high[source])
        yield source[inside], target[inside]


def _everywhere(source_height: int, target_height: int) -> _Ranked:
    """A dimension in which all is at one place."""
    zeros = np.zeros(source_height, dtype=np.int64)
    return _Ranked(np.zeros(target_height, dtype=np.int64), zeros, zeros + 1, 1)


def _positions_within(counts: Integers) -> Integers:
    """0, 1, … up to each count, one after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) - np.repeat(ends - counts, counts)


def _parts(counts: Integers) -> Iterator[slice]:
    """Slices of some `PAIRS_AT_ONCE` pairs."""
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(counts):
        done = ends[begin - 1] if begin else 0
        end = max(int(np.searchsorted(ends, done + PAIRS_AT_ONCE)), begin + 1)
        yield slice(begin, end)
        begin = end
