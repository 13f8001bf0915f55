"""SUBSET settling against OR-tools CP-SAT called by hand: which settlements make up each credit?

500 credits, each with a block of its own of 28 to 32 settlements of 1.00 to 5,000.00, each the sum of 2 to 6 of them or of all
but 0 to 3. The peer gets one small model a credit and may stop at the first valid sum, with the number of workers, and with or
without presolving, as is fastest for it; ours must also prove that no subset is equally good. Both work through the credits in
lots, alternating; the ratio is that of the medians. Every subset must sum up to its credit, and ours must be the one that brute
force finds, wherever that finds only one among the simplest (the planted one, unless chance made a simpler one).
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from matching.subset.kernel import SubsetStatus, settle_subsets

CREDITS = 500
LOTS = 5
SEED = 20_260_131
LARGEST = 500_000
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Lot:
    """Credits by block number, items in block order, and the item positions that each credit was made of."""

    credits: Ints
    items: Ints
    blocks: Ints
    planted: list[frozenset[int]]


def plant(random: np.random.Generator, credits: int) -> Lot:
    amounts: list[Ints] = []
    planted: list[frozenset[int]] = []
    start = 0
    for _ in range(credits):
        rows = int(random.integers(28, 33))
        size = int(random.choice([2, 3, 4, 5, 6, rows, rows - 1, rows - 2, rows - 3]))
        amounts.append(random.integers(100, LARGEST + 1, rows))
        planted.append(frozenset((start + random.permutation(rows)[:size]).tolist()))
        start += rows
    items = np.concatenate(amounts)
    sums = np.array([items[list(rows)].sum() for rows in planted], dtype=np.int64)
    return Lot(sums, items, np.repeat(np.arange(credits), [len(block) for block in amounts]), planted)


def run_ours(lot: Lot) -> list[frozenset[int] | None]:
    """The rows of each credit; None where several subsets are equally good."""
    outcome = settle_subsets(lot.credits, np.arange(len(lot.credits)), lot.items, lot.blocks)
    found: list[set[int]] = [set() for _ in lot.credits]
    for credit, item in zip(outcome.credit.tolist(), outcome.item.tolist(), strict=True):
        found[credit].add(item)
    return [
        frozenset(rows) if status == SubsetStatus.FOUND else None
        for rows, status in zip(found, outcome.status.tolist(), strict=True)
    ]


def run_theirs(lot: Lot, workers: int, presolve: bool) -> list[frozenset[int] | None]:
    from ortools.sat.python import cp_model

    found: list[frozenset[int] | None] = []
    for number, credit in enumerate(lot.credits.tolist()):
        rows = np.flatnonzero(lot.blocks == number)
        model = cp_model.CpModel()
        chosen = [model.new_bool_var("") for _ in rows]
        model.add(cp_model.LinearExpr.weighted_sum(chosen, lot.items[rows].tolist()) == credit)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = workers
        solver.parameters.cp_model_presolve = presolve
        status = solver.solve(model)
        assert status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
        found.append(frozenset(int(row) for row, pick in zip(rows, chosen, strict=True) if solver.value(pick)))
    return found


def check(lot: Lot, ours: list[frozenset[int] | None], theirs: list[frozenset[int] | None]) -> tuple[int, int]:
    """Asserts what must hold; how many credits have a unique simplest subset, and how many of those are not the planted one."""
    unique, other = 0, 0
    for number, credit in enumerate(lot.credits.tolist()):
        for found in (ours[number], theirs[number]):
            assert found is None or lot.items[list(found)].sum() == credit
        simplest = brute_force(lot, number)
        assert lot.planted[number] in simplest or all(
            simplicity(lot, number, rows) < simplicity(lot, number, lot.planted[number]) for rows in simplest
        )
        assert ours[number] == (next(iter(simplest)) if len(simplest) == 1 else None), number
        unique += len(simplest) == 1
        other += len(simplest) == 1 and lot.planted[number] not in simplest
    return unique, other


def simplicity(lot: Lot, number: int, rows: frozenset[int]) -> int:
    return min(len(rows), int((lot.blocks == number).sum()) - len(rows))


def brute_force(lot: Lot, number: int) -> set[frozenset[int]]:
    """The simplest subsets that make up a credit: every choice of rows, and every choice of rows left out, by size."""
    rows = np.flatnonzero(lot.blocks == number)
    amounts, credit = lot.items[rows], int(lot.credits[number])
    for size in range(len(rows)):
        choices = all_choices(len(rows), size)
        sums = amounts[choices].sum(axis=1)
        chosen = {frozenset(rows[line].tolist()) for line in choices[sums == credit]}
        left_out = choices[sums == amounts.sum() - credit]
        chosen |= {frozenset(rows.tolist()) - frozenset(rows[line].tolist()) for line in left_out}
        if chosen:
            return chosen
    return set()


@cache
def all_choices(count: int, size: int) -> NDArray[np.int8]:
    return np.array(list(combinations(range(count), size)), dtype=np.int8).reshape(comb(count, size), size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--credits", type=int, default=CREDITS)
    parser.add_argument("--lots", type=int, default=LOTS)
    options = parser.parse_args()
    random = np.random.default_rng(SEED)
    lots = [plant(random, options.credits // options.lots) for _ in range(options.lots)]
    # Neither side pays for imports; the peer's way is chosen on credits that don't count.
    trial = plant(random, 12)
    run_ours(trial)
    run_theirs(trial, 1, False)
    taken: dict[tuple[int, bool], float] = {}
    for workers in (1, 2):
        for presolve in (True, False):
            started = perf_counter()
            run_theirs(trial, workers, presolve)
            taken[workers, presolve] = perf_counter() - started
    workers, presolve = min(taken, key=lambda way: taken[way])

    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    unique, other = 0, 0
    for lot in lots:
        started = perf_counter()
        ours = run_ours(lot)
        seconds["ours"].append(perf_counter() - started)
        started = perf_counter()
        theirs = run_theirs(lot, workers, presolve)
        seconds["theirs"].append(perf_counter() - started)
        counts = check(lot, ours, theirs)
        unique, other = unique + counts[0], other + counts[1]
    print(
        f"{unique} of {options.credits} have a unique simplest subset, all found; {other} of them are not what was planted"
    )
    print(f"the peer: {workers} worker(s), {'with' if presolve else 'without'} presolving")
    for name, times in seconds.items():
        print(f"{name}: {statistics.median(times):.3f} s a lot of {', '.join(f'{one:.3f}' for one in times)}")
    name = "subset_vs_cpsat" if options.credits == CREDITS else f"subset_vs_cpsat_{options.credits}"
    print(f"ratio {name} {statistics.median(seconds['ours']) / statistics.median(seconds['theirs']):.4f}")


if __name__ == "__main__":
    main()
