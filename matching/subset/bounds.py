"""Amounts as integers for a search of sums, and what each sum may be off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import polars as pl

from matching.errors import RuleInvalid
from matching.fields import FieldRule, SideName
from matching.keys import Flags, Numbers
from matching.measured import amounts_of
from matching.measures import NumericRule, RangeRule
from matching.texts import Reader, key_values

MOST_PLACES = 9
LARGEST = 10**16
"""Amounts from here on, in units, take no part: their sums would not fit."""


@dataclass(frozen=True)
class Bounds:
    """Readable amounts of both sides in units of 10^-places, and per record of the one side what its sum may be off, inclusive."""

    places: int
    one: Numbers
    many: Numbers
    source_known: Flags
    target_known: Flags
    below: Numbers
    above: Numbers
    currencies: tuple[pl.Series, pl.Series] | None
    """Of the readable amounts of source and target, where both sides name some."""

    @property
    def is_uniform(self) -> bool:
        """Whether all sums may be off by the same."""
        return bool((self.below == self.below[:1]).all() and (self.above == self.above[:1]).all())

    def scaled(self, amount: Decimal) -> int:
        """Whole units, rounded down."""
        return int(amount.scaleb(self.places))


def bounds_of(rule: FieldRule, sources: tuple[Reader, Reader], one_side: SideName) -> Bounds:
    """Reads what a RANGE or NUMERIC rule compares; `sources` read the source's and the target's records.

    A percentage is of the one side's amount. Raises RuleInvalid where amounts have more than nine decimals.
    """
    assert isinstance(rule, RangeRule | NumericRule)  # noqa: S101
    names: tuple[SideName, SideName] = ("source", "target")
    read = [amounts_of(rule, side, key_values(rule, side, one), one) for side, one in zip(names, sources, strict=True)]
    places = max(_places(one["number"]) for one in read)
    units = [_units(one["number"], places) for one in read]
    known = [one.is_not_null().to_numpy() for one in units]
    amounts = [one.drop_nulls().to_numpy().astype(np.int64) for one in units]
    currencies = [one["currency"].filter(pl.Series(flags)) for one, flags in zip(read, known, strict=True)]
    named = all(one.is_not_null().any() for one in currencies)
    one, many = amounts if one_side == "source" else reversed(amounts)
    off = _off(rule, one, currencies[0 if one_side == "source" else 1], places)
    return Bounds(
        places=places,
        one=one,
        many=many,
        source_known=known[0],
        target_known=known[1],
        below=off,
        above=off,
        currencies=(currencies[0], currencies[1]) if named else None,
    )


def with_fees(bounds: Bounds, fees: Decimal) -> Bounds:
    """The same with sums that may be so much more."""
    return replace(bounds, above=bounds.above + bounds.scaled(fees))


def _places(numbers: pl.Series) -> int:
    frame = pl.DataFrame({"number": numbers})
    decimals = pl.col("number").str.split_exact(".", 1).struct.field("field_1").str.len_bytes()
    exponents = pl.col("number").str.contains("[eE]")
    places = int(frame.select(decimals.filter(~exponents).max().fill_null(0)).item() or 0)
    if places > MOST_PLACES:
        raise RuleInvalid(
            f"SUBSET sums amounts of at most {MOST_PLACES} decimals; there is one with {places}: ROUND it first",
            most=MOST_PLACES,
            places=places,
        )
    return places


def _units(numbers: pl.Series, places: int) -> pl.Series:
    exact = pl.col("number").cast(pl.Decimal(38, places), strict=False).to_physical()
    fits = exact.abs() < LARGEST
    return pl.DataFrame({"number": numbers}).select(pl.when(fits).then(exact).cast(pl.Int64)).to_series()


def _off(rule: RangeRule | NumericRule, one: Numbers, currencies: pl.Series, places: int) -> Numbers:
    def units(amount: Decimal) -> int:
        return int(amount.scaleb(places))

    if isinstance(rule, RangeRule):
        return np.full(len(one), units(rule.tolerance), dtype=np.int64)
    absolute = np.full(len(one), -1 if rule.absolute is None else units(rule.absolute), dtype=np.int64)
    for code, tolerance in rule.per_currency.items():
        absolute[(currencies == code).fill_null(value=False).to_numpy()] = units(tolerance)
    if rule.percent is None:
        return np.maximum(absolute, 0)
    part = Fraction(rule.percent) / 100
    distinct, place = np.unique(np.abs(one), return_inverse=True)
    # Whole numbers of any size: a product of 64 bits each would overflow.
    share = np.array([amount * part.numerator // part.denominator for amount in distinct.tolist()], dtype=np.int64)[
        place
    ]
    if rule.combine == "SMALLER":
        return np.where(absolute < 0, share, np.minimum(absolute, share))
    return np.maximum(absolute, share)
