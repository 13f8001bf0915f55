"""Trigger configurations: what they may say, and which events they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, cast
from zoneinfo import ZoneInfo, available_timezones

from models.cron import parse_cron
from models.errors import PlanInvalid, ValidationFailed
from models.streams import Concurrency, TriggerType

CONCURRENCY = tuple(str(one) for one in Concurrency)

_EVENT_NAME = re.compile(r"(?=.{1,255}$)[^\s!*?\[]([^*?\[]*[^\s*?\[])?\*?")
"""The engine reads names as patterns: nothing but the star at the end may mean anything to it."""

FILE_UPLOADED = "file.uploaded"
"""The event that an upload is; its payload: fileId, filename, rowCount, status, checksum."""

EVENT = "event."
"""What a step's `sourceFrom` or `targetFrom` begins with: a field of the event's payload follows."""

RESOURCE = "resource."
"""What a filter's field begins with where it means a label of the event's resource."""


def check_trigger(trigger_type: TriggerType, config: dict[str, Any] | None) -> None:
    """Raises ValidationFailed naming the fields of `triggerConfig` that are wrong."""
    given = config or {}
    wrong: dict[str, str] = {}
    concurrency = given.get("concurrency", "QUEUE")
    if concurrency not in CONCURRENCY:
        wrong["triggerConfig.concurrency"] = f"one of {', '.join(CONCURRENCY)}, got {concurrency!r}"
    if trigger_type is TriggerType.SCHEDULED:
        wrong |= _schedule_problems(given)
    if trigger_type is TriggerType.EVENT:
        wrong |= _event_problems(given)
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


def _event_problems(given: dict[str, Any]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    event, chosen = given.get("event"), given.get("filter")
    if not (isinstance(event, str) and event.strip("*").strip()):
        wrong["triggerConfig.event"] = "an EVENT trigger needs the event's name, or a prefix ending in '*'"
    elif not _EVENT_NAME.fullmatch(event):
        wrong["triggerConfig.event"] = (
            "a name of at most 255 characters without spaces around it, '?' or '[', or a prefix ending in '*', the only one; "
            f"got {event!r}"
        )
    if chosen is None:
        return wrong
    if not isinstance(chosen, dict):
        wrong["triggerConfig.filter"] = f"an object of payload fields and patterns, got {chosen!r}"
        return wrong
    for field, wanted in chosen.items():
        listed = wanted if isinstance(wanted, list) else [wanted]
        if not listed or not all(one is None or isinstance(one, str | int | float) for one in listed):
            wrong[f"triggerConfig.filter.{field}"] = (
                f"a pattern such as 'bank_*.csv', a number, true, false, null, or a list of these; got {wanted!r}"
            )
    return wrong


def timezone_of(config: dict[str, Any]) -> ZoneInfo:
    """The zone of a checked trigger configuration; UTC where none is given."""
    return ZoneInfo(str(config.get("timezone", "UTC")))


@dataclass(frozen=True)
class Event:
    """Something that happened. `id` names the one occurrence: delivered again, it is the same event.

    `resource` are the labels of the thing that it happened to, if any; `occurred` is RFC 3339.
    """

    name: str
    id: str
    payload: Mapping[str, Any]
    resource: Mapping[str, Any] | None = None
    occurred: str | None = None

    @property
    def metadata(self) -> dict[str, Any]:
        """What a run keeps of the event that started it."""
        facts = {"event": self.name, "eventId": self.id, "payload": dict(self.payload)}
        if self.resource:
            facts["resource"] = dict(self.resource)
        if self.occurred:
            facts["occurred"] = self.occurred
        return facts


def means(config: Mapping[str, Any], event: Event) -> bool:
    """Whether an event is one that a checked EVENT configuration waits for: its name, and every field of the filter."""
    if not names(str(config["event"]), event.name):
        return False
    chosen: Mapping[str, Any] = config.get("filter") or {}
    return all(_fits(wanted, _field(event, field)) for field, wanted in chosen.items())


def names(pattern: str, name: str) -> bool:
    """Whether a name is the one given, or has the prefix before the `*` that ends it."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def file_of_event(named: str, metadata: Mapping[str, Any] | None) -> int | None:
    """The file that `event.<field of the payload>` names in a run's trigger metadata; None where those have no payload.

    Raises PlanInvalid (EVENT_FILE_MISSING) where the payload does not say.
    """
    payload = (metadata or {}).get("payload")
    if not isinstance(payload, Mapping):
        return None
    found = _at(cast(Mapping[str, Any], payload), named.removeprefix(EVENT))
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    raise PlanInvalid(
        f"The run's event does not name a file: '{named}' is {'missing' if found is _ABSENT else repr(found)}",
        code="EVENT_FILE_MISSING",
    )


_ABSENT = object()


def _field(event: Event, field: str) -> Any:
    """A field of the payload by its path (`a.b`; a name with dots in it is found whole), or a label of the resource."""
    if field.startswith(RESOURCE):
        return (event.resource or {}).get(field.removeprefix(RESOURCE), _ABSENT)
    return _at(event.payload, field)


def _at(payload: Mapping[str, Any], field: str) -> Any:
    found: Any = payload
    if field in found:
        return found[field]
    for part in field.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return _ABSENT
        found = found[part]
    return found


def _fits(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return any(_fits(one, value) for one in wanted)
    if value is _ABSENT:
        return False
    if isinstance(wanted, str):
        # Texts are patterns (`*`, `?`, `[…]`), case matters; a number's pattern is read against the number as JSON shows it.
        return not isinstance(value, bool | None) and fnmatchcase(str(value), wanted)
    return isinstance(wanted, bool) == isinstance(value, bool) and bool(wanted == value)
