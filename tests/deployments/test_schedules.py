"""What the engine makes of a trigger's cron: the fire times that the reference finds, and no others that our rows let pass."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prefect.client.schemas.schedules import CronSchedule
from prefect.server.schemas.schedules import CronSchedule as ServedCron
from prefect.server.schemas.schedules import RRuleSchedule as ServedDates

from deployments.schedules import deployment_schedules
from models.cron import fires_at, parse_cron
from tests.models.cron_reference import WINDOWS, expected_fire_times, fits, random_cron


def served(config: dict[str, Any], now: datetime) -> list[ServedCron | ServedDates]:
    """The schedules as the server reads them."""
    return [
        (ServedCron if isinstance(one.schedule, CronSchedule) else ServedDates).model_validate(
            one.schedule.model_dump()
        )
        for one in deployment_schedules(config, now=now)
    ]


def engine_times(
    config: dict[str, Any], start: datetime, count: int = 1000, end: datetime | None = None
) -> set[datetime]:
    found: set[datetime] = set()
    for schedule in served(config, start):
        found |= {one.astimezone(UTC) for one in asyncio.run(schedule.get_dates(count, start=start, end=end))}
    return found


@pytest.mark.parametrize(("zone", "begin"), WINDOWS)
def test_the_engine_fires_as_the_reference_says(zone: str, begin: str) -> None:
    """Whenever the engine looks ahead, also in the middle of a clock change; what it names too much, `fires_at` refuses."""
    chance = random.Random(begin + zone)
    start = datetime.fromisoformat(begin).replace(tzinfo=UTC)
    end = start + timedelta(hours=30)
    for _ in range(4):
        text = random_cron(chance)
        expected = expected_fire_times(text, zone, start, end)
        cron, config = parse_cron(text), {"cron": text, "timezone": zone}
        for looked in [start] + [start + timedelta(minutes=chance.randrange(30 * 60)) for _ in range(3)]:
            named = engine_times(config, looked, end=end - timedelta(seconds=1))
            due = {one for one in named if one >= looked and fires_at(cron, ZoneInfo(zone), one)}
            assert due == {one for one in expected if one >= looked}, (text, looked)


@pytest.mark.parametrize(
    "text", ["0 0 6 1,31 * *", "0 0 6 1,15,30 * *", "0 0 6 28-31 * *", "0 0 6 2,29 2,3 *", "0 0 6 31,1 1,2,4 MON-FRI"]
)
def test_no_day_is_lost_behind_a_shorter_month(text: str) -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
    days = [start + timedelta(days=n, hours=6) for n in range((end - start).days)]
    expected = {one for one in days if fits(text, one.replace(tzinfo=None))}
    assert engine_times({"cron": text}, start, end=end) == expected


@pytest.mark.parametrize(
    ("cron", "timezone", "start", "expected"),
    [
        ("0 30 2 * * *", "UTC", "2026-02-21", ["2026-02-21 02:30:00", "2026-02-22 02:30:00"]),
        ("0 0 2 * * *", "UTC", "2026-02-21", ["2026-02-21 02:00:00", "2026-02-22 02:00:00"]),
        ("15 30 2 * * *", "UTC", "2026-02-21", ["2026-02-21 02:30:15", "2026-02-22 02:30:15"]),
        ("30 2 * * *", "UTC", "2026-02-21", ["2026-02-21 02:30:00", "2026-02-22 02:30:00"]),
        ("0 0 12 29 2 ?", "UTC", "2026-01-01", ["2028-02-29 12:00:00", "2032-02-29 12:00:00"]),
        ("0 0 9 13 * FRI", "UTC", "2026-01-01", ["2026-02-13 09:00:00", "2026-03-13 09:00:00", "2026-11-13 09:00:00"]),
        ("0 0 9 * * 0", "UTC", "2026-02-21", ["2026-02-22 09:00:00", "2026-03-01 09:00:00"]),
        ("0 0 9 * * 7", "UTC", "2026-02-21", ["2026-02-22 09:00:00", "2026-03-01 09:00:00"]),
        ("0 0 9 * * MON-FRI", "UTC", "2026-02-20", ["2026-02-20 09:00:00", "2026-02-23 09:00:00"]),
        ("0 0 6 31 * *", "UTC", "2026-01-01", ["2026-01-31 06:00:00", "2026-03-31 06:00:00", "2026-05-31 06:00:00"]),
        ("0 0 8 * * *", "Europe/Berlin", "2026-03-28", ["2026-03-28 07:00:00", "2026-03-29 06:00:00"]),
        ("0 0 8 * * *", "America/New_York", "2026-10-31", ["2026-10-31 12:00:00", "2026-11-01 13:00:00"]),
        # 02:30 does not exist on the 29th of March and exists twice on the 25th of October.
        ("0 30 2 * * *", "Europe/Berlin", "2026-03-29", ["2026-03-29 01:30:00", "2026-03-30 00:30:00"]),
        ("0 30 2 * * *", "Europe/Berlin", "2026-10-25", ["2026-10-25 00:30:00", "2026-10-26 01:30:00"]),
        ("0 30 * * * *", "Europe/Berlin", "2026-10-25", ["2026-10-25 00:30:00", "2026-10-25 01:30:00", "2026-10-25 02:30:00"]),
    ],
)  # fmt: skip
def test_fire_times(cron: str, timezone: str, start: str, expected: list[str]) -> None:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    config = {"cron": cron, "timezone": timezone}
    rule, zone = parse_cron(cron), ZoneInfo(timezone)
    due = sorted(one for one in engine_times(config, begin, len(expected) + 1) if fires_at(rule, zone, one))
    assert [one.strftime("%Y-%m-%d %H:%M:%S") for one in due[: len(expected)]] == expected


def test_people_see_their_own_cron_and_zone() -> None:
    (only,) = deployment_schedules({"cron": "0 30 6 * * MON-FRI", "timezone": "Europe/Berlin"})
    assert isinstance(only.schedule, CronSchedule)
    assert (only.schedule.cron, only.schedule.timezone) == ("30 6 * * 1,2,3,4,5", "Europe/Berlin")
