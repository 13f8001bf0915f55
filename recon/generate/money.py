"""Currencies, amounts in integer minor units and as text, fees, and a dated table of rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import polars as pl

from recon.generate.days import DATES
from recon.generate.draws import Draws, Floats, Ints

RATE_DECIMALS = 8


@dataclass(frozen=True)
class Currency:
    code: str
    decimals: int
    euros: str
    """What one unit was worth, about, on the first day."""


CURRENCIES = (
    Currency("EUR", 2, "1"),
    Currency("USD", 2, "0.92"),
    Currency("GBP", 2, "1.16"),
    Currency("CHF", 2, "1.05"),
    Currency("JPY", 0, "0.0061"),
    Currency("KWD", 3, "2.99"),
    Currency("SEK", 2, "0.088"),
    Currency("INR", 2, "0.0105"),
)
CODES = tuple(one.code for one in CURRENCIES)
_DECIMALS = np.array([one.decimals for one in CURRENCIES], np.int64)
_MINOR_PER_CENT: Floats = np.array(
    [float(Decimal(10) ** one.decimals / (100 * Decimal(one.euros))) for one in CURRENCIES], np.float64
)


def amounts(
    draws: Draws, name: str, currency: Ints, *, median: int = 4_500, spread: float = 1.1, least: int = 300
) -> Ints:
    """Long-tailed amounts in minor units of each row's currency; median and least are worth that many euro cents."""
    cents = np.maximum(draws.long_tailed(name, len(currency), median, spread), least)
    return np.floor(np.minimum(cents, 5e7) * _MINOR_PER_CENT[currency] + 0.5).astype(np.int64)


def minor_units(cents: Ints, currency: Ints) -> Ints:
    """About as much in each row's currency as the euro cents are worth, at least one minor unit."""
    return np.maximum(np.floor(cents * _MINOR_PER_CENT[currency] + 0.5), 1).astype(np.int64)


def percentage(amount: Ints, basis_points: Ints) -> Ints:
    """A share in hundredths of a percent of amounts that are not negative, rounded half up to the minor unit."""
    return (amount * basis_points + 5_000) // 10_000


def money(amount: Ints, currency: Ints) -> pl.Series:
    """The amounts as text, with the decimals of their currency: `-12.05`, `1200` (JPY), `0.350` (KWD)."""
    frame = pl.DataFrame({"amount": amount, "decimals": _DECIMALS[currency]})
    size = pl.col("amount").abs()
    text = pl.when(pl.col("decimals") == 0).then(size.cast(pl.String))
    for decimals in (2, 3):
        unit = 10**decimals
        whole, rest = (size // unit).cast(pl.String), (size % unit).cast(pl.String).str.zfill(decimals)
        text = text.when(pl.col("decimals") == decimals).then(whole + "." + rest)
    sign = pl.when(pl.col("amount") < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return frame.select((sign + text.otherwise(None)).alias("amount")).to_series()


def decimal_of(amount: int, code: str) -> Decimal:
    """Minor units of a currency as a decimal number with its decimals."""
    return Decimal(amount).scaleb(-CURRENCIES[CODES.index(code)].decimals)


def codes(currency: Ints) -> pl.Series:
    return pl.Series(CODES, dtype=pl.String).gather(currency)


def rate_table(draws: Draws, currencies: int, days: Sequence[int]) -> tuple[Ints, pl.DataFrame]:
    """Rates to the euro by day number and currency, in units of 10^-8, and the same as a table.

    The table has `date`, `from_currency`, `to_currency`, `rate` (texts), one row per day and foreign currency, in that order.
    """
    walk = np.zeros((max(days) + 1, currencies), np.int64)
    rates = [int(Decimal(one.euros).scaleb(RATE_DECIMALS)) for one in CURRENCIES[:currencies]]
    for at, one in enumerate(CURRENCIES[:currencies]):
        steps = draws.between(f"rate {one.code}", len(days), -6_000, 6_000)
        for day, step in zip(days, steps.tolist(), strict=True):
            walk[day, at] = rates[at]
            if one.code != "EUR":
                rates[at] = rates[at] * (1_000_000 + step) // 1_000_000
    rows = [(DATES[day], one, at) for day in days for at, one in enumerate(CODES[:currencies]) if at]
    table = pl.DataFrame(
        {
            "date": [day for day, _, _ in rows],
            "from_currency": [code for _, code, _ in rows],
            "to_currency": ["EUR"] * len(rows),
            "rate": [
                str(Decimal(int(walk[day, at])).scaleb(-RATE_DECIMALS)) for day in days for at in range(1, currencies)
            ],
        },
        schema=dict.fromkeys(("date", "from_currency", "to_currency", "rate"), pl.String),
    )
    return walk, table


def converted(amount: Ints, currency: Ints, rate: Ints) -> Ints:
    """Euro cents of amounts (not negative) at rates of 10^-8, rounded half up."""
    unit = 10 ** (RATE_DECIMALS + _DECIMALS[currency] - 2)
    return (amount * rate + unit // 2) // unit


def one_off(draws: Draws, name: str, count: int) -> Ints:
    """One minor unit more or less."""
    return draws.below(name, count, 2) * 2 - 1


def mistake(draws: Draws, amount: Ints) -> Ints:
    """Plainly too much or too little: one to twenty percent of the amount, and three minor units or more."""
    share = draws.between("mistake", len(amount), 100, 2_000)
    return np.maximum(percentage(abs(amount), share), 3) * one_off(draws, "mistake up or down", len(amount))
