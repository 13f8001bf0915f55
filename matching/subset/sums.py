"""Looks for rows of one pool whose amounts sum into a window, over subsets of all sizes at once.

Two ways: the sums of both halves of a small pool (`Halves`), and, where all sums lie close together, which of them the first n
rows reach with how many rows (`Reach`). Amounts are int64 minor units, ascending; a row is named by its place.

Both list what they found as pairs of `total` and `size`, count the `states` spent on top of their cost, and say whether the list
is `complete`: no subset in the window (inclusive) and of a size that `permitted` has a flag for (from 0 on) is missing. If not,
those of fewer than `known` rows are complete all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matching.subset.search import UNAFFORDABLE, Flags, Ints

_HALF = 22  # rows in one half at most
_MOST = 63  # the bit that stands for this many rows or more


def halves_cost(count: int) -> int:
    """The states that `Halves` takes, hits apart."""
    half = (count + 1) // 2
    return UNAFFORDABLE if half > _HALF else (1 << half) + (1 << (count - half))


def reach_cost(amounts: Ints, high: int) -> int:
    """The states that `Reach` takes for a window that ends at `high`: rows times sums that may lie on the way."""
    return (len(amounts) + 1) * ((high - 2 * _refunds(amounts)) // _unit(amounts) + 1)


def _unit(amounts: Ints) -> int:
    return max(1, int(np.gcd.reduce(amounts)))


def _refunds(amounts: Ints) -> int:
    return int(np.minimum(amounts, 0).sum())


@dataclass(frozen=True)
class Halves:
    """One entry a subset: bit n of `chosen` says whether row n is in it."""

    count: int
    chosen: Ints
    total: Ints
    size: Ints
    states: int
    complete: bool
    known: int

    @classmethod
    def of(cls, amounts: Ints, low: int, high: int, permitted: Flags, allowed: int) -> Halves:
        """Horowitz and Sahni's method: the sums of each half, one half's sorted. `allowed`: hits that may be looked at."""
        half = (len(amounts) + 1) // 2
        first, second = _sums(amounts[:half]), _sums(amounts[half:])
        order = np.argsort(first, kind="stable")
        ascending = first[order]
        start = np.searchsorted(ascending, low - second)
        pairs = np.searchsorted(ascending, high - second, side="right") - start
        hits = int(pairs.sum())
        kept = np.flatnonzero((np.cumsum(pairs) <= allowed) & (pairs > 0))
        start, pairs = start[kept], pairs[kept]
        line = np.repeat(np.arange(len(kept)), pairs)
        at = np.arange(len(line)) - np.repeat(np.cumsum(pairs) - pairs, pairs) + start[line]
        chosen = order[at] | (kept[line] << half)
        total = ascending[at] + second[kept[line]]
        size = np.bitwise_count(chosen).astype(np.int64)
        wanted = permitted[size]
        facts = (chosen[wanted], total[wanted], size[wanted])
        return cls(len(amounts), *facts, states=min(hits, allowed), complete=hits <= allowed, known=0)

    def members(self, which: Ints, limit: int) -> Flags:
        """Up to `limit` of these entries' subsets: one line a subset, one flag a row."""
        return (self.chosen[which[:limit], None] >> np.arange(self.count) & 1).astype(np.bool_)


def _sums(amounts: Ints) -> Ints:
    """The sum of each subset; bit n of a subset's number says whether row n is in it."""
    sums = np.zeros(1, dtype=np.int64)
    for amount in amounts:
        sums = np.concatenate([sums, sums + amount])
    return sums


@dataclass(frozen=True)
class Reach:
    """One entry a sum and size that is reached by one subset or more.

    Bit c of `layers[n, sum - base]` says whether c of the first n rows have that sum; the highest bit, whether 63 or more.
    `amounts`, `base` and the layers' sums are in the greatest unit that divides all amounts; `total` is not.
    """

    amounts: Ints
    unit: int
    base: int
    layers: NDArray[np.uint64]
    total: Ints
    size: Ints
    states: int
    complete: bool
    known: int

    @classmethod
    def of(cls, amounts: Ints, low: int, high: int, permitted: Flags) -> Reach:
        """Dynamic programming over sums. Sizes from 63 on are not told apart: where they are permitted, not complete."""
        unit = _unit(amounts)
        amounts, low, high = amounts // unit, -(-low // unit), high // unit
        base = _refunds(amounts)
        width = high - 2 * base + 1
        layers = np.zeros((len(amounts) + 1, width), dtype=np.uint64)
        layers[0, -base] = 1
        top = np.uint64(1 << _MOST)
        for row, amount in enumerate(amounts.tolist()):
            before, after = layers[row], layers[row + 1]
            after[:] = before
            more = (before << np.uint64(1)) | (before & top)
            if 0 <= amount < width:
                after[amount:] |= more[: width - amount]
            elif -width < amount < 0:
                after[:amount] |= more[-amount:]
        least = max(low, base)
        words = layers[-1, least - base : high - base + 1]
        at = np.flatnonzero(words)
        line, size = np.nonzero(words[at, None] >> np.arange(_MOST + 1, dtype=np.uint64) & np.uint64(1))
        told = size < _MOST
        complete = bool(told.all()) or not permitted[_MOST:].any()
        line, size = line[told], size[told]
        wanted = permitted[size]
        total = (at[line[wanted]] + least) * unit
        return cls(amounts, unit, base, layers, total, size[wanted], states=0, complete=complete, known=_MOST)

    def members(self, which: Ints, limit: int) -> Flags:
        """Up to `limit` subsets with these entries' sums and sizes: one line a subset, one flag a row."""
        members: list[Flags] = []
        for entry in which.tolist():
            members += self._subsets(int(self.total[entry]) // self.unit, int(self.size[entry]), limit - len(members))
            if len(members) == limit:
                break
        return np.array(members, dtype=np.bool_)

    def _subsets(self, total: int, size: int, limit: int) -> list[Flags]:
        found: list[Flags] = []
        # Every way taken back from the last row ends in a subset: the layers hold no sum that is not reached.
        ways: list[tuple[int, int, int, tuple[int, ...]]] = [(len(self.amounts), total, size, ())]
        while ways and len(found) < limit:
            row, rest, count, chosen = ways.pop()
            if row == 0:
                members = np.zeros(len(self.amounts), dtype=np.bool_)
                members[list(chosen)] = True
                found.append(members)
                continue
            row -= 1
            amount = int(self.amounts[row])
            if self._reached(row, rest - amount, count - 1):
                ways.append((row, rest - amount, count - 1, (*chosen, row)))
            if self._reached(row, rest, count):
                ways.append((row, rest, count, chosen))
        return found

    def _reached(self, row: int, total: int, size: int) -> bool:
        at = total - self.base
        return 0 <= at < self.layers.shape[1] and size >= 0 and bool(int(self.layers[row, at]) >> size & 1)
