"""SUBSET passes: which records of the many side sum up to one record of the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import polars as pl

from matching.differences import FULL_SCORE
from matching.fields import FieldRule
from matching.frames import Positions
from matching.groups import Group, judge_groups, linked
from matching.keys import Numbers
from matching.links import REASON_CODES, Codes, Judged, PassResult, pairs_as_links
from matching.plan import PassPlan
from matching.search import Board, Eligible, allowed_places, equal_groups, equalities, in_order
from matching.spec import SUMMED
from matching.subset.bounds import Bounds, bounds_of
from matching.subset.kernel import SubsetStatus, settle_subsets
from matching.subset.pools import Claims, pools_of, subset_rule
from matching.terms import Cardinality, Reason
from matching.verdicts import Verdict, graded


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
    search stopped by its budget is SEARCH_TRUNCATED, and so are amounts that are too large to be summed. Records without a readable
    amount take no part. Raises RuleInvalid,
    AmountTooLarge, SearchTooWide.
    """
    one_is_source = plan.cardinality is Cardinality.ONE_TO_MANY
    amount = next(one.rule for one in plan.conditions if one.rule.match_type in SUMMED)
    readers = board.source.reader(rows.source), board.target.reader(rows.target)
    bounds = bounds_of(amount, readers, "source" if one_is_source else "target", plan.subset.fees)
    readable = replace(rows, source=rows.source[bounds.known[0]], target=rows.target[bounds.known[1]])
    rest = [one for one in plan.conditions if one.rule is not amount and one.rule not in equalities(plan)]
    if rest or not bounds.off.is_uniform or not bounds.all_named:
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
    judged = [_kept(one, bounds, found, settled) if one.comparison.rule is amount else one for one in judged]
    codes = _codes(board, rows, plan, found, one_rows, many_rows)
    for code, looked_at, large in zip(codes, (rows.source, rows.target), bounds.large, strict=True):
        code[looked_at[large]] = REASON_CODES[Reason.SEARCH_TRUNCATED]
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


def _by_blocks(board: Board, plan: PassPlan, rows: Eligible, bounds: Bounds) -> _Found:
    """All that records have in common is equality: they fall into blocks."""
    also = [] if bounds.equal_currencies is None else [bounds.equal_currencies]
    one_blocks, many_blocks = _turned(plan, equal_groups(board, equalities(plan), rows, also))
    below, above = (int(one[0]) if len(one) else 0 for one in (bounds.off.below, bounds.off.above))
    outcome = settle_subsets(bounds.one, one_blocks, bounds.many, many_blocks, subset_rule(plan, below, above))
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
    places = allowed_places(board, plan, rows, amount, bounds.equal_currencies)
    pools = pools_of(bounds, *_turned(plan, places))
    count = len(bounds.one)
    status = np.full(count, SubsetStatus.NONE, dtype=np.int8)
    chance = np.zeros(count, dtype=np.float64)
    free = np.ones(len(bounds.many), dtype=np.bool_)
    chosen: list[tuple[Numbers, Numbers]] = []
    is_open = np.ones(count, dtype=np.bool_)
    while True:
        left = pools.left(is_open, free)
        claim = Claims.of(plan, left, bounds.many, is_open[pools.owner]).by_owner(pools.owner)
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


def _kept(judged: Judged, bounds: Bounds, found: _Found, settled: Numbers) -> Judged:
    """The verdict on sums that were found within their bounds: they agree, the better the nearer they are."""
    sums = np.zeros(len(bounds.one), dtype=np.int64)
    np.add.at(sums, found.one, bounds.many[found.many])
    off = (sums - bounds.one)[settled]
    reach = np.where(off < 0, bounds.off.below[settled], bounds.off.above[settled])
    # What names no currency is bounded by that of its partners.
    share = 1 - np.abs(off) / np.maximum(np.maximum(reach, np.abs(off)), 1) / 2
    agrees = pl.repeat(value=True, n=len(off), dtype=pl.Boolean, eager=True)
    scores = graded(agrees, pl.Series(share)).zip_with(pl.Series(off != 0), agrees.cast(pl.Int64) * FULL_SCORE)
    return replace(judged, verdict=Verdict(agrees, judged.verdict.delta, scores))
