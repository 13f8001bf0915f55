"""Cron in Spring's dialect (six fields, seconds first), and the moments at which it fires in a time zone.

Where the clock is changed, a schedule that names hours fires once for every time that it names: at the first of two equal
times, and as much later as the clock skips where a time is skipped. One that names no hour goes on as time passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class Cron:
    """The fire times of a cron expression, as sets of values; both day fields must fit. `weekdays` count from Sunday, 0."""

    second: int
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @property
    def every_hour(self) -> bool:
        """Whether it names no hour: it then follows the time that passes, not what the clock shows."""
        return len(self.hours) == 24

    def fits(self, local: datetime) -> bool:
        """Whether all fields fit a local time."""
        return (
            local.second == self.second
            and local.minute in self.minutes
            and local.hour in self.hours
            and local.day in self.days
            and local.month in self.months
            and local.isoweekday() % 7 in self.weekdays
        )


@dataclass(frozen=True)
class _Field:
    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()
    any_mark: str = "*"


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31, any_mark="*?"),
    _Field("month", 1, 12, MONTHS),
    _Field("day of week", 0, 7, WEEKDAYS, any_mark="*?"),
)


def parse_cron(text: str) -> Cron:
    """Reads six fields (seconds first) or five (second 0). Raises ValueError saying which field is wrong and why."""
    parts = text.split()
    if len(parts) == 5:
        parts = ["0", *parts]
    if len(parts) != 6:
        raise ValueError(f"expected six fields (second minute hour day-of-month month day-of-week), got {len(parts)}")
    if not parts[0].isdecimal():
        raise ValueError(f"the second has to be one number from 0 to 59, got '{parts[0]}'")
    values = [_values(field, part) for field, part in zip(_FIELDS, parts, strict=True)]
    seconds, minutes, hours, days, months, weekdays = values
    if not any(day <= LONGEST_MONTHS[month - 1] for day in days for month in months):
        raise ValueError(f"no month in '{parts[4]}' has a day '{parts[3]}'")
    return Cron(min(seconds), minutes, hours, days, months, frozenset(day % 7 for day in weekdays))


def _values(field: _Field, text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isdecimal() and int(step) > 0):
            raise ValueError(f"the {field.name} has a bad step in '{part}'")
        if span and span in field.any_mark:
            first, last = field.first, field.last
        elif "-" in span:
            low, _, high = span.partition("-")
            first, last = _value(field, low), _value(field, high)
            if field.names is WEEKDAYS and last == 0 and first > 0:
                last = 7
        else:
            first = _value(field, span)
            last = field.last if slash else first
        if first > last:
            raise ValueError(f"the {field.name} range '{part}' runs backwards")
        found.update(range(first, last + 1, int(step) if slash else 1))
    return frozenset(found)


def _value(field: _Field, text: str) -> int:
    if text.upper() in field.names:
        return field.names.index(text.upper()) + (1 if field.names is MONTHS else 0)
    if text.isdecimal() and field.first <= int(text) <= field.last:
        return int(text)
    names = f" or {field.names[0]}..{field.names[-1]}" if field.names else ""
    raise ValueError(f"the {field.name} takes {field.first} to {field.last}{names}, got '{text}'")


def fires_at(cron: Cron, zone: tzinfo, moment: datetime) -> bool:
    """Whether the schedule fires at a moment, which is a whole second."""
    local = moment.astimezone(zone)
    if cron.fits(local) and (cron.every_hour or not local.fold):
        return True
    if cron.every_hour:
        return False
    # What the clock skipped is made up for afterwards: the time that it would show had it not been set forward.
    for change in changes(zone, moment - LONGEST_CHANGE, moment + timedelta(seconds=1)):
        if change.skips and moment < change.at + change.step:
            skipped = moment.astimezone(UTC).replace(tzinfo=None) + change.before
            if cron.fits(skipped):
                return True
    return False


@dataclass(frozen=True)
class Change:
    """A moment at which a zone's clock is set: its offsets from UTC before and from then on."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def skips(self) -> bool:
        return self.after > self.before

    @property
    def step(self) -> timedelta:
        """How far the clock is set, in either direction."""
        return abs(self.after - self.before)


LONGEST_CHANGE = timedelta(days=1)
"""How far a clock was ever set: over the date line."""

_STRIDE = timedelta(hours=12)


def changes(zone: tzinfo, start: datetime, end: datetime) -> Iterator[Change]:
    """The clock changes in [start, end), in order. Two within half a day are seen as one."""
    last = end.astimezone(UTC).replace(microsecond=0) - timedelta(seconds=1)
    moment = start.astimezone(UTC).replace(microsecond=0) - timedelta(seconds=1)
    before = _offset(zone, moment)
    while moment < last:
        following = min(moment + _STRIDE, last)
        after = _offset(zone, following)
        if after != before:
            yield Change(_first_with(zone, after, moment, following), before, after)
            before = after
        moment = following


def made_up(cron: Cron, zone: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The fire times in [start, end), UTC and in order, that a clock-reading schedule misses where the clock is changed:
    times skipped, made up for later, and the second of two equal times where no hour is named."""
    for change in changes(zone, start - LONGEST_CHANGE, end):
        if change.skips == cron.every_hour:
            continue
        moment = change.at.replace(second=0) + timedelta(seconds=cron.second)
        while moment < change.at + change.step:
            local = moment.replace(tzinfo=None) + (change.before if change.skips else change.after)
            if start <= moment < end and cron.fits(local) and moment >= change.at:
                yield moment
            moment += timedelta(minutes=1)


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _first_with(zone: tzinfo, offset: timedelta, low: datetime, high: datetime) -> datetime:
    """The first second in (low, high] with an offset that `high` has and `low` has not."""
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        low, high = (low, middle) if _offset(zone, middle) == offset else (middle, high)
    return high
