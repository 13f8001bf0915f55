"""Who may take what: where records of the one side each have a pool of their own, and what they want of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from matching.keys import Flags, Numbers
from matching.plan import PassPlan
from matching.subset.bounds import Bounds, Off
from matching.subset.kernel import SubsetRule, SubsetStatus, settle_subsets


@dataclass(frozen=True)
class Pools:
    """The pools of claimants. Each record of the one side is a claimant.

    One that names no currency is a claimant for each currency of the records that it may take, for a sum is of one currency.
    `owner` is the claimant's record, `amount` its amount, `off` what its sums may be off; all by claimant. `claimant` and `many`
    go together: a claimant and a record that it may take, by claimant, then record.
    """

    owner: Numbers
    amount: Numbers
    off: Off
    claimant: Numbers
    many: Numbers

    def left(self, open_ones: Flags, open_many: Flags) -> Pools:
        """The same with what open records may take of open ones."""
        pairs = open_ones[self.owner[self.claimant]] & open_many[self.many]
        return replace(self, claimant=self.claimant[pairs], many=self.many[pairs])


def pools_of(bounds: Bounds, one: Numbers, many: Numbers) -> Pools:
    """Pools of the pairs that all other conditions allow."""
    count = len(bounds.one)
    if bounds.all_named:
        order = np.lexsort((many, one))
        return Pools(np.arange(count), bounds.one, bounds.off, one[order], many[order])
    owner, currencies, claimant, many = _by_currency(one, many, bounds.one_currencies, bounds.many_currencies)
    return Pools(owner, bounds.one[owner], bounds.off_of(bounds.one[owner], currencies), claimant, many)


def _by_currency(
    one: Numbers, many: Numbers, one_currencies: pl.Series, many_currencies: pl.Series
) -> tuple[Numbers, pl.Series, Numbers, Numbers]:
    """Owners and currencies of claimants, by both; and their pools as in `Pools`."""
    every = pl.DataFrame({"one": np.arange(len(one_currencies)), "own": one_currencies})
    pairs = pl.DataFrame({"one": one, "many": many, "currency": many_currencies.gather(many)})
    open_ones = every.filter(pl.col("own").is_null()).select("one")
    named = pairs.filter(pl.col("currency").is_not_null())
    asked = named.join(open_ones, on="one", how="semi").select("one", pl.col("currency").alias("own")).unique()
    all_claimants = (
        pl.concat([every.join(asked, on="one", how="anti"), asked])
        .sort("one", "own")
        .with_row_index("claimant")
        .cast({"claimant": pl.Int64})
    )
    found = pl.concat(
        [
            named.join(all_claimants, left_on=["one", "currency"], right_on=["one", "own"]).select("claimant", "many"),
            pairs.filter(pl.col("currency").is_null()).join(all_claimants, on="one").select("claimant", "many"),
        ]
    ).sort("claimant", "many")
    owner, own = all_claimants["one"].to_numpy(), all_claimants["own"]
    return owner, own, found["claimant"].to_numpy(), found["many"].to_numpy()


@dataclass(frozen=True)
class Claims:
    """What open records of the one side want, each from its own pool: chosen ones, or those of its first two solutions."""

    status: np.ndarray[tuple[int], np.dtype[np.int8]]
    off: Numbers
    """By how much a solution is off."""
    chance: np.ndarray[tuple[int], np.dtype[np.float64]]
    one: Numbers
    many: Numbers

    @classmethod
    def of(cls, plan: PassPlan, pools: Pools, items: Numbers, is_open: Flags) -> Claims:
        """By claimant; `items` are the amounts of the many side."""
        count = len(pools.owner)
        status = np.full(count, SubsetStatus.NONE, dtype=np.int8)
        off = np.zeros(count, dtype=np.int64)
        chance = np.zeros(count, dtype=np.float64)
        ones: list[Numbers] = [np.empty(0, dtype=np.int64)]
        manys: list[Numbers] = [np.empty(0, dtype=np.int64)]
        for asked, rule in _by_bound(plan, pools.off, is_open):
            mine = asked[pools.claimant]
            places = np.flatnonzero(asked)
            pool, pool_of = pools.many[mine], pools.claimant[mine]
            outcome = settle_subsets(pools.amount[places], places, items[pool], pool_of, rule)
            status[places] = outcome.status
            off[places] = np.abs(outcome.difference)
            chance[places] = outcome.chance
            for credit, item in ((outcome.credit, outcome.item), (outcome.candidate_credit, outcome.candidate_item)):
                ones.append(places[credit])
                manys.append(pool[item])
        return cls(status, off, chance, np.concatenate(ones), np.concatenate(manys))

    def by_owner(self, owner: Numbers) -> Claims:
        """By record: one that finds different solutions in several currencies is in doubt between them."""
        first, claims = np.unique(owner, return_index=True, return_counts=True)[1:]
        if len(first) == len(owner):
            return self
        status, off, chance = self.status[first], self.off[first], self.chance[first]
        wanted: dict[int, list[int]] = {}
        for claimant, item in zip(self.one.tolist(), self.many.tolist(), strict=True):
            wanted.setdefault(claimant, []).append(item)
        for one in np.flatnonzero(claims > 1).tolist():
            those = np.arange(first[one], first[one] + claims[one])
            kinds = self.status[those]
            solved = those[(kinds == SubsetStatus.FOUND) | (kinds == SubsetStatus.AMBIGUOUS)]
            if (kinds == SubsetStatus.TRUNCATED).any():
                status[one] = SubsetStatus.TRUNCATED
            elif len({tuple(sorted(wanted[claimant])) for claimant in solved.tolist()}) > 1:
                status[one] = SubsetStatus.AMBIGUOUS
            else:
                chosen = solved[0] if len(solved) else those[0]
                status[one], off[one], chance[one] = self.status[chosen], self.off[chosen], self.chance[chosen]
        pairs = np.unique(np.stack([owner[self.one], self.many], axis=1), axis=0)
        return Claims(status, off, chance, pairs[:, 0], pairs[:, 1])

    def uncontested(self) -> Flags:
        """Who has a solution that no other claim of equal or better exactness touches: those that are off least."""
        is_found = self.status == SubsetStatus.FOUND
        level = np.where(is_found, self.off, 0)[self.one]
        order = np.lexsort((self.one, level, self.many))
        many, one, level = self.many[order], self.one[order], level[order]
        first = np.ones(len(many), dtype=np.bool_)
        first[1:] = many[1:] != many[:-1]
        start = np.maximum.accumulate(np.where(first, np.arange(len(many)), 0))
        # A claim holds against those after it, unless the next one is as exact.
        beaten = one != one[start]
        tied = np.zeros(len(many), dtype=np.bool_)
        tied[:-1] = first[:-1] & ~first[1:] & (level[1:] == level[:-1])
        lost = np.zeros(len(self.status), dtype=np.bool_)
        lost[one[beaten | tied]] = True
        won = is_found & ~lost
        won[np.setdiff1d(np.arange(len(won)), self.one)] = False
        return won & (self.off == self.off[won].min()) if won.any() else won


def subset_rule(plan: PassPlan, below: int, above: int) -> SubsetRule:
    """What the search may find where sums may be so much less and more."""
    subset = plan.subset
    return SubsetRule(
        below=below, above=above, min_size=subset.min_size, max_size=subset.max_size, budget=subset.budget
    )


def _by_bound(plan: PassPlan, off: Off, is_open: Flags) -> Iterator[tuple[Flags, SubsetRule]]:
    """The open claimants by what their sums may be off."""
    every = np.stack([off.below, off.above], axis=1)
    for below, above in np.unique(every[is_open], axis=0).tolist():
        asked = is_open & (off.below == below) & (off.above == above)
        yield asked, subset_rule(plan, below, above)
