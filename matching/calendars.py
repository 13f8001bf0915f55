"""Business days: weekends, and the holidays of countries and markets as the `holidays` library knows them."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.notation import WEEKDAYS

_EPOCH = date(1970, 1, 1).toordinal()
_THURSDAY = 3
_YEARS = range(1900, 2201)
"""Outside them only weekends are known."""


def business_day_numbers(
    days: pl.Series, *, calendar: str | None, subdivision: str | None, weekend: tuple[str, ...]
) -> pl.Series:
    """Int64: how many business days there are up to and including each day, from some day on; nulls stay null.

    `days` (integer) are days since 1970-01-01. The difference of two numbers is the number of business days after the one day up to
    and including the other: a Monday is 1 from the Friday before, and a Saturday or a holiday 0 from the business day before.
    Holidays are known for the years 1900 to 2200 where the calendar has them.
    """
    known = days.drop_nulls()
    if not len(known):
        return days.cast(pl.Int64)
    whole = known.cast(pl.Int64).to_numpy()
    first, last = int(whole.min()), int(whole.max())
    span = np.arange(first, last + 1)
    working = ~np.isin((span + _THURSDAY) % 7, [WEEKDAYS.index(one) for one in weekend])
    if calendar is not None:
        closed = _holidays(calendar, subdivision, _year(first), _year(last)) - first
        working[closed[(closed >= 0) & (closed < len(working))]] = False
    numbers = pl.Series(np.cumsum(working), dtype=pl.Int64)
    return numbers.gather(days.cast(pl.Int64) - first)


def _year(day: int) -> int:
    # A moment with an offset may be a day outside of what Python calls dates.
    return date.fromordinal(min(max(_EPOCH + day, date.min.toordinal()), date.max.toordinal())).year


@lru_cache(maxsize=64)
def _holidays(calendar: str, subdivision: str | None, first_year: int, last_year: int) -> npt.NDArray[np.int64]:
    """Days since 1970-01-01, of the years asked for and their neighbours: an observed holiday may be in another year."""
    import holidays

    years = [year for year in range(first_year - 1, last_year + 2) if year in _YEARS]
    if calendar in holidays.list_supported_countries():
        found = holidays.country_holidays(calendar, subdiv=subdivision, years=years)
    else:
        found = holidays.financial_holidays(calendar, years=years)
    return np.array(sorted(day.toordinal() - _EPOCH for day in found), dtype=np.int64)
