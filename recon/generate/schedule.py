"""Merchants and the payouts that a gateway owes them: sizes, days, and which of them something befalls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.generate.days import BUSINESS_DAYS, business_days_on, on_or_before
from recon.generate.draws import Draws, Flags, Ints
from recon.generate.knobs import Knobs

_WEEKS = 25


@dataclass(frozen=True)
class Schedule:
    """One entry per payout, by merchant and day; `size` counts the sales, refunds and chargebacks that fall due with it."""

    merchant: Ints
    nth: Ints
    """Of its merchant, from 0."""
    size: Ints
    day: Ints
    weekly: Flags
    currency: Ints


def schedule(rows: int, knobs: Knobs, draws: Draws) -> Schedule:
    """Payouts with `rows` transactions in all: every week for 5 to 25 weeks, or on 20 to 60 business days.

    A weekly payout whose day is a holiday comes on the business day before.
    """
    if knobs.batch_size == 1:
        size = np.ones(rows, np.int64)
    else:
        size = draws.between("batch size", rows // 2 + 1, 2, knobs.batch_size)
        size = size[: int(np.searchsorted(np.cumsum(size), rows)) + 1]
        size[-1] -= size.sum() - rows
        if size[-1] == 0:
            size = size[:-1]
    count = len(size)
    weekly = draws.struck("weekly", count, 0.8)
    first_week = draws.below("first week", count, _WEEKS - 4)
    first_business_day = draws.below("first day", count, 60)
    longest = np.where(weekly, _WEEKS - first_week, draws.between("business days", count, 20, 60))
    starts = np.cumsum(longest) - longest
    place = np.arange(count)
    merchant = np.searchsorted(starts, place, "right") - 1
    nth = place - starts[merchant]
    # Thursday, 1 January 2026, is day 0, so that 4 is the first Monday.
    weekday = draws.below("weekday", count, 5)
    on_weekday = 4 + weekday[merchant] + 7 * np.where(weekly[merchant], first_week[merchant] + nth, 0)
    days = np.array(BUSINESS_DAYS, np.int64)[np.where(weekly[merchant], 0, first_business_day[merchant] + nth)]
    day = np.where(weekly[merchant], on_or_before(on_weekday), days)
    currency = draws.below("currency", count, knobs.currencies)
    return Schedule(merchant, nth, size, day, weekly[merchant], currency[merchant])


@dataclass(frozen=True)
class Mishaps:
    """What befalls payouts: one thing each at most, but for `rest`, to which a sale is added."""

    lost: Flags
    credited_twice: Flags
    holding: Flags
    """One sale waits for the merchant's next payout."""
    rest: Flags
    charged: Flags
    """The bank kept a fee."""
    late: Flags
    """Credited one to three business days after the day on which it fell due. Weekly ones only, and before the next is due."""
    value_day: Ints

    @property
    def none(self) -> Flags:
        return ~(self.lost | self.credited_twice | self.holding | self.rest | self.charged | self.late)


def mishaps(plan: Schedule, knobs: Knobs, draws: Draws) -> Mishaps:
    """A payout holds a sale back only where those before and after it were credited, and no more often than every fourth.

    So the transactions that could belong to a credit, once those of plain credits are out of the way, are those of one
    payout, with the one that was held back or doubled.
    """
    count = len(plan.size)
    missing, doubled = draws.uniform("missing", count), draws.uniform("duplicates", count)
    lost = missing < knobs.missing / 2
    twice = ~lost & (doubled < knobs.duplicates / 2)
    plain = ~(lost | twice)
    same = plan.merchant[1:] == plan.merchant[:-1]
    next_plain = np.append(same & plain[1:], False)
    previous_plain = np.append(False, same & plain[:-1])
    chance = plain & next_plain & previous_plain & plan.weekly & (plan.nth % 4 == 1) & (plan.size >= 3)
    holding = chance & draws.struck("held", count, knobs.held)
    rest = np.append(False, holding[:-1])
    charged = plain & ~(holding | rest) & draws.struck("fees", count, knobs.fees)
    later = business_days_on(plan.day + 1, draws.below("late by", count, 3))
    in_time = np.append(~same | (later[:-1] < plan.day[1:]), True)
    late = plain & ~(holding | rest | charged) & plan.weekly & in_time & draws.struck("late", count, knobs.late)
    return Mishaps(lost, twice, holding, rest, charged, late, np.where(late, later, plan.day))
