"""Amounts as integers for a search of sums, and what each sum may be off."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import numpy as np
import polars as pl

from matching.decimals import canonical
from matching.errors import RuleInvalid
from matching.fields import FieldRule, SideName
from matching.keys import Flags, Numbers
from matching.measured import amounts_of
from matching.measures import NumericRule, RangeRule
from matching.texts import Reader, key_values

MOST_PLACES = 9
LARGEST = 10**16
"""Amounts from here on, in units, take no part: their sums would not fit."""

FARTHEST = 1 << 55
"""No sum that fits is farther from an amount."""


@dataclass(frozen=True)
class Off:
    """By how much the sum for each amount may be less, and more, in units. Both at least 0, inclusive."""

    below: Numbers
    above: Numbers

    @property
    def is_uniform(self) -> bool:
        """Whether all sums may be off by the same."""
        return bool((self.below == self.below[:1]).all() and (self.above == self.above[:1]).all())


@dataclass(frozen=True)
class Bounds:
    """Readable amounts of both sides in units of 10^-places, and per record of the one side what its sum may be off."""

    rule: RangeRule | NumericRule
    one_side: SideName
    fees: Decimal
    """What the sum may be more, beside."""
    places: int
    one: Numbers
    many: Numbers
    known: tuple[Flags, Flags]
    """Of all records of source and target: whose amounts these are."""
    large: tuple[Flags, Flags]
    """Who has a number that is too large to be summed."""
    one_currencies: pl.Series
    many_currencies: pl.Series
    """Null where none is named."""
    mixed: bool
    """Whether currencies tell records apart: there are several, and records of the many side that name one."""
    off: Off

    @property
    def all_named(self) -> bool:
        """Whether every amount says its currency, or none has to."""
        return not self.mixed or not (self.one_currencies.null_count() or self.many_currencies.null_count())

    @property
    def equal_currencies(self) -> tuple[pl.Series, pl.Series] | None:
        """The currencies of source and target where they must be equal."""
        if not self.mixed or not self.all_named:
            return None
        both = self.one_currencies, self.many_currencies
        return both if self.one_side == "source" else (both[1], both[0])

    def off_of(self, amounts: Numbers, currencies: pl.Series) -> Off:
        """What sums for amounts in these currencies may be off."""
        return _off(self.rule, amounts, currencies, self.places, self.one_side, self.fees)


def bounds_of(rule: FieldRule, readers: tuple[Reader, Reader], one_side: SideName, fees: Decimal) -> Bounds:
    """Reads what a RANGE or NUMERIC rule compares; `readers` read the source's and the target's records.

    Raises RuleInvalid where amounts have more than nine decimals.
    """
    assert isinstance(rule, RangeRule | NumericRule)  # noqa: S101
    names: tuple[SideName, SideName] = ("source", "target")
    read = [amounts_of(rule, side, key_values(rule, side, one), one) for side, one in zip(names, readers, strict=True)]
    numbers = [canonical(one["number"]) for one in read]
    places = max(_places(one) for one in numbers)
    units = [_units(one, places) for one in numbers]
    known = [one.is_not_null().to_numpy() for one in units]
    large = [one.is_not_null().to_numpy() & ~some for one, some in zip(numbers, known, strict=True)]
    amounts = [one.drop_nulls().to_numpy().astype(np.int64) for one in units]
    currencies = [one["currency"].filter(pl.Series(flags)) for one, flags in zip(read, known, strict=True)]
    at_one = names.index(one_side)
    one, one_currencies, many_currencies = amounts[at_one], currencies[at_one], currencies[1 - at_one]
    named = pl.concat(currencies).drop_nulls().unique()
    if len(named) == 1:
        one_currencies = one_currencies.fill_null(named.item())
    return Bounds(
        rule=rule,
        one_side=one_side,
        fees=fees,
        places=places,
        one=one,
        many=amounts[1 - at_one],
        known=(known[0], known[1]),
        large=(large[0], large[1]),
        one_currencies=one_currencies,
        many_currencies=many_currencies,
        mixed=len(named) > 1 and many_currencies.null_count() < len(many_currencies),
        off=_off(rule, one, one_currencies, places, one_side, fees),
    )


def _places(numbers: pl.Series) -> int:
    frame = pl.DataFrame({"number": numbers})
    decimals = pl.col("number").str.split_exact(".", 1).struct.field("field_1").str.len_bytes()
    places = int(frame.select(decimals.max().fill_null(0)).item() or 0)
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


def _scaled(amount: Decimal, places: int) -> int:
    return min(int(amount.scaleb(places)), FARTHEST)


def _off(
    rule: RangeRule | NumericRule,
    one: Numbers,
    currencies: pl.Series,
    places: int,
    one_side: SideName,
    fees: Decimal,
) -> Off:
    below, above = _allowed(rule, one, currencies, places, one_side)
    return Off(below, np.minimum(above + _scaled(fees, places), FARTHEST))


def _allowed(
    rule: RangeRule | NumericRule, one: Numbers, currencies: pl.Series, places: int, one_side: SideName
) -> tuple[Numbers, Numbers]:
    if isinstance(rule, RangeRule):
        every = np.full(len(one), _scaled(rule.tolerance, places), dtype=np.int64)
        return every, every
    absolute = np.full(len(one), -1 if rule.absolute is None else _scaled(rule.absolute, places), dtype=np.int64)
    for code, tolerance in rule.per_currency.items():
        absolute[(currencies == code).fill_null(value=False).to_numpy()] = _scaled(tolerance, places)
    if rule.percent is None:
        return np.maximum(absolute, 0), np.maximum(absolute, 0)
    part = Fraction(rule.percent) / 100
    base: Literal["ONE", "SUM", "LARGER"] = "LARGER"
    if rule.percent_of != "LARGER":
        base = "ONE" if rule.percent_of.lower() == one_side else "SUM"
    distinct, place = np.unique(one, return_inverse=True)
    # Whole numbers of any size: a product of 64 bits each would overflow.
    shares = [_shares(amount, part, base) for amount in distinct.tolist()]
    off: list[Numbers] = []
    for share in np.array(shares, dtype=np.int64).reshape(-1, 2)[place].T:
        if rule.combine == "SMALLER":
            off.append(np.where(absolute < 0, share, np.minimum(absolute, share)))
        else:
            off.append(np.maximum(absolute, share))
    return off[0], off[1]


def _shares(amount: int, part: Fraction, base: Literal["ONE", "SUM", "LARGER"]) -> tuple[int, int]:
    """By how much a sum may be less, and more, than an amount for its distance to be at most a part of the base's size."""
    size = abs(amount)
    outwards = part * size / (1 - part) if part < 1 else Fraction(FARTHEST)
    match base:
        case "ONE":
            outwards = inwards = part * size
        case "SUM":
            inwards = part * size / (1 + part)
        case "LARGER":
            inwards = part * size if part < 2 else Fraction(FARTHEST)
    if not amount:
        inwards = outwards
    below, above = (outwards, inwards) if amount < 0 else (inwards, outwards)
    return min(int(below), FARTHEST), min(int(above), FARTHEST)
