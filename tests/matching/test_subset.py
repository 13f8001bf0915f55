"""SUBSET settling against brute force over all subsets, and its promises one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.errors import RuleInvalid
from matching.subset.kernel import AmountTooLarge, SubsetOutcome, SubsetRule, SubsetStatus, settle_subsets
from matching.subset.rounds import CONTESTED, horizon
from matching.subset.sums import Halves, Reach

FOUND, NONE, AMBIGUOUS, TRUNCATED = SubsetStatus


def settle(
    credits: list[int],
    items: list[int],
    rule: SubsetRule | None = None,
    credit_blocks: list[int] | None = None,
    item_blocks: list[int] | None = None,
) -> SubsetOutcome:
    return settle_subsets(
        np.array(credits, dtype=np.int64),
        np.array(credit_blocks or [0] * len(credits), dtype=np.int64),
        np.array(items, dtype=np.int64),
        np.array(item_blocks or [0] * len(items), dtype=np.int64),
        rule,
    )


def chosen(outcome: SubsetOutcome) -> list[tuple[int, ...]]:
    of = [[] for _ in outcome.status]
    for credit, item in zip(outcome.credit.tolist(), outcome.item.tolist(), strict=True):
        of[credit].append(item)
    return [tuple(items) for items in of]


def candidates(outcome: SubsetOutcome, credit: int) -> list[int]:
    return outcome.candidate_item[outcome.candidate_credit == credit].tolist()


Rank = tuple[int, int, int]


def best_subsets(credit: int, items: dict[int, int], rule: SubsetRule) -> tuple[Rank, list[frozenset[int]]] | None:
    """The rank and all the best subsets, by looking at every subset."""
    ranks: dict[frozenset[int], Rank] = {}
    count = len(items)
    for size in range(rule.min_size, min(count, rule.max_size or count) + 1):
        simplicity = min(size, count - size)
        if rule.max_simplicity is not None and simplicity > rule.max_simplicity:
            continue
        for rows in combinations(items, size):
            off = sum(items[row] for row in rows) - credit
            if -rule.below <= off <= rule.above:
                ranks[frozenset(rows)] = (max(simplicity, horizon(count)), abs(off), simplicity)
    if not ranks:
        return None
    least = min(ranks.values())
    return least, [rows for rows, rank in ranks.items() if rank == least]


def oracle(credits: list[int], items: list[int], rule: SubsetRule) -> tuple[list[SubsetStatus], list[tuple[int, ...]]]:
    """One block, as the module's text says it, one credit and one subset at a time."""
    left = dict(enumerate(items))
    settled: dict[int, frozenset[int]] = {}
    while True:
        best = {
            number: found
            for number, credit in enumerate(credits)
            if number not in settled and (found := best_subsets(credit, left, rule))
        }

        def contested(number: int) -> frozenset[int]:
            subsets = best[number][1]  # noqa: B023
            return frozenset(left) if len(subsets) > CONTESTED else frozenset().union(*subsets)

        free = {
            number: rank
            for number, (rank, subsets) in best.items()
            if len(subsets) == 1
            and not any(subsets[0] & contested(other) for other in best if other != number and best[other][0] <= rank)
        }
        if not free:
            statuses = [FOUND if n in settled else AMBIGUOUS if n in best else NONE for n in range(len(credits))]
            return statuses, [tuple(sorted(settled.get(n, ()))) for n in range(len(credits))]
        for number in [number for number, rank in free.items() if rank == min(free.values())]:
            settled[number] = best[number][1][0]
            for row in settled[number]:
                del left[row]


rules = st.builds(
    SubsetRule,
    below=st.integers(0, 6),
    above=st.integers(0, 12),
    min_size=st.integers(1, 2),
    max_size=st.none() | st.integers(2, 6),
    max_simplicity=st.none() | st.integers(0, 4),
)
exact = st.builds(SubsetRule)
amounts = st.integers(-20, 60) | st.integers(-3, 8) | st.integers(-1000, 100_000)
pools = st.lists(amounts, min_size=0, max_size=9)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], list[int], SubsetRule]:
    """Credits of which most are the sum of some rows, give or take a little."""
    items = draw(pools)
    credits: list[int] = []
    for _ in range(draw(st.integers(1, 4))):
        picks = draw(st.lists(st.booleans(), min_size=len(items), max_size=len(items)))
        credits.append(sum(item for item, pick in zip(items, picks, strict=True) if pick) + draw(st.integers(-3, 3)))
    return credits, items, draw(exact | rules)


@settings(max_examples=400, deadline=None)
@given(cases())
def test_settles_as_brute_force_does(case: tuple[list[int], list[int], SubsetRule]) -> None:
    credits, items, rule = case
    outcome = settle(credits, items, rule)
    statuses, subsets = oracle(credits, items, rule)
    assert [SubsetStatus(status) for status in outcome.status] == statuses
    assert chosen(outcome) == subsets


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40) | st.integers(-500, 5000), min_size=10, max_size=15), st.data())
def test_larger_pools_settle_as_brute_force_does(items: list[int], data: st.DataObject) -> None:
    picks = data.draw(st.lists(st.booleans(), min_size=len(items), max_size=len(items)))
    credit = sum(item for item, pick in zip(items, picks, strict=True) if pick) + data.draw(st.integers(-2, 2))
    rule = data.draw(exact | st.builds(SubsetRule, below=st.integers(0, 3), above=st.integers(0, 40)))
    outcome = settle([credit], items, rule)
    statuses, subsets = oracle([credit], items, rule)
    assert ([SubsetStatus(status) for status in outcome.status], chosen(outcome)) == (statuses, subsets)


@settings(max_examples=150, deadline=None)
@given(st.lists(cases(), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_neither_order_nor_other_blocks_matter(
    blocks: list[tuple[list[int], list[int], SubsetRule]], random: np.random.Generator
) -> None:
    rule = blocks[0][2]
    credits = [(block, credit) for block, case in enumerate(blocks) for credit in case[0]]
    items = [(block, item) for block, case in enumerate(blocks) for item in case[1]]
    alone = [settle(case[0], case[1], rule) for case in blocks]

    credit_order, item_order = list(range(len(credits))), list(range(len(items)))
    random.shuffle(credit_order)
    random.shuffle(item_order)
    outcome = settle(
        [credits[n][1] for n in credit_order],
        [items[n][1] for n in item_order],
        rule,
        [7 - credits[n][0] for n in credit_order],
        [7 - items[n][0] for n in item_order],
    )
    status: list[int] = [0] * len(credits)
    subsets: list[tuple[int, ...]] = [()] * len(credits)
    for at, own in enumerate(chosen(outcome)):
        status[credit_order[at]] = int(outcome.status[at])
        subsets[credit_order[at]] = tuple(sorted(item_order[item] for item in own))
    expected: list[tuple[int, ...]] = []
    start = 0
    for (_, pool, _), one in zip(blocks, alone, strict=True):
        expected += [tuple(item + start for item in own) for own in chosen(one)]
        start += len(pool)
    assert status == [int(one) for outcome in alone for one in outcome.status]
    assert subsets == expected


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(1, 60))
def test_a_short_budget_never_turns_an_answer_into_another(
    case: tuple[list[int], list[int], SubsetRule], budget: int
) -> None:
    credits, items, rule = case[0][:1], case[1], case[2]
    full = settle(credits, items, rule)
    bounds = {name: getattr(rule, name) for name in ("below", "above", "min_size", "max_size", "max_simplicity")}
    short = settle(credits, items, SubsetRule(**bounds, budget=budget))
    if short.status[0] != TRUNCATED:
        assert short.status[0] == full.status[0]
        assert chosen(short) == chosen(full)


def test_bounds_are_inclusive() -> None:
    items = [1000, 2000, 4000, 8000]
    rule = SubsetRule(below=5, above=9)
    for credit, status, difference in ((3005, FOUND, -5), (3006, NONE, 0), (2991, FOUND, 9), (2990, NONE, 0)):
        outcome = settle([credit], items, rule)
        assert (outcome.status.tolist(), outcome.difference.tolist()) == ([status], [difference])


def test_a_fee_that_was_withheld() -> None:
    outcome = settle([9_750], [4_000, 6_000, 123_456, 77_777, 31_313], SubsetRule(above=300))
    assert chosen(outcome) == [(0, 1)]
    assert outcome.difference.tolist() == [250]
    assert settle([10_001], [4_000, 6_000, 123_456, 77_777, 31_313], SubsetRule(above=300)).status.tolist() == [NONE]


def test_an_exact_subset_comes_before_a_nearer_simpler_one() -> None:
    outcome = settle([600], [100, 200, 300, 601, 9_000, 9_100, 9_200], SubsetRule(above=2))
    assert chosen(outcome) == [(0, 1, 2)]


def test_a_tolerance_never_takes_from_an_exact_match() -> None:
    outcome = settle([501, 500], [500], SubsetRule(below=1, above=1))
    assert outcome.status.tolist() == [NONE, FOUND]
    assert chosen(outcome) == [(), (0,)]


def test_refunds_are_rows_too() -> None:
    outcome = settle([7_000], [10_000, -3_000, 50_000, 60_001, -777])
    assert chosen(outcome) == [(0, 1)]
    assert chosen(settle([-3_777], [10_000, -3_000, 50_000, 60_001, -777])) == [(1, 4)]


def test_equal_amounts_are_ambiguous_and_named() -> None:
    outcome = settle([500], [500, 500, 90_000, 90_001])
    assert outcome.status.tolist() == [AMBIGUOUS]
    assert outcome.solutions.tolist() == [2]
    assert candidates(outcome, 0) == [0, 1]
    assert len(outcome.item) == 0


def test_equal_sums_of_different_rows_are_ambiguous() -> None:
    outcome = settle([30], [10, 20, 30])
    assert outcome.status.tolist() == [AMBIGUOUS]
    assert candidates(outcome, 0) == [0, 1, 2]


def test_credits_that_want_the_same_rows_are_ambiguous() -> None:
    outcome = settle([300, 300], [100, 200, 5_000, 7_000, 9_000])
    assert outcome.status.tolist() == [AMBIGUOUS, AMBIGUOUS]
    assert outcome.solutions.tolist() == [1, 1]
    assert candidates(outcome, 0) == candidates(outcome, 1) == [0, 1]


def test_what_one_credit_takes_makes_another_unique() -> None:
    # 700 is 300 + 400 or 100 + 600 until the credit of 600 has taken its own.
    items = [300, 400, 100, 600, 1_000, 77_000, 88_000, 99_000]
    assert settle([700], items).status.tolist() == [AMBIGUOUS]
    outcome = settle([700, 600], items)
    assert outcome.status.tolist() == [FOUND, FOUND]
    assert chosen(outcome) == [(0, 1), (3,)]


def test_the_whole_block_and_all_but_a_few() -> None:
    items = np.random.default_rng(1).integers(1_000, 900_000, 2_000).tolist()
    total = sum(items)
    assert len(chosen(settle([total], items))[0]) == 2_000
    without = settle([total - items[17]], items)
    assert set(range(2_000)) - set(chosen(without)[0]) == {17}


def test_a_pool_of_thousands() -> None:
    items = np.random.default_rng(2).integers(1_000, 10**12, 4_000).tolist()
    outcome = settle([items[5] + items[3_999], items[0] + items[1] + items[2] + items[3]], items, None, [0, 0])
    assert outcome.status.tolist() == [FOUND, TRUNCATED]
    assert chosen(outcome)[0] == (5, 3_999)
    assert outcome.states.max() <= SubsetRule().budget


def test_three_of_thousands_by_pairs_in_pieces() -> None:
    items = np.random.default_rng(3).integers(1_000, 10**13, 2_500).tolist()
    outcome = settle([items[5] + items[77] + items[2_400]], items, SubsetRule(budget=1 << 24))
    assert chosen(outcome) == [(5, 77, 2_400)]


def test_a_small_credit_of_a_large_pool_needs_its_small_rows_only() -> None:
    random = np.random.default_rng(4)
    items = np.concatenate([random.integers(1_000, 50_000, 20), random.integers(10**6, 10**7, 5_000)]).tolist()
    outcome = settle([sum(items[:5]), 999, 1_000_000 - 1], items)
    assert outcome.status[1] == NONE
    assert chosen(outcome)[0] == (0, 1, 2, 3, 4)


def test_a_common_unit_proves_absence() -> None:
    assert settle([100_050], [100 * n for n in range(1, 3_000)]).status.tolist() == [NONE]


def test_sums_that_lie_close_together() -> None:
    # Every row but one is even: the odd credit needs it, and the rest is 70 equal rows of which any 30 do.
    outcome = settle([7 + 60], [2] * 70 + [7])
    assert outcome.status.tolist() == [AMBIGUOUS]
    assert settle([2 * 70 + 8], [2] * 70 + [7]).status.tolist() == [NONE]


def test_a_search_that_was_stopped_says_so() -> None:
    random = np.random.default_rng(5)
    items = random.integers(10**9, 10**12, 60).tolist()
    hidden = sum(items[:25])
    outcome = settle([hidden, sum(items[:2])], items, SubsetRule(budget=100_000), [0, 0])
    assert outcome.status.tolist() == [TRUNCATED, FOUND]
    assert settle([hidden], items, SubsetRule(budget=100_000, max_simplicity=3)).status.tolist() == [NONE]


def test_whole_units_widen_what_can_be_proved() -> None:
    assert settle([40_000], [1_000] * 200).status.tolist() == [AMBIGUOUS]


def test_chance_tells_a_coincidence_from_an_explanation() -> None:
    random = np.random.default_rng(7)
    items = random.integers(100, 500_000, 100 * 30)
    blocks = np.repeat(np.arange(100), 30)
    planted = settle_subsets(items.reshape(100, 30)[:, :3].sum(axis=1), np.arange(100), items, blocks)
    absent = settle_subsets(random.integers(10**6, 2 * 10**6, 100), np.arange(100), items, blocks)
    sure = [outcome.chance[(outcome.status == FOUND) & (outcome.chance < 0.05)] for outcome in (planted, absent)]
    assert len(sure[0]) > 90
    assert len(sure[1]) < 10
    assert (absent.chance[absent.status == NONE] == 0).all()


def test_both_ways_over_all_sizes_agree() -> None:
    random = np.random.default_rng(6)
    for _ in range(20):
        items = np.sort(random.integers(-30, 90, 12))
        permitted = random.random(13) < 0.8
        permitted[0] = False
        low, high = (int(bound) for bound in np.sort(random.integers(-20, 400, 2)))
        halves, reach = Halves.of(items, low, high, permitted, 1 << 20), Reach.of(items, low, high, permitted)
        assert halves.complete
        assert reach.complete
        pairs = set(zip(halves.total.tolist(), halves.size.tolist(), strict=True))
        assert pairs == set(zip(reach.total.tolist(), reach.size.tolist(), strict=True))
        for entry in range(len(reach.total)):
            same = np.flatnonzero((halves.total == reach.total[entry]) & (halves.size == reach.size[entry]))
            expected = {tuple(row) for row in halves.members(same, 1 << 20).tolist()}
            assert {tuple(row) for row in reach.members(np.array([entry]), 1 << 20).tolist()} == expected


def test_nothing_to_look_at() -> None:
    assert settle([], [1, 2]).status.tolist() == []
    assert settle([5], []).status.tolist() == [NONE]
    assert settle([5], [5], None, [1], [2]).status.tolist() == [NONE]
    assert settle([0], [0]).status.tolist() == [FOUND]
    assert settle([0], [7, 9]).status.tolist() == [NONE]


@pytest.mark.parametrize(
    "option", [{"below": -1}, {"above": -1}, {"min_size": 0}, {"min_size": 3, "max_size": 2}, {"budget": 0}]
)
def test_a_rule_that_means_nothing_is_refused(option: dict[str, int]) -> None:
    with pytest.raises(RuleInvalid, match=list(option)[-1]):
        SubsetRule(**option)


def test_amounts_that_would_overflow_are_refused() -> None:
    with pytest.raises(AmountTooLarge, match="block 0"):
        settle([1], [1 << 55, 1 << 55, 1 << 55])
