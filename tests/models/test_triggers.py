"""The cron dialect and the other parts of trigger configurations."""

from __future__ import annotations

from typing import Any

import pytest

from models.cron import parse_cron
from models.errors import ValidationFailed
from models.streams import TriggerType
from models.triggers import Event, check_trigger, means


def test_seconds_come_first() -> None:
    cron = parse_cron("0 30 2 * * *")
    assert (cron.second, cron.minutes, cron.hours) == (0, {30}, {2})
    assert cron.days == set(range(1, 32))
    assert cron.months == set(range(1, 13))
    assert cron.weekdays == set(range(7))


def test_five_fields_mean_second_zero() -> None:
    assert parse_cron("30 2 * * *") == parse_cron("0 30 2 * * *")


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("0 0 0 * * 0", "weekdays", {0}),
        ("0 0 0 * * 7", "weekdays", {0}),
        ("0 0 0 * * SUN", "weekdays", {0}),
        ("0 0 0 * * mon-fri", "weekdays", {1, 2, 3, 4, 5}),
        ("0 0 0 * * MON-SUN", "weekdays", {0, 1, 2, 3, 4, 5, 6}),
        ("0 0 0 ? JAN,JUL ?", "months", {1, 7}),
        ("0 */20 * * * *", "minutes", {0, 20, 40}),
        ("0 50/5 * * * *", "minutes", {50, 55}),
        ("0 10-20/5 * * * *", "minutes", {10, 15, 20}),
        ("0 0 0 29 2 *", "days", {29}),
    ],
)
def test_fields(text: str, field: str, values: set[int]) -> None:
    assert getattr(parse_cron(text), field) == values


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("*/5 * * * * *", "second"),
        ("0,30 * * * * *", "second"),
        ("60 * * * * *", "second"),
        ("0 60 * * * *", "minute"),
        ("0 0 24 * * *", "hour"),
        ("0 0 0 L * *", "day of month"),
        ("0 0 0 15W * *", "day of month"),
        ("0 0 0 * * 5#2", "day of week"),
        ("0 0 0 * 13 *", "month"),
        ("0 0 0 30 2 *", "no month"),
        ("0 0 0 31 2,4,6,9,11 *", "no month"),
        ("0 0 0 20-10 * *", "backwards"),
        ("0 */0 * * * *", "step"),
        ("0 0 ? * * *", "hour"),
        ("* * * *", "six fields"),
    ],
)
def test_what_is_refused_says_where(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_cron(text)


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        (TriggerType.SCHEDULED, None, "triggerConfig.cron"),
        (TriggerType.SCHEDULED, {"timezone": "UTC"}, "triggerConfig.cron"),
        (TriggerType.SCHEDULED, {"cron": 5}, "triggerConfig.cron"),
        (TriggerType.SCHEDULED, {"cron": "0 0 0 L * *"}, "triggerConfig.cron"),
        (TriggerType.SCHEDULED, {"cron": "0 30 2 * * *", "timezone": "Mars/Base"}, "triggerConfig.timezone"),
        (TriggerType.EVENT, {}, "triggerConfig.event"),
        (TriggerType.EVENT, {"event": "*"}, "triggerConfig.event"),
        (TriggerType.EVENT, {"event": 5}, "triggerConfig.event"),
        (TriggerType.EVENT, {"event": "a.*.b"}, "triggerConfig.event"),
        (TriggerType.EVENT, {"event": " a"}, "triggerConfig.event"),
        (TriggerType.EVENT, {"event": "a?"}, "triggerConfig.event"),
        (TriggerType.EVENT, {"event": "a[1]"}, "triggerConfig.event"),
        (TriggerType.EVENT, {"event": "!a"}, "triggerConfig.event"),
        (TriggerType.EVENT, {"event": "a" * 256}, "triggerConfig.event"),
        (TriggerType.EVENT, {"event": "a", "filter": "x"}, "triggerConfig.filter"),
        (TriggerType.EVENT, {"event": "a", "filter": {"x": {"y": 1}}}, "triggerConfig.filter.x"),
        (TriggerType.EVENT, {"event": "a", "filter": {"x": []}}, "triggerConfig.filter.x"),
        (TriggerType.MANUAL, {"concurrency": "SOMETIMES"}, "triggerConfig.concurrency"),
    ],
)
def test_bad_triggers_name_the_field(kind: TriggerType, config: dict[str, Any] | None, field: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        check_trigger(kind, config)
    assert list(raised.value.fields) == [field]


def test_good_triggers_pass() -> None:
    check_trigger(TriggerType.SCHEDULED, {"cron": "0 30 2 * * *", "timezone": "Europe/Berlin"})
    check_trigger(TriggerType.EVENT, {"event": "file.*"})
    check_trigger(TriggerType.MANUAL, None)
    check_trigger(
        TriggerType.EVENT, {"event": "file.uploaded", "filter": {"filename": "bank_*.csv", "rows": [1, None]}}
    )


PAYLOAD = {"filename": "bank_1.csv", "rows": 40, "ok": True, "none": None, "account": {"bank": "DE1"}, "a.b": "dotted"}


@pytest.mark.parametrize(
    ("config", "fits"),
    [
        ({"event": "file.uploaded"}, True),
        ({"event": "file.*"}, True),
        ({"event": "file"}, False),
        ({"event": "File.uploaded"}, False),
        ({"event": "file.u*", "filter": {}}, True),
        ({"event": "file.*", "filter": {"filename": "bank_*.csv"}}, True),
        ({"event": "file.*", "filter": {"filename": "BANK_*"}}, False),
        ({"event": "file.*", "filter": {"filename": "bank_[0-9].csv"}}, True),
        ({"event": "file.*", "filter": {"filename": ["x*", "bank_?.csv"]}}, True),
        ({"event": "file.*", "filter": {"filename": "bank_1.csv", "rows": 41}}, False),
        ({"event": "file.*", "filter": {"rows": 40.0}}, True),
        ({"event": "file.*", "filter": {"rows": "4*"}}, True),
        ({"event": "file.*", "filter": {"ok": True}}, True),
        ({"event": "file.*", "filter": {"ok": 1}}, False),
        ({"event": "file.*", "filter": {"ok": "*"}}, False),
        ({"event": "file.*", "filter": {"none": None}}, True),
        ({"event": "file.*", "filter": {"none": "*"}}, False),
        ({"event": "file.*", "filter": {"missing": None}}, False),
        ({"event": "file.*", "filter": {"account.bank": "DE*"}}, True),
        ({"event": "file.*", "filter": {"account.bank.x": "DE*"}}, False),
        ({"event": "file.*", "filter": {"a.b": "dotted"}}, True),
        ({"event": "file.*", "filter": {"resource.kind": "daily"}}, True),
        ({"event": "file.*", "filter": {"resource.other": "daily"}}, False),
    ],
)
def test_which_events_are_meant(config: dict[str, Any], fits: bool) -> None:
    check_trigger(TriggerType.EVENT, config)
    assert means(config, Event("file.uploaded", "1", PAYLOAD, {"kind": "daily"})) is fits
