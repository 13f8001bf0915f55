"""Trigger configuration -> Prefect schedules."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule, RRuleSchedule

from models.base import utc_now
from models.cron import Cron, made_up, parse_cron
from models.triggers import timezone_of

MADE_UP_YEARS = 10
MOST_MADE_UP = 350
"""Prefect takes recurrence rules of up to 6,500 characters; a date has 17."""

COMMON_YEAR = 2025


def deployment_schedules(
    config: dict[str, Any], *, active: bool = True, now: datetime | None = None
) -> list[DeploymentScheduleCreate]:
    """What a deployment of a stream with a checked SCHEDULED configuration carries.

    One cron schedule, or several where Prefect's cron reader would lose days; and where the zone's clock is changed, a
    list of the fire times that reading the clock would miss (`models/cron.py` says which), for the next years.
    """
    cron, zone = parse_cron(str(config["cron"])), timezone_of(config)
    schedules: list[CronSchedule | RRuleSchedule] = [
        CronSchedule(cron=text, timezone=zone.key, day_or=False) for text in _crons(cron)
    ]
    dates = _made_up_dates(cron, zone, now or utc_now())
    if dates:
        schedules.append(RRuleSchedule(rrule=f"RDATE:{','.join(dates)}", timezone="UTC"))
    return [DeploymentScheduleCreate(schedule=one, active=active) for one in schedules]


def _crons(cron: Cron) -> Iterator[str]:
    """The expressions in Prefect's dialect that together fire when the given one does.

    Its reader wants the second last, if there is one at all, and joins the two day fields by OR unless told otherwise; each
    field is spelt out as numbers, so that none of its other habits matter. It also jumps from a day to the next one listed
    as if the month had it, and so loses the first days of the month after: no month may lack a day that is listed with others.
    """
    lengths = {month: monthrange(COMMON_YEAR, month)[1] for month in cron.months}
    if len(cron.days) == 31 or max(cron.days) <= min(lengths.values()):
        yield _spelt_out(cron, cron.days, cron.months)
        return
    for length in sorted(set(lengths.values())):
        days = frozenset(day for day in cron.days if day <= length)
        if days:
            yield _spelt_out(cron, days, frozenset(month for month in cron.months if lengths[month] == length))
    if 29 in cron.days and 2 in cron.months:
        yield _spelt_out(cron, frozenset({29}), frozenset({2}))


def _spelt_out(cron: Cron, days: frozenset[int], months: frozenset[int]) -> str:
    fields = [
        _listed(cron.minutes, 0, 59),
        _listed(cron.hours, 0, 23),
        _listed(days, 1, 31),
        _listed(months, 1, 12),
        _listed(cron.weekdays, 0, 6),
    ]
    return " ".join([*fields, str(cron.second)] if cron.second else fields)


def _listed(values: frozenset[int], first: int, last: int) -> str:
    if len(values) == last - first + 1:
        return "*"
    return ",".join(str(value) for value in sorted(values))


def _made_up_dates(cron: Cron, zone: ZoneInfo, now: datetime) -> list[str]:
    moments = made_up(cron, zone, now, now + timedelta(days=366 * MADE_UP_YEARS))
    return [moment.strftime("%Y%m%dT%H%M%SZ") for moment, _ in zip(moments, range(MOST_MADE_UP), strict=False)]
