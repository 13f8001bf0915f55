"""Trigger configurations: what they may say, and the cron dialect they speak (Spring's: six fields, seconds first)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from models.errors import ValidationFailed
from models.streams import TriggerType

CONCURRENCY = ("QUEUE", "ALLOW", "SKIP")
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


def check_trigger(trigger_type: TriggerType, config: dict[str, Any] | None) -> None:
    """Raises ValidationFailed naming the fields of `triggerConfig` that are wrong."""
    given = config or {}
    wrong: dict[str, str] = {}
    concurrency = given.get("concurrency", "QUEUE")
    if concurrency not in CONCURRENCY:
        wrong["triggerConfig.concurrency"] = f"one of {', '.join(CONCURRENCY)}, got {concurrency!r}"
    if trigger_type is TriggerType.SCHEDULED:
        wrong |= _schedule_problems(given)
    if trigger_type is TriggerType.EVENT and not (isinstance(given.get("event"), str) and given["event"].strip("*")):
        wrong["triggerConfig.event"] = "an EVENT trigger needs the event's name, or a prefix ending in '*'"
    if wrong:
        raise ValidationFailed("Validation failed", fields=wrong)


def _schedule_problems(given: dict[str, Any]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    cron, timezone = given.get("cron"), given.get("timezone", "UTC")
    if not isinstance(cron, str) or not cron.strip():
        wrong["triggerConfig.cron"] = "a SCHEDULED trigger needs a cron expression such as '0 30 2 * * *'"
    else:
        try:
            parse_cron(cron)
        except ValueError as error:
            wrong["triggerConfig.cron"] = str(error)
    if not isinstance(timezone, str) or timezone not in available_timezones():
        wrong["triggerConfig.timezone"] = f"an IANA time zone such as 'Europe/Berlin', got {timezone!r}"
    return wrong


def timezone_of(config: dict[str, Any]) -> ZoneInfo:
    """The zone of a checked trigger configuration; UTC where none is given."""
    return ZoneInfo(str(config.get("timezone", "UTC")))
