"""Trigger configuration -> Prefect schedule."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule

from models.triggers import parse_cron, timezone_of


def cron_schedule(config: dict[str, Any]) -> CronSchedule:
    """The schedule of a checked SCHEDULED configuration.

    Prefect's cron reader wants the second last, if there is one at all, and joins the two day fields by OR unless told
    otherwise; each field is spelt out as numbers, so that none of its other habits matter.
    """
    cron = parse_cron(str(config["cron"]))
    fields = [
        _spelt(cron.minutes, 0, 59),
        _spelt(cron.hours, 0, 23),
        _spelt(cron.days, 1, 31),
        _spelt(cron.months, 1, 12),
        _spelt(cron.weekdays, 0, 6),
    ]
    if cron.second:
        fields.append(str(cron.second))
    return CronSchedule(cron=" ".join(fields), timezone=timezone_of(config).key, day_or=False)


def deployment_schedules(config: dict[str, Any], *, active: bool) -> list[DeploymentScheduleCreate]:
    """What a deployment of a SCHEDULED stream carries."""
    return [DeploymentScheduleCreate(schedule=cron_schedule(config), active=active)]


def _spelt(values: frozenset[int], first: int, last: int) -> str:
    if len(values) == last - first + 1:
        return "*"
    return ",".join(str(value) for value in sorted(values))
