"""When a schedule fires, against every minute of the calendar looked at one by one."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from models.cron import changes, fires_at, made_up, parse_cron
from tests.models.cron_reference import WINDOWS, expected_fire_times, random_cron


@pytest.mark.parametrize(("zone", "start"), WINDOWS)
def test_each_minute_is_judged_as_the_reference_judges_it(zone: str, start: str) -> None:
    """Around leap days, month ends and clock changes; on a third of the expressions the seconds beside it, too."""
    chance = random.Random(f"{zone}{start}")
    place = ZoneInfo(zone)
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    end = begin + timedelta(hours=30)
    for _ in range(5):
        text = random_cron(chance)
        cron = parse_cron(text)
        moments = [begin + timedelta(minutes=n, seconds=cron.second) for n in range(30 * 60)]
        found = [moment for moment in moments if fires_at(cron, place, moment)]
        assert found == expected_fire_times(text, zone, begin, end), text
        assert not any(fires_at(cron, place, moment + timedelta(seconds=1)) for moment in found)


@pytest.mark.parametrize(("zone", "start"), WINDOWS)
def test_what_reading_the_clock_misses_is_listed(zone: str, start: str) -> None:
    """A clock reader sees the first of two equal times, and no time that is skipped."""
    chance = random.Random(f"{start}{zone}")
    place = ZoneInfo(zone)
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    end = begin + timedelta(hours=30)
    for _ in range(5):
        text = random_cron(chance)
        cron = parse_cron(text)
        fires = expected_fire_times(text, zone, begin, end)
        read = {one for one in fires if cron.fits(one.astimezone(place)) and not one.astimezone(place).fold}
        listed = set(made_up(cron, place, begin, end))
        assert read | listed == set(fires), text


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Europe/Berlin", ["2026-03-29T01:00:00 +1:00", "2026-10-25T01:00:00 -1:00"]),
        ("America/New_York", ["2026-03-08T07:00:00 +1:00", "2026-11-01T06:00:00 -1:00"]),
        ("Australia/Lord_Howe", ["2026-04-04T15:00:00 -0:30", "2026-10-03T15:30:00 +0:30"]),
        ("Asia/Kolkata", []),
        ("UTC", []),
    ],
)
def test_clock_changes(zone: str, expected: list[str]) -> None:
    year = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    found = [
        f"{one.at:%Y-%m-%dT%H:%M:%S} {'+' if one.skips else '-'}{str(one.step)[:4]}"
        for one in changes(ZoneInfo(zone), *year)
    ]
    assert found == expected


def test_a_day_that_a_zone_left_out() -> None:
    """Samoa went from the 29th to the 31st of December 2011: the job of the 30th is made up for on the 31st."""
    cron, zone = parse_cron("0 0 9 * * *"), ZoneInfo("Pacific/Apia")
    local = datetime(2011, 12, 31, 9, tzinfo=zone).astimezone(UTC)
    assert [local + timedelta(days=n) for n in range(-1, 2) if fires_at(cron, zone, local + timedelta(days=n))] == [
        local - timedelta(days=1),
        local,
        local + timedelta(days=1),
    ]
