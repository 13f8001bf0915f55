"""SUBSET settling: which of these settlements make up this credit?

Amounts are integer minor units and may be negative (refunds). A credit looks at the items of its own block only.

**What is best.** A subset counts where credit - below <= sum <= credit + above and min_size <= rows <= max_size. Its
*simplicity* is the number of rows chosen or of rows left out of the block, whichever is less: "these 3" and "all but these 3"
are equally simple. Over random cents a block of 30 rows hits nearly any credit with hundreds of subsets of 10 to 20 rows, so
that being the only one of all 2^30 would say nothing; a simple explanation that is the only one of its kind does. Therefore the
best subset is that with the least of, in this order:

1. max(simplicity, horizon): the horizon is the greatest number s for which a block has at most 2^20 subsets of s or fewer
   rows (all subsets up to 20 rows in a block, 6 rows of 30, 3 of 100, 2 of 1,000);
2. |sum - credit|;
3. simplicity.

So within the horizon an exact subset is always before one with a difference, and the nearer before the simpler; beyond it,
where exact sums arise by chance, the simpler before the nearer. Two subsets equal in all three are AMBIGUOUS, whatever rows
they hold.

**What is proved.** FOUND: no other subset is as good or better, among all subsets of what the block has left when the credit
is settled. NONE: no subset counts. AMBIGUOUS: there are at least two best ones, or another credit's best ones contest the rows.
TRUNCATED: the budget ended before any of these was proved.

**Several credits in a block.** Ranks ascend: of the credits with a unique best subset whose rows no other open credit's best
subset of equal or better rank contains, those of the lowest rank that there is are settled, all at once; then the block
starts again with the rows that are left. A credit with more than 16 best subsets contests every row of
its block; a TRUNCATED one contests none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import comb

import numpy as np
from numpy.typing import NDArray

from matching.errors import MatchingError
from matching.subset.rounds import Pass, SubsetRule
from matching.subset.search import TABLE, Flags, Ints

__all__ = ["AmountTooLarge", "SubsetOutcome", "SubsetRule", "SubsetStatus", "settle_subsets"]

LARGEST = 1 << 56  # minor units that a block's amounts and a credit may add up to, so that no sum overflows


class SubsetStatus(IntEnum):
    """What became of a credit; the module's text says what each proves."""

    FOUND = 0
    NONE = 1
    AMBIGUOUS = 2
    TRUNCATED = 3


class AmountTooLarge(MatchingError):
    """Amounts whose sums would not fit 64 bits."""

    code = "AMOUNT_TOO_LARGE"

    def __init__(self, block: int, largest: int) -> None:
        super().__init__(
            f"The amounts of block {block} add up to more than {largest} minor units; use a coarser unit or smaller blocks",
            block=block,
            largest=largest,
        )


@dataclass(frozen=True)
class SubsetOutcome:
    """What settle_subsets found. One entry a credit, in the order given:

    - `status`: int8, a SubsetStatus;
    - `solutions`: best subsets seen, at most 2 (FOUND: 1; AMBIGUOUS with 1: another credit contests its rows);
    - `difference`: sum - credit of the subset chosen, minor units; 0 for a credit that is not FOUND;
    - `simplicity`: that of the best subset known, -1 without one;
    - `chance`: float64, how many subsets as simple and as near as the best one known would be there if the sums were spread
      evenly: 2 * (subsets of so many rows or fewer) * (differences as near) / (spread of the sums of so many rows). An
      estimate to decide whether to trust a FOUND: from about 0.1 on it may well be a coincidence; 0 without a best one;
    - `states`: looked at in the credit's last pass.

    One entry a chosen item, ascending by credit, then item: `credit` and `item`, positions in the arrays given. No item twice.
    Likewise `candidate_credit` and `candidate_item`: the items of the first two best subsets of each AMBIGUOUS credit, and of
    a TRUNCATED one as far as it had any.
    """

    status: NDArray[np.int8]
    solutions: Ints
    difference: Ints
    simplicity: Ints
    chance: NDArray[np.float64]
    states: Ints
    credit: Ints
    item: Ints
    candidate_credit: Ints
    candidate_item: Ints


def settle_subsets(
    credits: Ints, credit_blocks: Ints, items: Ints, item_blocks: Ints, rule: SubsetRule | None = None
) -> SubsetOutcome:
    """Finds, for each credit, the items of its block that make it up; no item goes to two credits.

    `credits`, `items`: int64 amounts in minor units, in the order of record identity; the blocks: int64, one a row. The order
    decides nothing but which of several equal subsets are named as candidates. Time and memory are bounded by the rule's
    budget for each credit and pass; a block takes at most as many passes as it has credits. Raises AmountTooLarge.
    """
    return _Settling(credits, credit_blocks, items, item_blocks, rule or SubsetRule()).outcome()


class _Settling:
    """Passes over the blocks until none makes progress. Blocks of equally many items left are worked on together."""

    def __init__(self, credits: Ints, credit_blocks: Ints, items: Ints, item_blocks: Ints, rule: SubsetRule) -> None:
        self.credits, self.items, self.rule = credits, items, rule
        blocks, block = np.unique(np.concatenate([item_blocks, credit_blocks]), return_inverse=True)
        self.item_block, self.credit_block = block[: len(items)], block[len(items) :]
        self.blocks = len(blocks)
        self._refuse_large(blocks)
        # Items by block and amount, credits by block.
        self.item_order = np.lexsort((items, self.item_block))
        self.credit_order = np.argsort(self.credit_block, kind="stable")
        self.status = np.full(len(credits), SubsetStatus.NONE, dtype=np.int8)
        self.solutions, self.difference, self.states = (np.zeros(len(credits), dtype=np.int64) for _ in range(3))
        self.simplicity = np.full(len(credits), -1, dtype=np.int64)
        self.chance = np.zeros(len(credits), dtype=np.float64)
        self.chosen: list[tuple[Ints, Ints]] = []
        self.candidates: list[tuple[Ints, Ints]] = []

    def _refuse_large(self, blocks: Ints) -> None:
        # In units of 2^20, so that the check itself does not overflow; what that rounds off is far below the limit's margin.
        weight, credit = np.zeros(self.blocks, dtype=np.int64), np.zeros(self.blocks, dtype=np.int64)
        np.add.at(weight, self.item_block, np.abs(self.items >> 20))
        np.maximum.at(credit, self.credit_block, np.abs(self.credits >> 20))
        weight += credit + (max(self.rule.below, self.rule.above) >> 20)
        if (weight > LARGEST >> 20).any():
            raise AmountTooLarge(int(blocks[np.argmax(weight)]), LARGEST)

    def outcome(self) -> SubsetOutcome:
        todo = np.zeros(self.blocks, dtype=np.bool_)
        todo[self.credit_block] = True
        while todo.any():
            self.item_order = self.item_order[todo[self.item_block[self.item_order]]]
            self.credit_order = self.credit_order[todo[self.credit_block[self.credit_order]]]
            todo = self._round()
            open_blocks = np.zeros(self.blocks, dtype=np.bool_)
            open_blocks[self.credit_block[self.credit_order]] = True
            todo &= open_blocks
        facts = (self.status, self.solutions, self.difference, self.simplicity, self.chance, self.states)
        return SubsetOutcome(*facts, *_pairs(self.chosen), *_pairs(self.candidates))

    def _round(self) -> Flags:
        """A pass over each block that is left; says which have made progress, and takes what they settled out of the orders."""
        block_of_item, block_of_credit = self.item_block[self.item_order], self.credit_block[self.credit_order]
        sizes = np.bincount(block_of_item, minlength=self.blocks)
        progress = np.zeros(self.blocks, dtype=np.bool_)
        used = np.zeros(len(self.items), dtype=np.bool_)
        waiting = np.unique(block_of_credit)
        for size in np.unique(sizes[waiting][sizes[waiting] > 0]).tolist():
            alike = waiting[sizes[waiting] == size]
            step = max(1, TABLE // comb(size, min(size // 2, 3)))
            for some in np.split(alike, range(step, len(alike), step)):
                slots = self.item_order[_flagged(some, block_of_item, self.blocks)].reshape(len(some), size)
                credit = self.credit_order[_flagged(some, block_of_credit, self.blocks)]
                search = Pass(
                    self.items[slots], self.credits[credit], np.searchsorted(some, self.credit_block[credit]), self.rule
                )
                search.run()
                used[self._record(search, slots, credit)] = True
                progress[some] = search.progress
        self.item_order = self.item_order[~used[self.item_order]]
        self.credit_order = self.credit_order[self.status[self.credit_order] != SubsetStatus.FOUND]
        return progress

    def _record(self, search: Pass, slots: Ints, credit: Ints) -> Ints:
        """Writes down what a pass decided for good; the items that it settled."""
        self.states[credit], self.simplicity[credit], self.chance[credit] = search.spent, search.level, search.chance()
        of, members = search.members(search.settled)
        line, row = np.nonzero(members)
        item = slots[search.pool[of[line]], row]
        self.chosen.append((credit[of[line]], item))
        won = credit[of]
        self.status[won], self.solutions[won] = SubsetStatus.FOUND, 1
        self.difference[won] = (search.amounts[search.pool[of]] * members).sum(axis=1) - self.credits[won]

        final = ~search.settled & ~search.progress[search.pool]
        kinds = np.where(search.level >= 0, SubsetStatus.AMBIGUOUS, SubsetStatus.NONE)
        self.status[credit[final]] = np.where(search.stopped, SubsetStatus.TRUNCATED, kinds)[final]
        self.solutions[credit[final]] = np.minimum(search.solutions, 2)[final]
        of, members = search.members(final)
        two = np.arange(len(of)) - np.searchsorted(of, of) < 2
        of, members = of[two], members[two]
        line, row = np.nonzero(members)
        self.candidates.append((credit[of[line]], slots[search.pool[of[line]], row]))
        return item


def _flagged(some: Ints, block: Ints, blocks: int) -> Flags:
    flags = np.zeros(blocks, dtype=np.bool_)
    flags[some] = True
    return flags[block]


def _pairs(parts: list[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    """Credits and items, each pair once, ascending."""
    none = np.zeros(0, dtype=np.int64)
    pairs = np.stack([np.concatenate([none, *(part[side] for part in parts)]) for side in (0, 1)], axis=1)
    credit, item = np.unique(pairs, axis=0).T
    return credit, item
