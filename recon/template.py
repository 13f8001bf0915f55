"""The template ECOMMERCE_SETTLEMENT_V1 as requests: three rule sets and the stream that chains them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

NAME = "ECOMMERCE_SETTLEMENT_V1"
MONEY_TOLERANCE = "0.01"
DAYS_TOLERANCE = 1

_RULE_SET_SEVERITIES = {
    "MISSING_SOURCE": "HIGH",
    "MISSING_TARGET": "HIGH",
    "DUPLICATE": "MEDIUM",
    "FORMAT_ERROR": "MEDIUM",
}


class _Step(NamedTuple):
    name: str
    keys: tuple[str, str]
    money: str
    texts: tuple[str, ...]
    """Compared as they are: part of the money's value."""
    status: str
    date: str
    severities: dict[str, str]
    """What the step sets apart from its rule set."""


_STEPS = (
    _Step(
        "OMS vs marketplace",
        ("order_id", "order_line_id"),
        "gross_amount",
        ("currency",),
        "order_status",
        "order_date",
        {},
    ),
    _Step(
        "Unmatched OMS vs gateway",
        ("payment_reference", "order_id"),
        "captured_amount",
        (),
        "capture_status",
        "settlement_date",
        {},
    ),
    _Step(
        "Remaining OMS vs bank",
        ("bank_reference", "payment_reference"),
        "credited_amount",
        (),
        "credit_status",
        "credit_date",
        {"MISSING_TARGET": "CRITICAL"},
    ),
)


def severities_of(order: int) -> dict[str, str]:
    """By break type, and by field for VALUE_MISMATCH, as they hold at the step (from 1)."""
    step = _STEPS[order - 1]
    return _RULE_SET_SEVERITIES | step.severities | _field_severities(step)


def rule_sets() -> list[dict[str, Any]]:
    """The bodies of three POST /api/v1/rules, in the order of the steps."""
    return [
        {
            "name": f"{NAME} {order}: {step.name}",
            "description": "Ids exact; money within a cent; status whatever its case; dates within a day",
            "passes": [
                {
                    "name": step.name,
                    "keys": [{"sourceField": key, "targetField": key} for key in step.keys],
                    "comparisons": [
                        {**_same(step.money), "matchType": "RANGE", "tolerance": MONEY_TOLERANCE},
                        *({**_same(text), "matchType": "EXACT"} for text in step.texts),
                        {**_same(step.status), "matchType": "EXACT", "transforms": ["TRIM", "UPPER"]},
                        {**_same(step.date), "matchType": "DATE_WINDOW", "daysTolerance": DAYS_TOLERANCE},
                    ],
                }
            ],
            "severities": {**_RULE_SET_SEVERITIES, "fields": _field_severities(step)},
        }
        for order, step in enumerate(_STEPS, 1)
    ]


def stream(name: str, source_file: int, target_files: Sequence[int], rule_set_ids: Sequence[int]) -> dict[str, Any]:
    """The body of POST /api/v1/streams: what one step leaves unmatched of the OMS is the next one's source."""
    return {
        "name": name,
        "description": "Which orders were really paid out? OMS to marketplace to gateway to bank",
        "domain": "ECOMMERCE",
        "triggerType": "MANUAL",
        "steps": [
            {
                "stepOrder": order,
                "name": step.name,
                "sourceInput": {"type": "FILE", "id": source_file}
                if order == 1
                else {"type": "STEP_OUTPUT_UNMATCHED_SOURCE", "id": order - 1},
                "targetInput": {"type": "FILE", "id": target_file},
                "ruleSetId": rule_set_id,
                "config": {"continueOnFailure": False, "maxRetries": 1, "severities": step.severities},
            }
            for order, (step, target_file, rule_set_id) in enumerate(
                zip(_STEPS, target_files, rule_set_ids, strict=True), 1
            )
        ],
    }


def _same(name: str) -> dict[str, str]:
    return {"sourceField": name, "targetField": name}


def _field_severities(step: _Step) -> dict[str, str]:
    """Key financial fields weigh more than descriptive ones."""
    return dict.fromkeys((step.money, *step.texts), "HIGH") | dict.fromkeys((step.status, step.date), "MEDIUM")
