"""What the engine makes of a trigger's cron: seconds first, both day fields, the stream's own zone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from prefect.server.schemas.schedules import CronSchedule as ServedSchedule

from deployments.schedules import cron_schedule


def fire_times(cron: str, timezone: str, start: str, count: int) -> list[str]:
    """The next fire times in UTC, as the server computes them."""
    schedule = ServedSchedule.model_validate(cron_schedule({"cron": cron, "timezone": timezone}).model_dump())
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    dates = asyncio.run(schedule.get_dates(count, start=begin))
    return [date.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") for date in dates]


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
    ],
)
def test_fire_times(cron: str, timezone: str, start: str, expected: list[str]) -> None:
    assert fire_times(cron, timezone, start, len(expected)) == expected
