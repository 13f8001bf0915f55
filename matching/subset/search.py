"""Looks for rows of a pool whose amounts sum into a window: of one size, or of all sizes at once.

Amounts are int64 minor units, ascending within a pool; a row is named by its place in that order. Nothing here knows of
credits or blocks: `matching.subset.kernel` decides what is asked and what an answer means. What a search costs is counted in
states: entries of tables made or looked up, and pairs of entries that sum into the window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

TABLE = 1 << 21  # entries in one table of sums, or in one piece of work
UNAFFORDABLE = 1 << 60


@dataclass(frozen=True)
class Jobs:
    """Sums asked for: one entry a job, `pool` its pool's number, `low` and `high` its window (inclusive)."""

    pool: Ints
    low: Ints
    high: Ints

    def take(self, which: Ints | Flags) -> Jobs:
        return Jobs(self.pool[which], self.low[which], self.high[which])


@dataclass(frozen=True)
class Hits:
    """Subsets found: `job` by number (ascending), `rows` one line a subset, `total` its sum.

    `states` (per job) were spent on pairs that sum into the window; `complete` (per job): no subset is missing.
    """

    job: Ints
    rows: Ints
    total: Ints
    states: Ints
    complete: Flags

    def renamed(self, numbers: Ints, jobs: int) -> Hits:
        """The same for jobs that are `numbers` among `jobs` jobs; the others have found nothing, completely."""
        states, complete = np.zeros(jobs, dtype=np.int64), np.ones(jobs, dtype=np.bool_)
        states[numbers], complete[numbers] = self.states, self.complete
        return Hits(numbers[self.job], self.rows, self.total, states, complete)

    @staticmethod
    def joined(parts: list[Hits]) -> Hits:
        """One of several (at least one) about the same jobs and size."""
        if len(parts) == 1:
            return parts[0]
        job = np.concatenate([part.job for part in parts])
        order = np.argsort(job, kind="stable")
        return Hits(
            job[order],
            np.concatenate([part.rows for part in parts])[order],
            np.concatenate([part.total for part in parts])[order],
            np.sum([part.states for part in parts], axis=0),
            np.all([part.complete for part in parts], axis=0),
        )


@lru_cache(maxsize=32)
def choices(count: int, size: int) -> NDArray[np.int32]:
    """All `size`-subsets of 0 … count-1, one a line, each ascending."""
    chosen = np.zeros((1, 0), dtype=np.int32)
    last = np.full(1, -1, dtype=np.int32)
    for _ in range(size):
        each = count - 1 - last
        ends = np.cumsum(each)
        line = np.repeat(np.arange(len(each)), each)
        last = (np.arange(len(line)) - np.repeat(ends - each, each) + last[line] + 1).astype(np.int32)
        chosen = np.column_stack([chosen[line], last])
    return chosen


@dataclass(frozen=True)
class Table:
    """The sums of all `size`-subsets of some pools, ascending within each; `order` names the line of `choices`.

    `keys` are the sums of all pools in one ascending array: a pool's sums lie `span` from the next one's.
    """

    sums: Ints
    order: Ints
    base: int
    span: int
    keys: Ints

    @classmethod
    def of(cls, amounts: Ints, size: int) -> Table:
        parts = choices(amounts.shape[1], size)
        sums = np.zeros((len(amounts), len(parts)), dtype=np.int64)
        for column in range(size):
            sums += amounts[:, parts[:, column]]
        order = np.argsort(sums, axis=1, kind="stable")
        sums = np.take_along_axis(sums, order, axis=1)
        base, span = int(sums.min()), int(sums.max()) - int(sums.min()) + 1
        keys = (sums - base + np.arange(len(sums), dtype=np.int64)[:, None] * span).ravel()
        return cls(sums, order, base, span, keys)


@dataclass(frozen=True)
class Pools:
    """Pools of equally many rows: `amounts` has one pool a line, ascending. Their tables are made once and kept."""

    amounts: Ints
    tables: dict[int, Table] = field(default_factory=dict[int, Table])

    @property
    def size(self) -> int:
        return self.amounts.shape[1]

    def table(self, size: int) -> Table:
        if size not in self.tables:
            self.tables[size] = Table.of(self.amounts, size)
        return self.tables[size]

    def slices(self, jobs: Jobs, size: int) -> list[tuple[Pools, Ints]]:
        """These pools with all jobs' numbers; or, where their tables would be too large, some of the pools at a time."""
        upper = _halves(size)[1]
        entries = comb(self.size, upper)
        if upper in self.tables or entries * len(self.amounts) <= TABLE:
            return [(self, np.arange(len(jobs.pool)))]
        wanted = np.unique(jobs.pool)
        step = max(1, TABLE // entries)
        parts: list[tuple[Pools, Ints]] = []
        for start in range(0, len(wanted), step):
            some = wanted[start : start + step]
            parts.append((Pools(self.amounts[some]), np.flatnonzero(np.isin(jobs.pool, some))))
        return parts


def _halves(size: int) -> tuple[int, int]:
    return size // 2, size - size // 2


@lru_cache(maxsize=4096)
def cost(count: int, size: int) -> int:
    """The states that one job for `size` of `count` rows takes, hits apart; UNAFFORDABLE beyond what memory allows."""
    lower, upper = (comb(count, part) for part in _halves(size))
    if upper <= TABLE:
        return lower + upper
    return count + upper if size == 3 else UNAFFORDABLE


def find(pools: Pools, jobs: Jobs, size: int, allowed: Ints, enough: int | None) -> Hits:
    """All subsets of exactly `size` rows (1 or more) whose sum is in the job's window.

    `allowed`: states that each job may spend on hits; past them its answer is not complete. With `enough`, a job may end
    once it has more subsets than that.
    """
    found: list[Hits] = []
    if size == 3 and comb(pools.size, 2) > TABLE:
        parts = [_triples(pools, jobs, job, allowed, enough) for job in range(len(jobs.pool))]
        return Hits.joined(parts)
    for part, numbers in pools.slices(jobs, size):
        own = jobs.take(numbers)
        if part is not pools:
            own = Jobs(np.unique(own.pool, return_inverse=True)[1], own.low, own.high)
        step = max(1, TABLE // comb(pools.size, _halves(size)[0]))
        for start in range(0, len(numbers), step):
            some = numbers[start : start + step]
            hits = _meet(part, own.take(np.arange(start, start + len(some))), size, allowed[some], enough)
            found.append(hits.renamed(some, len(jobs.pool)))
    return Hits.joined(found)


def _meet(pools: Pools, jobs: Jobs, size: int, allowed: Ints, enough: int | None) -> Hits:
    """Meet in the middle: the subset's lower rows from one table, its upper rows looked up in the other."""
    lower_size, upper_size = _halves(size)
    lower, upper = pools.table(lower_size), pools.table(upper_size)
    pool = jobs.pool[:, None]
    below = lower.sums[jobs.pool]
    # The lower rows' mean is at most the subset's: amounts ascend.
    useful = below <= (jobs.high * lower_size // size)[:, None]
    useful &= jobs.high[:, None] - below >= upper.sums[pool, 0]
    useful &= jobs.low[:, None] - below <= upper.sums[pool, -1]
    job, entry = np.nonzero(useful)
    rest = below[job, entry]
    offset = jobs.pool[job] * upper.span - upper.base
    least = np.maximum(jobs.low[job] - rest, upper.base) + offset
    most = np.minimum(jobs.high[job] - rest, upper.base + upper.span - 1) + offset
    first = np.searchsorted(upper.keys, least)
    hit = np.flatnonzero(upper.keys[np.minimum(first, len(upper.keys) - 1)] <= most)
    hit = hit[first[hit] < len(upper.keys)]
    job, entry, first = job[hit], entry[hit], first[hit]
    pairs = np.searchsorted(upper.keys, most[hit], side="right") - first

    states = np.zeros(len(allowed), dtype=np.int64)
    np.add.at(states, job, pairs)
    complete = states <= allowed
    if not complete.all():
        kept = _running(job, pairs) <= allowed[job]
        job, entry, first, pairs = job[kept], entry[kept], first[kept], pairs[kept]
        states = np.minimum(states, allowed)

    lower_rows, upper_rows = choices(pools.size, lower_size), choices(pools.size, upper_size)
    width = upper.sums.shape[1]
    counts = np.zeros(len(allowed), dtype=np.int64)
    jobs_found, rows_found, totals = [job[:0]], [np.zeros((0, size), dtype=np.int64)], [job[:0]]
    while len(job):
        ready = max(1, int(np.searchsorted(np.cumsum(pairs), TABLE // 2, side="right")))
        many = pairs[:ready]
        line = np.repeat(np.arange(ready), many)
        at = np.arange(len(line)) - np.repeat(np.cumsum(many) - many, many) + first[line]
        of, own = job[line], jobs.pool[job[line]]
        low_line, up_line = lower.order[own, entry[line]], upper.order[own, at - own * width]
        # Each subset once: its lowest rows are the lower part.
        fits = np.ones(len(line), dtype=np.bool_)
        if lower_size:
            fits = lower_rows[low_line, -1] < upper_rows[up_line, 0]
        of, low_line, up_line = of[fits], low_line[fits], up_line[fits]
        jobs_found.append(of)
        rows_found.append(np.hstack([lower_rows[low_line], upper_rows[up_line]]).astype(np.int64))
        totals.append((lower.sums[own, entry[line]] + upper.sums[own, at - own * width])[fits])
        counts += np.bincount(of, minlength=len(counts))
        job, entry, first, pairs = job[ready:], entry[ready:], first[ready:], pairs[ready:]
        if enough is not None:
            complete[job[counts[job] > enough]] = False
            going = counts[job] <= enough
            job, entry, first, pairs = job[going], entry[going], first[going], pairs[going]
    return Hits(np.concatenate(jobs_found), np.concatenate(rows_found), np.concatenate(totals), states, complete)


def _running(job: Ints, pairs: Ints) -> Ints:
    """The sum of `pairs` so far within each job, its own included."""
    sums = np.cumsum(pairs)
    before = sums - pairs
    return sums - before[np.searchsorted(job, job)]


def _triples(pools: Pools, jobs: Jobs, job: int, allowed: Ints, enough: int | None) -> Hits:
    """Three rows of a pool whose pairs are too many for a table: the pairs in pieces, the third row looked up."""
    amounts, low, high = pools.amounts[jobs.pool[job]], int(jobs.low[job]), int(jobs.high[job])
    left, found = int(allowed[job]), [np.zeros((0, 3), dtype=np.int64)]
    complete, count = True, 0
    step = max(1, TABLE // len(amounts))
    for start in range(0, len(amounts) - 2, step):
        if int(amounts[start]) * 3 > high or not complete:
            break
        firsts = np.arange(start, min(start + step, len(amounts) - 2))
        seconds = np.arange(start + 1, len(amounts) - 1)
        sums = amounts[firsts, None] + amounts[None, seconds]
        i, j = np.nonzero((seconds > firsts[:, None]) & (sums <= high * 2 // 3))
        rest = sums[i, j]
        i, j = firsts[i], seconds[j]
        least = np.maximum(np.searchsorted(amounts, low - rest), j + 1)
        thirds = np.maximum(np.searchsorted(amounts, high - rest, side="right") - least, 0)
        within = np.cumsum(thirds) <= left
        complete = bool(within.all())
        i, j, least, thirds = i[within], j[within], least[within], thirds[within]
        left -= int(thirds.sum())
        line = np.repeat(np.arange(len(i)), thirds)
        k = np.arange(len(line)) - np.repeat(np.cumsum(thirds) - thirds, thirds) + least[line]
        found.append(np.column_stack([i[line], j[line], k]))
        count += len(line)
        if enough is not None and count > enough:
            complete = False
    rows = np.concatenate(found)
    states, whole = np.zeros(len(allowed), dtype=np.int64), np.ones(len(allowed), dtype=np.bool_)
    states[job], whole[job] = int(allowed[job]) - left, complete
    return Hits(np.full(len(rows), job, dtype=np.int64), rows, amounts[rows].sum(axis=1), states, whole)
