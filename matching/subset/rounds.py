"""One pass of SUBSET settling over blocks of equally many items: every open credit's best subsets, and who is settled by them.

The terms (simplicity, horizon, rank) are those of `matching.subset.kernel`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from matching.errors import RuleInvalid
from matching.subset.search import TABLE, Flags, Hits, Ints, Jobs, Pools, cost, find
from matching.subset.sums import Halves, Reach, halves_cost, reach_cost

PLAUSIBLE = 1 << 20  # subsets of a block within the horizon, at most
CONTESTED = 16  # best subsets whose rows are told apart from the block's others
_NARROW = 64  # items up to which a block is searched whole, whatever the credit


@dataclass(frozen=True)
class SubsetRule:
    """Which subsets count. Bounds are inclusive, in minor units: credit - below <= sum <= credit + above.

    `above` takes a tolerance and fees that were withheld (sum = credit + fee, 0 <= fee <= above). `min_size`, `max_size`: rows in
    a subset (None: no limit). `max_simplicity`: rows chosen or rows left out, whichever is less (None: no limit): where it is
    3, a credit is at most 3 rows of its block, or all but at most 3. `budget`: states that may be looked at for a credit in
    one pass: entries of tables of sums, and pairs of them that count. It is a number of steps, never a time, so a result does
    not depend on the machine. Raises RuleInvalid for a bound that is negative or empty.
    """

    below: int = 0
    above: int = 0
    max_size: int | None = None
    min_size: int = 1
    max_simplicity: int | None = None
    budget: int = 1 << 23

    def __post_init__(self) -> None:
        for name, least in (
            ("below", 0),
            ("above", 0),
            ("min_size", 1),
            ("max_size", self.min_size),
            ("max_simplicity", 0),
            ("budget", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise RuleInvalid(
                    f"SUBSET option '{name}' is {value}; it must be {least} or more",
                    option=name,
                    value=value,
                    least=least,
                )


@lru_cache(maxsize=4096)
def horizon(count: int) -> int:
    """The greatest size s for which `count` rows have at most 2^20 subsets of s or fewer rows; at least 1."""
    subsets, size = 1 + count, 1
    while size < count and subsets + comb(count, size + 1) <= PLAUSIBLE:
        size += 1
        subsets += comb(count, size)
    return size


class Pass:
    """The state of a pass. Arrays are by credit unless said otherwise; `members` are flags over a pool's rows.

    `amounts`: one pool a line, ascending. `targets`: the credits' amounts; `pool`: the line that each may take from.
    """

    def __init__(self, amounts: Ints, targets: Ints, pool: Ints, rule: SubsetRule) -> None:
        self.amounts, self.targets, self.pool, self.rule = amounts, targets, pool, rule
        self.count = amounts.shape[1]
        self.horizon = horizon(self.count)
        self.total = amounts.sum(axis=1)[pool]
        self.negative = np.minimum(amounts, 0).sum(axis=1)[pool]
        credits = len(targets)
        self.level = np.full(credits, -1, dtype=np.int64)
        self.off = np.zeros(credits, dtype=np.int64)
        self.solutions = np.zeros(credits, dtype=np.int64)
        self.batch = np.full(credits, -1, dtype=np.int64)
        self.spent = np.zeros(credits, dtype=np.int64)
        self.everything = np.zeros(credits, dtype=np.bool_)
        self.stopped = np.zeros(credits, dtype=np.bool_)
        self.settled = np.zeros(credits, dtype=np.bool_)
        self.tried = np.zeros(credits, dtype=np.bool_)
        self.closed = np.zeros(credits, dtype=np.bool_)
        self.progress = np.zeros(len(amounts), dtype=np.bool_)
        self.batches: list[tuple[Ints, Flags]] = []
        self.pools: dict[int, Pools] = {}
        size = np.arange(self.count + 1)
        self.permitted = (size >= rule.min_size) & (size <= (self.count if rule.max_size is None else rule.max_size))
        if rule.max_simplicity is not None:
            self.permitted &= np.minimum(size, self.count - size) <= rule.max_simplicity
        self.chosen, self.left_out = self._possible()

    def _possible(self) -> tuple[Flags, Flags]:
        """By credit and simplicity: whether so many rows chosen, or left out, can come near the credit at all."""
        levels = np.arange(self.count // 2 + 1)
        ascending = np.concatenate(
            [np.zeros((len(self.amounts), 1), dtype=np.int64), np.cumsum(self.amounts, axis=1)], axis=1
        )
        least = ascending[:, levels][self.pool]
        most = (ascending[:, -1:] - ascending[:, self.count - levels])[self.pool]
        self.spread = np.maximum(most - least, np.abs(self.targets)[:, None]) + 1
        low, high = self.targets - self.rule.below, self.targets + self.rule.above
        unit = np.maximum(np.gcd.reduce(self.amounts, axis=1)[self.pool], 1)
        near = (high // unit * unit >= low)[:, None]
        chosen = near & (least <= high[:, None]) & (most >= low[:, None]) & self.permitted[levels]
        rest_low, rest_high = self.total - high, self.total - low
        left_out = near & (least <= rest_high[:, None]) & (most >= rest_low[:, None])
        left_out &= self.permitted[self.count - levels] & (levels != self.count - levels)
        return chosen, left_out

    def run(self) -> None:
        """Searches by ascending rank; afterwards `settled`, `solutions`, `stopped` and `members` tell the result."""
        last = np.where(self.chosen | self.left_out, np.arange(self.count // 2 + 1), -1).max(axis=1)
        for bound, done, looks in self._stages():
            for level, radius, before in looks:
                self._look(level, radius, before)
            self.closed |= (self.level >= 0) | (last <= done)
            self._settle(bound)
            if not self._searching().any():
                break
        self._settle((self.count + 1, 0, 0))

    def chance(self) -> NDArray[np.float64]:
        """How many subsets as good as the best one would be there by chance; 0 without one. See SubsetOutcome."""
        level = np.maximum(self.level, 0)
        at_level = np.array([float(comb(self.count, size)) for size in range(int(level.max(initial=0)) + 1)])
        subsets = 2 * np.cumsum(at_level)[level] - 1
        near = np.minimum(self.off, self.rule.below) + np.minimum(self.off, self.rule.above) + 1
        spread = np.take_along_axis(self.spread, np.minimum(np.maximum(level, 1), self.count // 2)[:, None], axis=1)[
            :, 0
        ]
        return np.where(self.level < 0, 0.0, subsets * near / spread)

    def members(self, credits: Flags) -> tuple[Ints, Flags]:
        """The best subsets found for these credits, at most CONTESTED + 1 of each, by credit: credit, rows of its pool."""
        parts = [
            (credit[kept], members[kept])
            for number, (credit, members) in enumerate(self.batches)
            if (kept := credits[credit] & (self.batch[credit] == number)).any()
        ]
        credit = np.concatenate([part[0] for part in parts] or [np.zeros(0, dtype=np.int64)])
        rows = np.concatenate([part[1] for part in parts] or [np.zeros((0, self.count), dtype=np.bool_)])
        order = np.argsort(credit, kind="stable")
        return credit[order], rows[order]

    def _searching(self) -> Flags:
        return ~(self.closed | self.stopped | self.settled | self.progress[self.pool])

    def _stages(self) -> Iterator[tuple[tuple[int, int, int], int, list[tuple[int, int, int]]]]:
        """The rank that a stage completes, the simplicity that it completes (or -1), and its looks.

        A look: simplicity, greatest difference, greatest difference looked at before (-1: none).
        """
        widest = max(self.rule.below, self.rule.above)
        rings: list[tuple[int, int]] = []
        while (before := rings[-1][0] if rings else 0) < widest:
            rings.append((min(2 * before + 1, widest), before))
        inside = range(min(self.horizon, self.count // 2) + 1)
        for level in inside:
            yield (self.horizon, 0, level), -1 if widest else level, [(level, 0, -1)]
        for radius, before in rings:
            done = inside[-1] if radius == widest else -1
            yield (self.horizon, radius, self.count), done, [(level, radius, before) for level in inside]
        for level in range(self.horizon + 1, self.count // 2 + 1):
            yield (level, widest, level), level, [(level, radius, before) for radius, before in [(0, -1), *rings]]

    def _look(self, level: int, radius: int, before: int) -> None:
        """Subsets of one simplicity that are nearer than any so far and at most `radius` off; within `before` there are none."""
        found = self.level >= 0
        reach = np.where(found, np.minimum(self.off - 1, radius), radius)
        who = np.flatnonzero(self._searching() & (reach > before) & (self.chosen | self.left_out)[:, level])
        if not len(who):
            return
        low = self.targets - np.minimum(self.rule.below, reach)
        high = self.targets + np.minimum(self.rule.above, reach)
        if level == 0:
            who = who[(self.total[who] >= low[who]) & (self.total[who] <= high[who])]
            off = np.abs(self.total[who] - self.targets[who])
            self._keep(0, who, np.zeros((len(who), 0), dtype=np.int64), np.ones(len(who), dtype=np.bool_), off)
            return
        direct, rest = who[self.chosen[who, level]], who[self.left_out[who, level]]
        credit = np.concatenate([direct, rest])
        left_out = np.arange(len(credit)) >= len(direct)
        jobs = Jobs(
            self.pool[credit],
            np.where(left_out, self.total[credit] - high[credit], low[credit]),
            np.where(left_out, self.total[credit] - low[credit], high[credit]),
        )
        width = self._widths(jobs, self.negative[credit])
        each = np.zeros(len(credit), dtype=np.int64)
        for count in np.unique(width).tolist():
            each[width == count] = cost(count, level) if count >= level else 0
        needed = np.zeros(len(self.targets), dtype=np.int64)
        np.add.at(needed, credit, each)
        affordable = needed <= self.rule.budget - self.spent
        for one in who[~affordable[who] | (level > self.horizon)].tolist():
            self._whole(one, int(needed[one]))
            affordable[one] = not self.closed[one] and needed[one] <= self.rule.budget - self.spent[one]
        self.stopped[who] |= ~affordable[who] & ~self.closed[who]
        affordable &= needed > 0
        self.spent[affordable] += needed[affordable]
        share = (self.rule.budget - self.spent) // np.maximum(np.bincount(credit, minlength=len(needed)), 1)
        parts: list[Hits] = []
        numbers = np.flatnonzero(affordable[credit] & (width >= level))
        for count in np.unique(width[numbers]).tolist():
            part = numbers[width[numbers] == count]
            pools = self.pools.setdefault(count, Pools(self.amounts[:, :count]))
            hits = find(pools, jobs.take(part), level, share[credit[part]], CONTESTED if radius == 0 else None)
            parts.append(hits.renamed(part, len(credit)))
        if not parts:
            return
        hits = Hits.joined(parts)
        np.add.at(self.spent, credit, hits.states)
        of = credit[hits.job]
        total = np.where(left_out[hits.job], self.total[of] - hits.total, hits.total)
        self._keep(level, of, hits.rows, left_out[hits.job], np.abs(total - self.targets[of]))
        partly = np.unique(credit[~hits.complete])
        many = (self.level[partly] == level) & (self.solutions[partly] > 1) & (radius == 0)
        self.everything[partly[many]] = True
        self.stopped[partly[~many]] = True

    def _widths(self, jobs: Jobs, negative: Ints) -> Ints:
        """How many of its pool's lowest rows a job needs: those that are not too large for it even with all refunds."""
        if self.count <= _NARROW:
            return np.full(len(jobs.pool), self.count, dtype=np.int64)
        useful = (self.amounts[jobs.pool] <= (jobs.high - negative)[:, None]).sum(axis=1)
        # Rounded up to a power of two, so that credits share tables.
        powers = np.minimum(1 << np.arange(6, 1 + self.count.bit_length(), dtype=np.int64), self.count)
        return powers[np.searchsorted(powers, useful)]

    def _keep(self, level: int, credit: Ints, rows: Ints, left_out: Flags, off: Ints) -> None:
        """Takes each credit's nearest of these subsets for its best; whoever asked made sure that they are better."""
        best = np.full(len(self.targets), np.iinfo(np.int64).max)
        np.minimum.at(best, credit, off)
        kept = np.flatnonzero(off == best[credit])
        kept = kept[np.argsort(credit[kept], kind="stable")]
        of = credit[kept]
        kept = kept[np.arange(len(of)) - np.searchsorted(of, of) <= CONTESTED]
        members = np.zeros((len(kept), self.count), dtype=np.bool_)
        members[np.arange(len(kept))[:, None], rows[kept]] = True
        members ^= left_out[kept, None]
        self._remember(credit[kept], members, np.bincount(of, minlength=len(best)), level, off[kept])

    def _remember(self, credit: Ints, members: Flags, solutions: Ints, level: int, off: Ints) -> None:
        self.level[credit], self.off[credit] = level, off
        self.solutions[credit] = solutions[credit]
        self.everything[credit] = solutions[credit] > CONTESTED
        self.batch[credit] = len(self.batches)
        self.batches.append((credit, members))

    def _whole(self, one: int, instead: int) -> None:
        """Looks at a credit's subsets of all sizes at once if that takes fewer states than `instead`; a proof closes it."""
        if self.tried[one]:
            return
        low, high = int(self.targets[one]) - self.rule.below, int(self.targets[one]) + self.rule.above
        total, negative = int(self.total[one]), int(self.negative[one])
        amounts = self.amounts[self.pool[one]]
        needs = [int(np.searchsorted(amounts, most - negative, side="right")) for most in (high, total - low)]
        left_out = needs[1] < needs[0]
        if left_out:
            low, high = total - high, total - low
        amounts = amounts[: needs[left_out]]
        size = np.arange(len(amounts) + 1)
        size = self.count - size if left_out else size
        left = int(self.rule.budget - self.spent[one])
        price = min(halves_cost(len(amounts)), reach_cost(amounts, high))
        if price > min(left, instead):
            return
        self.tried[one] = True
        upwards = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(amounts)])
        permitted = self.permitted[size] & (upwards <= high) & (upwards[-1] - upwards[::-1] >= low)
        if halves_cost(len(amounts)) == price:
            sums = Halves.of(amounts, low, high, permitted, min(left - price, TABLE))
        else:
            sums = Reach.of(amounts, low, high, permitted)
        self.spent[one] += price + sums.states
        simplicity = np.minimum(size, self.count - size)[sums.size]
        off = np.abs((total - sums.total if left_out else sums.total) - self.targets[one])
        self.closed[one] = sums.complete
        if len(off):
            rank = np.stack([np.maximum(simplicity, self.horizon), off, simplicity])
            best = rank[:, np.lexsort(rank[::-1])[0]]
            # What is not known can't be better either if it can't be as simple.
            unknown = np.minimum(size, self.count - size)[sums.known :][permitted[sums.known :]]
            self.closed[one] |= bool((np.maximum(unknown, self.horizon) > best[0]).all())
            if not self.closed[one] and instead <= left - price - sums.states:
                return
            rows = sums.members(np.flatnonzero((rank == best[:, None]).all(axis=0)), CONTESTED + 1)
            members = np.zeros((len(rows), self.count), dtype=np.bool_)
            members[:, : len(amounts)] = rows
            credit = np.full(len(rows), one)
            solutions = np.bincount(credit, minlength=len(self.targets))
            self._remember(credit, members ^ left_out, solutions, int(best[2]), np.full(len(rows), best[1]))

    def _settle(self, bound: tuple[int, int, int]) -> None:
        """Settles, in each block, the credits of the lowest rank up to `bound` whose only best subset nobody else contests."""
        rivals = (self.level >= 0) & ~(self.stopped | self.settled | self.progress[self.pool])
        first, off, simplicity = np.maximum(self.level, self.horizon), self.off, self.level
        within = (off < bound[1]) | ((off == bound[1]) & (simplicity <= bound[2]))
        ready = rivals & (self.solutions == 1) & ((first < bound[0]) | ((first == bound[0]) & within))
        if not ready.any():
            return
        of, members = self.members(rivals & np.isin(self.pool, self.pool[ready]))
        credit, start = np.unique(of, return_index=True)
        claims = np.logical_or.reduceat(members, start, axis=0) | self.everything[credit, None]
        rank = np.unique(np.stack([first, off, simplicity], axis=1)[credit], axis=0, return_inverse=True)[1].ravel()
        claimant, row = np.nonzero(claims)
        slot = self.pool[credit][claimant] * self.count + row
        lowest = np.full(self.amounts.size, len(credit), dtype=np.int64)
        np.minimum.at(lowest, slot, rank[claimant])
        foremost = rank[claimant] == lowest[slot]
        alone = np.bincount(slot[foremost], minlength=len(lowest)) == 1
        contested = np.bincount(claimant[~(foremost & alone[slot])], minlength=len(credit)) > 0
        free = np.flatnonzero(ready[credit] & ~contested)
        least = np.full(len(self.amounts), len(credit), dtype=np.int64)
        np.minimum.at(least, self.pool[credit[free]], rank[free])
        chosen = credit[free][rank[free] == least[self.pool[credit[free]]]]
        self.settled[chosen] = True
        self.progress[self.pool[chosen]] = True
