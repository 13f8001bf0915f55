"""Draws that are the same on every platform and in every version: named streams of PCG64's raw bits, integers and IEEE arithmetic.

numpy promises the raw bits of a bit generator for ever, but not what its distributions make of them; and `exp` and `log`
differ between C libraries. So everything else is made here, of operations that are exact or correctly rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_STEPS = 256
"""Steps of a standard deviation in the table of the exponential function."""


class Draws:
    """Independent streams by name: what one stream is asked for changes no other.

    So a record's luck stays the same while the share of something rises: whoever was struck at a lower share is struck
    at a higher one too.
    """

    def __init__(self, seed: int, scope: str) -> None:
        self._seed = seed
        self._scope = scope

    def raw(self, name: str, count: int) -> npt.NDArray[np.uint64]:
        """`count` words of 64 random bits."""
        entropy = (self._seed, crc32(f"{self._scope}/{name}".encode()))
        return np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(count)

    def uniform(self, name: str, count: int) -> Floats:
        """In [0, 1), multiples of 2^-53."""
        return (self.raw(name, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def struck(self, name: str, count: int, share: float) -> Flags:
        """True with the probability `share`; more are True, and the same ones among them, where the share is higher."""
        return self.uniform(name, count) < share

    def below(self, name: str, count: int, bound: int | Ints) -> Ints:
        """Whole numbers from 0 to `bound` - 1; a bound is at most 2^31, one for all or one each."""
        words = (self.raw(name, count) >> np.uint64(33)).astype(np.int64)
        return (words * bound) >> 31

    def between(self, name: str, count: int, lowest: int, highest: int) -> Ints:
        """Whole numbers from `lowest` to `highest`, both included."""
        return lowest + self.below(name, count, highest - lowest + 1)

    def pick(self, name: str, count: int, choices: Sequence[str]) -> pl.Series:
        """One of the texts each."""
        return pl.Series(list(choices), dtype=pl.String).gather(self.below(name, count, len(choices)))

    def long_tailed(self, name: str, count: int, median: float, spread: float) -> Floats:
        """Lognormal, but for tails that end at six standard deviations (`spread` each, of the logarithm).

        The normal variate is the sum of twelve uniform ones less six.
        """
        words = self.raw(name, count * 3).reshape(3, count)
        quarters = [(words >> np.uint64(16 * part)) & np.uint64(0xFFFF) for part in range(4)]
        z = sum(part.astype(np.int64).sum(axis=0) for part in quarters) - 6 * 65_536
        table = _exponentials(spread)
        scaled = np.asarray(z, np.int64) * _STEPS + 6 * 65_536 * _STEPS
        at, rest = scaled >> 16, (scaled & 0xFFFF).astype(np.float64) / 65_536
        return (table[at] + (table[at + 1] - table[at]) * rest) * median

    def order(self, name: str, count: int) -> Ints:
        """A random order of `count` things."""
        return np.argsort(self.raw(name, count), kind="stable").astype(np.int64)


@cache
def _exponentials(spread: float) -> Floats:
    """exp(spread * z) at every step of z from -6 to 6, each the nearest double: Decimal's `exp` is correctly rounded."""
    step = Decimal(str(spread)) / _STEPS
    return np.array([float((step * k).exp()) for k in range(-6 * _STEPS, 6 * _STEPS + 2)], np.float64)
