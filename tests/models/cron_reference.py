"""Fire times found the long way: every minute of a window is looked at, in UTC and on the zone's own clock."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

WINDOWS = [
    # Clocks set forward and back, in five zones and by an hour or half an hour.
    ("Europe/Berlin", "2026-03-28T18:00"),
    ("Europe/Berlin", "2026-10-24T18:00"),
    ("America/New_York", "2026-03-07T22:00"),
    ("America/New_York", "2026-10-31T22:00"),
    ("America/Santiago", "2026-04-04T18:00"),
    ("America/Santiago", "2026-09-05T18:00"),
    ("Australia/Lord_Howe", "2026-04-04T06:00"),
    ("Australia/Lord_Howe", "2026-10-03T06:00"),
    ("Africa/Cairo", "2026-04-23T12:00"),
    ("Africa/Cairo", "2026-10-29T12:00"),
    # Leap days, month ends, a year's end.
    ("UTC", "2028-02-28T12:00"),
    ("UTC", "2026-02-28T06:00"),
    ("Asia/Kolkata", "2026-04-30T00:00"),
    ("Asia/Kolkata", "2026-12-31T00:00"),
]

NAMES = {name: str(number) for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))} | {
    name: str(number)
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}


def holds(field: str, value: int, last: int) -> bool:
    """Whether one value satisfies one field of an expression."""
    for name, number in NAMES.items():
        field = field.replace(name, number)
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        if span in ("*", "?"):
            low, high = ("1" if last in (31, 12) else "0"), str(last)
        elif not high:
            high = str(last) if step else low
        if high == "0" and low != "0":
            high = "7"  # to Sunday
        if int(low) <= value <= int(high) and (value - int(low)) % int(step or 1) == 0:
            return True
    return False


def fits(text: str, local: datetime) -> bool:
    """Whether a naive local time satisfies all six fields; Sunday is looked for as 0 and as 7."""
    second, minute, hour, day, month, weekday = text.split()
    sunday_is = local.isoweekday() % 7
    return (
        local.second == int(second)
        and holds(minute, local.minute, 59)
        and holds(hour, local.hour, 23)
        and holds(day, local.day, 31)
        and holds(month, local.month, 12)
        and (holds(weekday, sunday_is, 7) or (sunday_is == 0 and holds(weekday, 7, 7)))
    )


def expected_fire_times(text: str, zone: str, begin: datetime, end: datetime) -> list[datetime]:
    """The fire times in [begin, end), both on whole minutes of UTC."""
    place, second = ZoneInfo(zone), int(text.split()[0])
    every_hour = all(holds(text.split()[2], hour, 23) for hour in range(24))
    fires: set[datetime] = set()
    moment = begin + timedelta(seconds=second)
    while moment < end:
        local = moment.astimezone(place)
        if fits(text, local.replace(tzinfo=None, fold=0)) and (every_hour or local.fold == 0):
            fires.add(moment)
        moment += timedelta(minutes=1)
    # Times that no clock of the zone shows, written down as if it did: Python reads those with the offset from before.
    wall = (begin - timedelta(days=2)).replace(tzinfo=None) + timedelta(seconds=second)
    while not every_hour and wall < (end + timedelta(days=2)).replace(tzinfo=None):
        meant = wall.replace(tzinfo=place).astimezone(UTC)
        if meant.astimezone(place).replace(tzinfo=None) != wall and begin <= meant < end and fits(text, wall):
            fires.add(meant)
        wall += timedelta(minutes=1)
    return sorted(fires)


def random_cron(chance: random.Random) -> str:
    """An expression that fires now and then within a day or two."""
    second = chance.choice(["0", "0", "0", "17", "59"])
    minute = chance.choice(["*", "0", "30", "*/20", "5-25/10", "0,15,45", "58/1"])
    hour = chance.choice(["*", "*", "2", "0", "1-3", "0,2,23", "*/2", "22/1", "0-6"])
    day = chance.choice(["*", "*", "*", "?", "1", "28-31", "*/2", "1,29,31", "29"])
    month = chance.choice(["*", "*", "*", "JAN-JUN", "2,3,4,10", "*/2"])
    weekday = chance.choice(["*", "*", "?", "SUN", "0", "7", "SAT-SUN", "MON-FRI", "0,3", "5-7"])
    return f"{second} {minute} {hour} {day} {month} {weekday}"
