"""SUBSET passes: which records of the many side sum up to one record of the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import polars as pl

from matching.fields import FieldRule
from matching.frames import Positions
from matching.groups import Group, judge_groups, linked
from matching.keys import Flags, Numbers
from matching.links import REASON_CODES, Codes, PassResult, pairs_as_links
from matching.plan import PassPlan
from matching.search import Board, Eligible, allowed_places, equal_groups, equalities, in_order
from matching.spec import SUMMED
from matching.subset.bounds import Bounds, bounds_of, with_fees
from matching.subset.kernel import SubsetRule, SubsetStatus, settle_subsets
from matching.terms import Cardinality, Reason


@dataclass(frozen=True)
class _Found:
    """Per one-side record a status; and which many-side records belong to which, chosen or in doubt (places in the inputs)."""

    status: np.ndarray[tuple[int], np.dtype[np.int8]]
    one: Numbers
    many: Numbers
    doubtful_one: Numbers
    doubtful_many: Numbers
    chance: np.ndarray[tuple[int], np.dtype[np.float64]]
    """How many solutions as good as the one found were to be expected by chance."""

    def likely(self, most: float | None) -> _Found:
        """The same, with what may well be there by chance in doubt."""
        if most is None:
            return self
        unlikely = (self.status == SubsetStatus.FOUND) & (self.chance > most)
        moved = unlikely[self.one]
        return replace(
            self,
            status=np.where(unlikely, np.int8(SubsetStatus.AMBIGUOUS), self.status),
            one=self.one[~moved],
            many=self.many[~moved],
            doubtful_one=np.concatenate([self.doubtful_one, self.one[moved]]),
            doubtful_many=np.concatenate([self.doubtful_many, self.many[moved]]),
        )


def settle_by_subsets(board: Board, plan: PassPlan, rows: Eligible) -> PassResult:
    """Finds for each record of the one side the records of the many side whose amounts sum up to its amount.

    Several equal solutions, or records that several solutions claim, are AMBIGUOUS, each with the records in doubt as candidates; a
    search stopped by its budget is SEARCH_TRUNCATED. Records without a readable amount take no part. Raises RuleInvalid,
    AmountTooLarge, SearchTooWide.
    """
    one_is_source = plan.cardinality is Cardinality.ONE_TO_MANY
    amount = next(one.rule for one in plan.conditions if one.rule.match_type in SUMMED)
    readers = board.source.reader(rows.source), board.target.reader(rows.target)
    bounds = with_fees(bounds_of(amount, readers, "source" if one_is_source else "target"), plan.subset.fees)
    readable = replace(rows, source=rows.source[bounds.source_known], target=rows.target[bounds.target_known])
    rest = [one for one in plan.conditions if one.rule is not amount and one.rule not in equalities(plan)]
    if rest or not bounds.is_uniform:
        found = _by_pools(board, plan, readable, bounds, amount)
    else:
        found = _by_blocks(board, plan, readable, bounds)
    found = found.likely(plan.subset.maximum_chance)
    one_rows, many_rows = _turned(plan, (readable.source, readable.target))
    settled = np.flatnonzero(found.status == SubsetStatus.FOUND)
    number = np.zeros(len(one_rows), dtype=np.int64)
    number[settled] = np.arange(len(settled))
    order = np.lexsort((found.many, found.one))
    one_side, many_side = _turned(plan, (board.source, board.target))
    ones = Group(one_side, one_rows[settled], np.arange(len(settled), dtype=np.int64), len(settled))
    many = Group(many_side, many_rows[found.many[order]], number[found.one[order]], len(settled))
    source, target = _turned(plan, (ones, many))
    judged = [judge_groups(rule, source, target) for rule in plan.rules]
    codes = _codes(board, rows, plan, found, one_rows, many_rows)
    codes[0][source.rows] = 0
    codes[1][target.rows] = 0
    doubtful = _turned(plan, (one_rows[found.doubtful_one], many_rows[found.doubtful_many]))
    links = linked(source, target, judged)
    links = replace(links, details=(pl.Series("chance", found.chance[settled][links.match]),))
    return PassResult(plan, links, codes[0], codes[1], in_order(pairs_as_links(*doubtful)))


T = TypeVar("T")


def _turned(plan: PassPlan, sides: tuple[T, T]) -> tuple[T, T]:
    """From source and target to the one side and the many side, or back."""
    return sides if plan.cardinality is Cardinality.ONE_TO_MANY else (sides[1], sides[0])


def _codes(
    board: Board, rows: Eligible, plan: PassPlan, found: _Found, one_rows: Positions, many_rows: Positions
) -> list[Codes]:
    codes = [np.zeros(side.height, dtype=np.uint8) for side in (board.source, board.target)]
    for code, looked_at in zip(codes, (rows.source, rows.target), strict=True):
        code[looked_at] = REASON_CODES[Reason.MISSING]
    of_one, of_many = _turned(plan, (codes[0], codes[1]))
    of_one[one_rows[found.status == SubsetStatus.TRUNCATED]] = REASON_CODES[Reason.SEARCH_TRUNCATED]
    of_one[one_rows[found.status == SubsetStatus.AMBIGUOUS]] = REASON_CODES[Reason.AMBIGUOUS]
    of_many[many_rows[found.doubtful_many]] = REASON_CODES[Reason.AMBIGUOUS]
    return codes


def _rule(plan: PassPlan, below: int, above: int) -> SubsetRule:
    subset = plan.subset
    return SubsetRule(
        below=below, above=above, min_size=subset.min_size, max_size=subset.max_size, budget=subset.budget
    )


def _by_blocks(board: Board, plan: PassPlan, rows: Eligible, bounds: Bounds) -> _Found:
    """All that records have in common is equality: they fall into blocks."""
    also = [] if bounds.currencies is None else [bounds.currencies]
    one_blocks, many_blocks = _turned(plan, equal_groups(board, equalities(plan), rows, also))
    below, above = (int(one[0]) if len(one) else 0 for one in (bounds.below, bounds.above))
    outcome = settle_subsets(bounds.one, one_blocks, bounds.many, many_blocks, _rule(plan, below, above))
    doubtful = outcome.status[outcome.candidate_credit] == SubsetStatus.AMBIGUOUS
    return _Found(
        outcome.status,
        outcome.credit,
        outcome.item,
        outcome.candidate_credit[doubtful],
        outcome.candidate_item[doubtful],
        outcome.chance,
    )


def _by_pools(board: Board, plan: PassPlan, rows: Eligible, bounds: Bounds, amount: FieldRule) -> _Found:
    """Rounds: every open record looks at its own pool; who found a solution that nobody else claims is settled."""
    one, many = _turned(plan, allowed_places(board, plan, rows, amount, bounds.currencies))
    order = np.lexsort((many, one))
    one, many = one[order], many[order]
    count = len(bounds.one)
    status = np.full(count, SubsetStatus.NONE, dtype=np.int8)
    chance = np.zeros(count, dtype=np.float64)
    free = np.ones(len(bounds.many), dtype=np.bool_)
    chosen: list[tuple[Numbers, Numbers]] = []
    is_open = np.ones(count, dtype=np.bool_)
    while True:
        kept = is_open[one] & free[many]
        claim = _Claims.of(plan, bounds, one[kept], many[kept], is_open)
        settled = claim.uncontested()
        status[is_open] = claim.status[is_open]
        if not settled.any():
            break
        taken = settled[claim.one]
        chosen.append((claim.one[taken], claim.many[taken]))
        free[claim.many[taken]] = False
        is_open &= ~settled
        status[settled] = SubsetStatus.FOUND
        chance[settled] = claim.chance[settled]
    contested = is_open & (status == SubsetStatus.FOUND)
    status[contested] = SubsetStatus.AMBIGUOUS
    in_doubt = (status == SubsetStatus.AMBIGUOUS)[claim.one]
    empty = np.empty(0, dtype=np.int64)
    return _Found(
        status,
        np.concatenate([empty, *(each for each, _ in chosen)]),
        np.concatenate([empty, *(each for _, each in chosen)]),
        claim.one[in_doubt],
        claim.many[in_doubt],
        chance,
    )


@dataclass(frozen=True)
class _Claims:
    """What the open records of the one side want, each from its own pool: chosen ones, or those of its first two solutions."""

    status: np.ndarray[tuple[int], np.dtype[np.int8]]
    off: Numbers
    """By how much a solution is off."""
    chance: np.ndarray[tuple[int], np.dtype[np.float64]]
    one: Numbers
    many: Numbers

    @classmethod
    def of(cls, plan: PassPlan, bounds: Bounds, one: Numbers, many: Numbers, is_open: Flags) -> _Claims:
        count = len(bounds.one)
        status = np.full(count, SubsetStatus.NONE, dtype=np.int8)
        off = np.zeros(count, dtype=np.int64)
        chance = np.zeros(count, dtype=np.float64)
        ones: list[Numbers] = [np.empty(0, dtype=np.int64)]
        manys: list[Numbers] = [np.empty(0, dtype=np.int64)]
        for asked, rule in _by_bound(plan, bounds, is_open):
            mine = asked[one]
            places = np.flatnonzero(asked)
            pool, pool_of = many[mine], one[mine]
            outcome = settle_subsets(bounds.one[places], places, bounds.many[pool], pool_of, rule)
            status[places] = outcome.status
            off[places] = np.abs(outcome.difference)
            chance[places] = outcome.chance
            for credit, item in ((outcome.credit, outcome.item), (outcome.candidate_credit, outcome.candidate_item)):
                ones.append(places[credit])
                manys.append(pool[item])
        return cls(status, off, chance, np.concatenate(ones), np.concatenate(manys))

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


def _by_bound(plan: PassPlan, bounds: Bounds, is_open: Flags) -> Iterator[tuple[Flags, SubsetRule]]:
    """The open records by what their sums may be off."""
    every = np.stack([bounds.below, bounds.above], axis=1)
    for below, above in np.unique(every[is_open], axis=0).tolist():
        asked = is_open & (bounds.below == below) & (bounds.above == above)
        yield asked, _rule(plan, below, above)
