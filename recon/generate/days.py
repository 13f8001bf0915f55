"""The 180 days of the generated records, those on which banks work, and dates as text."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from recon.generate.draws import Draws, Flags, Ints

FIRST_DAY = date(2026, 1, 1)
DAYS = 180
"""Day numbers of sales are from 0 to `DAYS` - 1; postings may follow until `LAST`."""
LAST = DAYS + 120

_CLOSED = ("2026-01-01", "2026-04-03", "2026-04-06", "2026-05-01")
"""Days on which the euro's TARGET system is closed, beside weekends."""

DATES = tuple((FIRST_DAY + timedelta(days=day)).isoformat() for day in range(LAST + 1))
_OPEN = np.array([date.fromisoformat(day).weekday() < 5 and day not in _CLOSED for day in DATES])
BUSINESS_DAYS = tuple(int(day) for day in np.flatnonzero(_OPEN))
_BUSINESS = np.array(BUSINESS_DAYS, np.int64)
_COUNT = np.cumsum(_OPEN).astype(np.int64)
"""How many business days there are up to a day, itself included."""


def on_or_after(day: Ints) -> Ints:
    """The first business day that is not before."""
    return _BUSINESS[_COUNT[day] - _OPEN[day]]


def on_or_before(day: Ints) -> Ints:
    """The last business day that is not after; the very first one where there is none."""
    return _BUSINESS[np.maximum(_COUNT[day] - 1, 0)]


def business_days_on(day: Ints, count: Ints) -> Ints:
    """So many business days after the first one that is not before."""
    return _BUSINESS[_COUNT[day] - _OPEN[day] + count]


def soon(draws: Draws, day: Ints, moved: Flags) -> Ints:
    """Up to three calendar days later where `moved`: the next business day or the one after; no move over long weekends."""
    later = business_days_on(day + 1, draws.below("lag", len(day), 2))
    return np.where(moved & (later - day <= 3), later, day)


def late(draws: Draws, day: Ints, moved: Flags) -> Ints:
    """A business day at least 4 and at most 45 days later where `moved`: over a month end more often than not."""
    later = on_or_after(day + draws.between("late by", len(day), 4, 40))
    return np.where(moved, later, day)


def dates(day: Ints, dotted: Flags | None = None) -> pl.Series:
    """`2026-01-31`, or `31.01.2026` where `dotted`."""
    iso = pl.Series(DATES, dtype=pl.String).gather(day)
    if dotted is None or not dotted.any():
        return iso
    others = pl.Series([f"{one[8:]}.{one[5:7]}.{one[:4]}" for one in DATES], dtype=pl.String).gather(day)
    return iso.zip_with(pl.Series(~dotted), others)
