"""How many distinct values columns have, by their hashes, in bounded memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from models.tabular.writers import ROW_GROUP

KEPT = 1 << 16
"""Of more distinct hashes than this only the least are kept, and estimated from: within half a percent, as a rule."""

ROWS_AT_ONCE = 4 * ROW_GROUP

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Distinct:
    """`blanks` counts values, `distinct` leaves blanks out; `estimated` says whether `distinct` is."""

    blanks: int
    distinct: int
    estimated: bool


def count_distinct(hashes: pl.LazyFrame, height: int, blanks: list[int], *, exact: bool) -> list[Distinct]:
    """Counts the distinct values of each column of UInt64 hashes; `blanks` holds the hash of each column's blank.

    Exact counts take 16 bytes per value; otherwise columns of more than `KEPT` distinct values are estimated.
    """
    names = hashes.collect_schema().names()
    # Sorting releases Python's lock.
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        if exact:
            every = hashes.collect(engine="streaming")
            return list(pool.map(_count, (every[name].to_numpy() for name in names), blanks))
        columns = [_Least(blank) for blank in blanks]
        for start in range(0, height, ROWS_AT_ONCE):
            some = hashes.slice(start, ROWS_AT_ONCE).collect(engine="streaming")
            for _ in pool.map(_Least.add, columns, (some[name].to_numpy() for name in names)):
                pass
        return [column.result() for column in columns]


def _count(hashes: Hashes, blank: int) -> Distinct:
    blanks = int(np.count_nonzero(hashes == np.uint64(blank)))
    # Sorting numbers is several times faster than a table of texts.
    distinct = int(np.count_nonzero(_first_ones(np.sort(hashes))))
    return Distinct(blanks, distinct - (blanks > 0), estimated=False)


def _first_ones(ordered: Hashes) -> npt.NDArray[np.bool_]:
    """Which of the values differ from the one before."""
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first


class _Least:
    """The least distinct hashes of a column, `KEPT` at most: how close together they lie says how many there are."""

    def __init__(self, blank: int) -> None:
        self._blank = np.uint64(blank)
        self._blanks = 0
        self._least: Hashes = np.empty(0, np.uint64)
        self._bound = np.uint64(2**64 - 1)

    def add(self, hashes: Hashes) -> None:
        self._blanks += int(np.count_nonzero(hashes == self._blank))
        ordered = np.sort(np.concatenate([self._least, hashes[hashes <= self._bound]]))
        self._least = ordered[_first_ones(ordered)][: KEPT + 1]
        if len(self._least) > KEPT:
            self._bound = self._least[-1]

    def result(self) -> Distinct:
        if len(self._least) <= KEPT:
            return Distinct(self._blanks, len(self._least) - (self._blanks > 0), estimated=False)
        # The bound is the hash that comes after `KEPT` others.
        estimate = KEPT * 2.0**64 / float(self._bound)
        return Distinct(self._blanks, round(estimate) - (self._blanks > 0), estimated=True)
