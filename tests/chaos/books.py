"""The books that a sitting reconciles, the streams that do it, and what must come out: known from how the books are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from models.lifecycle import RunStatus, StepRunStatus
from tests.parts.rest import Rest, step

ORDERS = 10_000
"""A multiple of 1,000."""

STRANGERS = 300
"""Records of the marketplace that no order is for."""

RETRIES = 30
"""So many that no outage of a sitting outlasts them: the right end of a run is never that its retries were used up."""


@dataclass(frozen=True)
class Counted:
    """What a completed step finds."""

    matched: int
    unmatched_source: int
    unmatched_target: int
    exceptions: int


@dataclass(frozen=True)
class Expected:
    """How a run of a stream ends, undisturbed or not; `counted` by step order, for the steps that complete."""

    status: RunStatus
    steps: tuple[StepRunStatus, ...]
    counted: dict[int, Counted]


@dataclass(frozen=True)
class StreamBook:
    """A stream that is registered, and its right end."""

    stream_id: int
    expected: Expected


def orders(count: int) -> str:
    return _csv((n, _amount(n), "EUR", _day(n)) for n in range(count))


def marketplace(count: int) -> str:
    """Seven tenths of the orders, one in fifty of which is a whole unit off; and strangers."""
    known = ((n, _amount(n) + (100 if _is_off(n) else 0), "EUR", _day(n)) for n in range(count) if n % 10 < 7)
    strangers = ((count + n, _amount(n), "EUR", _day(n)) for n in range(STRANGERS))
    return _csv((*known, *strangers))


def gateway(count: int) -> str:
    """Two tenths of the orders, settled a day later."""
    return _csv((n, _amount(n), "EUR", _day(n + 1)) for n in range(count) if n % 10 in (7, 8))


def bank(count: int) -> str:
    """The last tenth of the orders but for every twentieth of them."""
    return _csv((n, _amount(n), "EUR", _day(n)) for n in range(count) if n % 10 == 9 and n % 200 != 199)


def rounded(count: int) -> str:
    """Every second order at another amount."""
    return _csv((n, _amount(n) + 1, "USD", _day(n)) for n in range(0, count, 2))


def register(rest: Rest, *, allow: bool, count: int = ORDERS) -> dict[str, StreamBook]:
    """Uploads books of `count` orders and creates the streams; with `allow` the runs of a stream may overlap."""
    names: tuple[Callable[[int], str], ...] = (orders, marketplace, gateway, bank, rounded)
    files = {one.__name__: rest.upload(f"{one.__name__}.csv", one(count))["id"] for one in names}
    keyed = _rules(rest, "by order", [{"sourceField": "order_id"}], [])
    dated = _rules(
        rest,
        "by amount and day",
        [{"sourceField": "order_id", "transforms": ["TRIM", "UPPER"]}],
        [
            {"sourceField": "amount", "matchType": "NUMERIC", "tolerance": "0.01"},
            {"sourceField": "day", "matchType": "DATE_WINDOW", "daysTolerance": 3},
        ],
    )
    wrong = _rules(rest, "by a column that nobody has", [{"sourceField": "invoice_id"}], [])
    left = "STEP_OUTPUT_UNMATCHED_SOURCE"
    first = step(1, files["orders"], files["marketplace"], keyed, maxRetries=RETRIES)
    off = sum(_is_off(n) for n in range(count) if n % 10 < 7)
    missing = count // 200
    tenth = count // 10
    counted = Counted(7 * tenth, 3 * tenth, STRANGERS, 3 * tenth + STRANGERS + off)
    after_gateway = Counted(2 * tenth, tenth, 0, tenth)
    done, failed, skipped = StepRunStatus.COMPLETED, StepRunStatus.FAILED, StepRunStatus.SKIPPED
    # The steps of a stream, and its right end.
    streams: dict[str, tuple[list[dict[str, Any]], Expected]] = {
        "chain": (
            [
                first,
                step(2, (left, 1), files["gateway"], dated, maxRetries=RETRIES),
                step(3, (left, 2), files["bank"], keyed, maxRetries=RETRIES),
            ],
            Expected(
                RunStatus.COMPLETED,
                (done, done, done),
                {1: counted, 2: after_gateway, 3: Counted(tenth - missing, missing, 0, missing)},
            ),
        ),
        "breaks": (
            [step(1, files["orders"], files["rounded"], keyed, maxRetries=RETRIES)],
            # Amount and currency of every order of the target differ.
            Expected(RunStatus.COMPLETED, (done,), {1: Counted(count // 2, count // 2, 0, 3 * count // 2)}),
        ),
        "tolerant": (
            [
                first,
                step(2, files["orders"], files["bank"], wrong, continueOnFailure=True, maxRetries=RETRIES),
                step(3, (left, 2), files["bank"], keyed, continueOnFailure=True, maxRetries=RETRIES),
                step(4, (left, 1), files["gateway"], dated, maxRetries=RETRIES),
            ],
            Expected(RunStatus.PARTIAL_FAILED, (done, failed, skipped, done), {1: counted, 4: after_gateway}),
        ),
        "stopping": (
            [
                first,
                step(2, (left, 1), files["bank"], wrong, maxRetries=RETRIES),
                step(3, (left, 2), files["gateway"], dated, maxRetries=RETRIES),
            ],
            Expected(RunStatus.FAILED, (done, failed, skipped), {1: counted}),
        ),
    }
    extra = {"triggerConfig": {"concurrency": "ALLOW"}} if allow else {}
    return {
        name: StreamBook(rest.stream(steps, name, **extra)["id"], expected)
        for name, (steps, expected) in streams.items()
    }


def _rules(rest: Rest, name: str, keys: list[dict[str, Any]], conditions: list[dict[str, Any]]) -> int:
    compared = [
        {"sourceField": "amount", "matchType": "RANGE", "tolerance": "0"},
        {"sourceField": "currency", "matchType": "EXACT"},
    ]
    only = {"name": name, "keys": keys, "conditions": conditions, "comparisons": [] if conditions else compared}
    return rest.call("POST", "/rules", status=201, json={"name": name, "passes": [only]})["id"]


def _is_off(order: int) -> bool:
    return order % 50 == 3


def _amount(order: int) -> int:
    """Cents."""
    return 1000 + order * 7919 % 90_000


def _day(order: int) -> date:
    return date(2025, 1, 1) + timedelta(days=order % 300)


def _csv(rows: Any) -> str:
    lines = [f"O-{n:06},{cents // 100}.{cents % 100:02},{currency},{day}" for n, cents, currency, day in rows]
    return "\n".join(["order_id,amount,currency,day", *lines, ""])
