from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from matching import graph, optimum
from matching.assignment import BUDGET_LIMIT, SCORE_LIMIT, Assignment, assign, components, contested

Edge = tuple[int, int, int]
Pair = tuple[int, int]
HEIGHT = 8


def arrays(edges: Iterable[Edge]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    table = np.array(list(edges), dtype=np.int64).reshape(-1, 3)
    return table[:, 0].astype(np.uint32), table[:, 1].astype(np.uint32), table[:, 2].copy()


def run(edges: Iterable[Edge], *, height: int = HEIGHT, **options: Any) -> Assignment:
    return assign(*arrays(edges), source_height=height, target_height=height, **options)


def pairs(found: Assignment) -> set[Pair]:
    return set(zip(found.source.tolist(), found.target.tolist(), strict=True))


def rows(flags: npt.NDArray[np.bool_]) -> set[int]:
    return set(np.flatnonzero(flags).tolist())


def swapped(edges: Iterable[Edge]) -> list[Edge]:
    return [(target, source, score) for source, target, score in edges]


def graphs(side: int, scores: st.SearchStrategy[int], most: int) -> st.SearchStrategy[list[Edge]]:
    place = st.tuples(st.integers(0, side - 1), st.integers(0, side - 1))
    return st.dictionaries(place, scores, max_size=most).map(
        lambda scored: [(source, target, score) for (source, target), score in scored.items()]
    )


SMALL = graphs(5, st.integers(0, 3), 12) | graphs(4, st.integers(0, 6), 12) | graphs(5, st.just(1), 14)


# The oracle: every assignment there is, one after the other.


def assignments(edges: list[Edge]) -> Iterator[list[Edge]]:
    if not edges:
        yield []
        return
    first, rest = edges[0], edges[1:]
    yield from assignments(rest)
    for more in assignments([edge for edge in rest if edge[0] != first[0] and edge[1] != first[1]]):
        yield [first, *more]


def objective(chosen: list[Edge], most_pairs: bool) -> tuple[int, int]:
    total = sum(score for _, _, score in chosen)
    return (len(chosen), total) if most_pairs else (total, len(chosen))


def all_best(edges: list[Edge], most_pairs: bool) -> list[set[Pair]]:
    every = list(assignments(edges))
    highest = max(objective(chosen, most_pairs) for chosen in every)
    return [{edge[:2] for edge in chosen} for chosen in every if objective(chosen, most_pairs) == highest]


def parts(edges: Iterable[Pair]) -> list[set[Pair]]:
    found: list[set[Pair]] = []
    for edge in edges:
        touching = [part for part in found if any(edge[0] == one[0] or edge[1] == one[1] for one in part)]
        found = [part for part in found if part not in touching] + [{edge}.union(*touching)]
    return found


def distances(best: list[set[Pair]]) -> list[int]:
    """Per best assignment, how far from each other in rank its pairs are, among the rows treated differently."""
    undecided = set.union(*best) - set.intersection(*best)
    total = [0] * len(best)
    for part in parts(undecided):
        source_rank = {row: rank for rank, row in enumerate(sorted({source for source, _ in part}))}
        target_rank = {row: rank for rank, row in enumerate(sorted({target for _, target in part}))}
        for at, one in enumerate(best):
            total[at] += sum((source_rank[source] - target_rank[target]) ** 2 for source, target in one & part)
    return total


def is_own_mirror(edges: list[Edge], part: set[Pair]) -> bool:
    source_rank = {row: rank for rank, row in enumerate(sorted({source for source, _ in part}))}
    target_rank = {row: rank for rank, row in enumerate(sorted({target for _, target in part}))}
    ranked = {(source_rank[s], target_rank[t], score) for s, t, score in edges if (s, t) in part}
    return ranked == {(target, source, score) for source, target, score in ranked}


@given(SMALL, st.booleans())
def test_best_and_closest_in_rank_as_by_trying_everything(edges: list[Edge], most_pairs: bool) -> None:
    found = run(edges, most_pairs=most_pairs)
    best = all_best(edges, most_pairs)
    chosen = pairs(found)
    assert chosen in best
    apart = distances(best)
    assert apart[best.index(chosen)] == min(apart)
    differing = set.union(*best) - set.intersection(*best)
    assert rows(found.ambiguous_source) == {source for source, _ in differing}
    assert rows(found.ambiguous_target) == {target for _, target in differing}
    assert not found.truncated_source.any()
    assert not found.truncated_target.any()


@given(SMALL, st.booleans())
def test_swapped_sides_give_the_mirrored_assignment(edges: list[Edge], most_pairs: bool) -> None:
    found = pairs(run(edges, most_pairs=most_pairs))
    mirrored = {(source, target) for target, source in pairs(run(swapped(edges), most_pairs=most_pairs))}
    best = all_best(edges, most_pairs)
    for part in parts(set.union(*best) - set.intersection(*best)):
        if not is_own_mirror(edges, part):
            assert found & part == mirrored & part
    assert found & set.intersection(*best) == mirrored & set.intersection(*best)


@given(SMALL, st.randoms(use_true_random=False), st.booleans(), st.integers(1, 12))
def test_edge_order_does_not_matter(edges: list[Edge], random: Any, most_pairs: bool, budget: int) -> None:
    shuffled = random.sample(edges, len(edges))
    one = run(edges, most_pairs=most_pairs, budget=budget)
    other = run(shuffled, most_pairs=most_pairs, budget=budget)
    for name in ("source", "target", "ambiguous_source", "ambiguous_target", "truncated_source", "truncated_target"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert [edges[at] for at in one.edges] == [shuffled[at] for at in other.edges]


@given(SMALL, SMALL, st.integers(1, 12))
def test_other_components_do_not_matter(edges: list[Edge], others: list[Edge], budget: int) -> None:
    alone = run(edges, budget=budget)
    moved = [(source + HEIGHT, target + HEIGHT, score) for source, target, score in others]
    together = run(edges + moved, height=2 * HEIGHT, budget=budget)
    assert pairs(alone) == {pair for pair in pairs(together) if pair[0] < HEIGHT}
    np.testing.assert_array_equal(alone.ambiguous_source, together.ambiguous_source[:HEIGHT])
    np.testing.assert_array_equal(alone.truncated_target, together.truncated_target[:HEIGHT])


@given(SMALL, st.integers(1, 6), st.booleans())
def test_beyond_the_budget_it_is_said_and_still_an_assignment(edges: list[Edge], budget: int, most_pairs: bool) -> None:
    found = run(edges, budget=budget, most_pairs=most_pairs)
    chosen = pairs(found)
    assert len({source for source, _ in chosen}) == len({target for _, target in chosen}) == len(chosen)
    # Nothing that could still be paired is left over.
    assert all(source in found.source or target in found.target for source, target, _ in edges)
    for part in parts(edge[:2] for edge in edges):
        own = [edge for edge in edges if edge[:2] in part]
        if not {source for source, _ in part} & rows(found.truncated_source):
            assert chosen & part in all_best(own, most_pairs)
        else:
            assert len(part) > budget
    assert not (found.truncated_source & found.ambiguous_source).any()
    mirrored = run(swapped(edges), budget=budget, most_pairs=most_pairs)
    np.testing.assert_array_equal(found.truncated_source, mirrored.truncated_target)
    np.testing.assert_array_equal(found.truncated_target, mirrored.truncated_source)


@given(SMALL, st.booleans())
def test_sparse_solver_without_reductions_is_as_good(edges: list[Edge], most_pairs: bool) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(optimum, "_DENSE_CELLS", 8)
        patched.setattr(graph, "_ROUNDS", 1)
        found = run(edges, most_pairs=most_pairs)
    best = all_best(edges, most_pairs)
    apart = distances(best)
    assert apart[best.index(pairs(found))] == min(apart)
    differing = set.union(*best) - set.intersection(*best)
    assert rows(found.ambiguous_source) == {source for source, _ in differing}


# Several assignments are closest in rank: scores alone, or edges, tell the sides apart.
TIED = [
    [(0, 1, 2), (0, 2, 1), (1, 0, 3), (1, 2, 1), (2, 0, 3), (2, 1, 2)],
    [(0, 1, 1), (0, 2, 1), (0, 3, 2), (1, 3, 2), (2, 0, 2), (2, 2, 3), (3, 0, 1), (3, 1, 2), (3, 3, 1)],
    [(0, 1, 1), (0, 2, 1), (2, 2, 1), (2, 0, 1)],
]


@pytest.mark.parametrize("edges", TIED)
def test_equal_distances_are_settled_alike_from_both_sides(edges: list[Edge]) -> None:
    best = all_best(edges, most_pairs=False)
    apart = distances(best)
    assert apart.count(min(apart)) > 1
    assert pairs(run(edges)) == {(source, target) for target, source in pairs(run(swapped(edges)))}


def test_score_before_pairs_and_pairs_before_score() -> None:
    edges = [(0, 0, 4), (0, 1, 9), (1, 1, 4)]
    assert pairs(run(edges)) == {(0, 1)}
    assert pairs(run(edges, most_pairs=True)) == {(0, 0), (1, 1)}
    longer = [(0, 0, 0), (0, 1, 9), (1, 1, 0), (1, 2, 9), (2, 2, 0)]
    assert pairs(run(longer, most_pairs=True)) == {(0, 0), (1, 1), (2, 2)}
    level = [(0, 0, 4), (0, 1, 8), (1, 1, 4)]
    assert pairs(run(level)) == {(0, 0), (1, 1)}
    assert not run(level).ambiguous_source.any()


def test_of_an_entry_and_its_equals_the_first_is_taken() -> None:
    found = run([(0, 2, 5), (0, 1, 5), (0, 3, 3)])
    assert pairs(found) == {(0, 1)}
    assert rows(found.ambiguous_source) == {0}
    assert rows(found.ambiguous_target) == {1, 2}


def test_a_row_that_must_be_paired_is_ranked_but_never_left_over() -> None:
    # The best assignments all pair target 1, the second of three: sources 0 and 1 can't just take the first two in order.
    edges = [(0, 0, 5), (0, 1, 7), (0, 2, 5), (1, 0, 5), (1, 1, 7), (1, 2, 5)]
    best = all_best(edges, most_pairs=False)
    found = run(edges)
    assert pairs(found) == {(0, 0), (1, 1)}
    assert pairs(found) in best
    late = [(0, 0, 5), (0, 1, 5), (0, 2, 7), (1, 0, 5), (1, 1, 5), (1, 2, 7)]
    assert pairs(run(late)) == {(0, 0), (1, 2)}


@pytest.mark.parametrize(("sources", "targets"), [(1, 40), (40, 1), (30, 30), (30, 50), (50, 30)])
@pytest.mark.parametrize("budget", [1, 50_000])
def test_equal_candidates_pair_in_order(sources: int, targets: int, budget: int) -> None:
    found = run([(s, t, 7) for s, t in product(range(sources), range(targets))], height=60, budget=budget)
    assert pairs(found) == {(at, at) for at in range(min(sources, targets))}
    assert rows(found.ambiguous_source) == set(range(sources))
    assert rows(found.ambiguous_target) == set(range(targets))
    assert not found.truncated_source.any()


def test_a_large_block_of_equal_candidates_is_no_search() -> None:
    side = 1_000
    source, target = (part.ravel().astype(np.uint32) for part in np.indices((side, side)))
    found = assign(source, target, np.zeros(side * side, np.int64), source_height=side, target_height=side, budget=10)
    np.testing.assert_array_equal(found.source, np.arange(side))
    np.testing.assert_array_equal(found.target, np.arange(side))
    assert not found.truncated_source.any()


@pytest.mark.parametrize("cells", [10, 500, 2**21])
@pytest.mark.parametrize(
    ("sources", "targets", "edges", "top"), [(40, 50, 300, 9), (60, 60, 400, 10**6), (30, 9, 150, 3)]
)
def test_larger_components_reach_the_known_optimum(
    monkeypatch: pytest.MonkeyPatch, cells: int, sources: int, targets: int, edges: int, top: int
) -> None:
    monkeypatch.setattr(optimum, "_DENSE_CELLS", cells)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        place = rng.choice(sources * targets, edges, replace=False)
        source, target = (place // targets).astype(np.uint32), (place % targets).astype(np.uint32)
        score = rng.integers(0, top, edges)
        matrix = np.zeros((sources, targets))
        matrix[source, target] = score
        found = assign(source, target, score, source_height=sources, target_height=targets)
        assert int(score[found.edges].sum()) == int(matrix[linear_sum_assignment(matrix, maximize=True)].sum())
        mirrored = assign(target, source, score, source_height=targets, target_height=sources)
        assert pairs(found) == {(s, t) for t, s in pairs(mirrored)}
        np.testing.assert_array_equal(found.ambiguous_source, mirrored.ambiguous_target)


@pytest.mark.parametrize("top", [2, 1_000])
def test_beyond_the_budget_comes_close_to_the_optimum(top: int) -> None:
    rng = np.random.default_rng(5)
    place = rng.choice(200 * 200, 2_000, replace=False)
    source, target = (place // 200).astype(np.uint32), (place % 200).astype(np.uint32)
    score = rng.integers(1, top, len(place))
    exact, portioned = (
        assign(source, target, score, source_height=200, target_height=200, budget=budget) for budget in (50_000, 500)
    )
    assert not exact.truncated_source.any()
    assert portioned.truncated_source.any()
    assert score[portioned.edges].sum() >= 0.9 * score[exact.edges].sum()
    mirrored = assign(target, source, score, source_height=200, target_height=200, budget=500)
    assert pairs(portioned) == {(s, t) for t, s in pairs(mirrored)}


def test_the_highest_scores_are_still_exact() -> None:
    top = SCORE_LIMIT - 1
    edges = [(s, t, top - (s * 3 + t * 5) % 7) for s, t in product(range(5), range(5))]
    found = run(edges)
    matrix = np.array([score for *_, score in edges]).reshape(5, 5)
    want = matrix[linear_sum_assignment(matrix - top, maximize=True)].sum()
    assert sum(edges[at][2] for at in found.edges) == want


def test_nothing_in_nothing_out() -> None:
    found = run([])
    assert pairs(found) == set()
    assert len(found.ambiguous_source) == len(found.truncated_target) == HEIGHT
    assert len(components(*arrays([])[:2])) == 0


@given(graphs(8, st.just(0), 20))
def test_components_are_what_hangs_together(edges: list[Edge]) -> None:
    source, target, _ = arrays(edges)
    number = components(source, target).tolist()
    found = {n: {edge[:2] for edge, own in zip(edges, number, strict=True) if own == n} for n in set(number)}
    want = sorted(parts(edge[:2] for edge in edges), key=min)
    assert [found[n] for n in sorted(found)] == want
    assert sorted(found) == list(range(len(want)))
    flags = contested(source, target, source_height=HEIGHT, target_height=HEIGHT)
    assert flags.tolist() == [len(found[n]) > 1 for n in number]


def test_bad_input_is_named() -> None:
    source, target, score = arrays([(0, 1, 2)])
    heights = {"source_height": 2, "target_height": 2}
    with pytest.raises(ValueError, match="equally long"):
        assign(source, target, score[:0], **heights)
    with pytest.raises(ValueError, match="target has position 1; target_height is 1"):
        assign(source, target, score, source_height=2, target_height=1)
    with pytest.raises(ValueError, match="budget must be 1 to"):
        assign(source, target, score, **heights, budget=BUDGET_LIMIT + 1)
    for wrong in (-1, SCORE_LIMIT):
        with pytest.raises(ValueError, match="score must be 0 to"):
            assign(source, target, np.array([wrong]), **heights)


def test_a_chain_pairs_in_order() -> None:
    edges = [(at, at + step, 5) for at, step in product(range(4), (0, 1))]
    # Four sources between five targets: equal in score, so in order, and the last target is left over.
    assert pairs(run(edges)) == {(at, at) for at in range(4)}
