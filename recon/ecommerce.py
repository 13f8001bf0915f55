"""The acceptance data of the settlement template, made with its truth: four CSV files and `truth.json`.

Orders of the order management system are on the marketplace, or else captured by the gateway, or else credited by the
bank, or nowhere. Each injected case records at once which bucket its rows belong to; nothing is computed by matching.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random

from recon.books import STAGES, Books, Row, Stage, cents_of, money
from recon.truth import SOURCE_FILE, Truth

SMALLEST = 200
"""Fewer orders have no room for every case."""

_CURRENCIES = ("USD", "EUR", "GBP", "INR")
_FIRST_DAY = date(2026, 1, 1)
_DAYS = 90


def generate(directory: Path, *, seed: int = 7, orders: int = 10_000) -> Truth:
    """Writes `oms_orders.csv`, `marketplace_orders.csv`, `gateway_settlements.csv`, `bank_credits.csv` and `truth.json`.

    The same seed and number of orders give the same bytes. Orders have one to three lines, a row of the OMS each. Raises
    ValueError for fewer orders than `SMALLEST`.
    """
    if orders < SMALLEST:
        raise ValueError(f"{orders} orders are too few for every case; the smallest number is {SMALLEST}")
    random = Random(seed)  # noqa: S311 - made-up data, not secrets
    books = Books(random)
    split = _quota(20, orders)
    for number in range(split):
        _order_split_over_all(books, f"ORD-{number + 1:07d}")
    lines = [line for number in range(split, orders) for line in _order(books, f"ORD-{number + 1:07d}")]
    cases = [case for case in _CASES for _ in range(_quota(case.per_10k, orders))]
    cases += [_Case("found on the marketplace", 0, STAGES[0], _found)] * (len(lines) - len(cases))
    random.shuffle(cases)
    for case, line in zip(cases, lines, strict=True):
        books.slices.setdefault(case.name, []).append((SOURCE_FILE, line))
        case.apply(books, case.stage, line)
    _rows_without_an_order(books, orders)
    for sheet in (books.oms, *books.sheets.values()):
        sheet.shuffle(random)
    truth = books.truth(seed)
    directory.mkdir(parents=True, exist_ok=True)
    books.oms.write(directory / SOURCE_FILE)
    for stage in STAGES:
        books.sheets[stage.order].write(directory / stage.file)
    truth.write(directory / "truth.json")
    return truth


@dataclass(frozen=True)
class _Case:
    """Something that happens to `per_10k` of 10,000 orders' lines, at a stage; before that stage the line isn't found."""

    name: str
    per_10k: int
    stage: Stage
    happen: Callable[[Books, Stage, Row], None]

    def apply(self, books: Books, stage: Stage, line: Row) -> None:
        for earlier in STAGES[: stage.order - 1]:
            books.left(earlier, line, "MISSING")
        self.happen(books, stage, line)


def _quota(per_10k: int, orders: int) -> int:
    return max(2, per_10k * orders // 10_000)


def _order(books: Books, order_id: str) -> list[Row]:
    lines = books.random.choice((1, 1, 1, 1, 1, 1, 1, 1, 2, 3))
    currency, day = books.random.choice(_CURRENCIES), _some_day(books)
    return [books.line(order_id, number + 1, currency, day) for number in range(lines)]


def _some_day(books: Books) -> date:
    return _FIRST_DAY + timedelta(days=books.random.randrange(_DAYS))


def _order_split_over_all(books: Books, order_id: str) -> None:
    """One order in all four files: each of its lines is found in another place."""
    currency, day = books.random.choice(_CURRENCIES), _some_day(books)
    for stage in STAGES:
        line = books.line(order_id, stage.order, currency, day)
        _Case("order split over all three", 0, stage, _found).apply(books, stage, line)
        books.slices.setdefault("order split over all three", []).append((SOURCE_FILE, line))


def _found(books: Books, stage: Stage, line: Row) -> None:
    books.matched(stage, line, books.counterpart(stage, line))


def _amount_within(books: Books, stage: Stage, line: Row) -> None:
    cents = cents_of(line.cells[stage.amount]) + books.random.choice((-1, 1))
    books.matched(stage, line, books.counterpart(stage, line, **{stage.amount: money(cents)}))


def _amount_just_beyond(books: Books, stage: Stage, line: Row) -> None:
    cents = cents_of(line.cells[stage.amount]) + books.random.choice((-2, 2))
    books.matched(stage, line, books.counterpart(stage, line, **{stage.amount: money(cents)}), stage.amount)


def _amount_far_beyond(books: Books, stage: Stage, line: Row) -> None:
    cents = cents_of(line.cells[stage.amount]) + books.random.randrange(100, 5_000)
    books.matched(stage, line, books.counterpart(stage, line, **{stage.amount: money(cents)}), stage.amount)


def _other_currency(books: Books, stage: Stage, line: Row) -> None:
    currency = books.random.choice([one for one in _CURRENCIES if one != line.cells["currency"]])
    books.matched(stage, line, books.counterpart(stage, line, currency=currency), "currency")


def _other_status(books: Books, stage: Stage, line: Row) -> None:
    status = books.random.choice([one for one in stage.statuses if one != line.cells[stage.status]])
    books.matched(stage, line, books.counterpart(stage, line, **{stage.status: status}), stage.status)


def _one_day_off(books: Books, stage: Stage, line: Row) -> None:
    shifted = _shifted(line.cells[stage.date], books.random.choice((-1, 1)))
    books.matched(stage, line, books.counterpart(stage, line, **{stage.date: shifted}))


def _days_off(books: Books, stage: Stage, line: Row) -> None:
    shifted = _shifted(line.cells[stage.date], books.random.choice((-9, -2, 2, 9)))
    books.matched(stage, line, books.counterpart(stage, line, **{stage.date: shifted}), stage.date)


def _two_fields_differ(books: Books, stage: Stage, line: Row) -> None:
    amount = money(cents_of(line.cells[stage.amount]) + 700)
    changes = {stage.amount: amount, stage.date: _shifted(line.cells[stage.date], 3)}
    books.matched(stage, line, books.counterpart(stage, line, **changes), stage.amount, stage.date)


def _duplicate_source(books: Books, stage: Stage, line: Row) -> None:
    _found(books, stage, line)
    books.lost(stage, books.double(line, stage), "DUPLICATE")


def _duplicate_source_found_next(books: Books, stage: Stage, line: Row) -> None:
    """The surplus double goes on and has a counterpart of its own at the next step."""
    _found(books, stage, line)
    double, following = books.double(line, stage), STAGES[stage.order]
    books.left(stage, double, "DUPLICATE")
    _found(books, following, double)


def _duplicate_target(books: Books, stage: Stage, line: Row) -> None:
    row, double = books.counterpart(stage, line), books.counterpart(stage, line)
    books.sheets[stage.order].in_order.append([row, double])
    books.matched(stage, line, row)
    books.unclaimed(stage, double, "DUPLICATE")


def _duplicate_on_both_sides(books: Books, stage: Stage, line: Row) -> None:
    """Two and two, each with an amount of its own: the first belongs to the first, the second to the second."""
    double = books.double(line, stage, **{stage.amount: money(cents_of(line.cells[stage.amount]) + 500)})
    rows = [books.counterpart(stage, line), books.counterpart(stage, double)]
    books.sheets[stage.order].in_order.append(rows)
    books.matched(stage, line, rows[0])
    books.matched(stage, double, rows[1])


def _line_id_missing(books: Books, stage: Stage, line: Row) -> None:
    """The marketplace's row finds no partner; the gateway, which knows no lines, does."""
    books.unclaimed(stage, books.counterpart(stage, line), "MISSING")
    line.cells["order_line_id"] = ""
    books.left(stage, line, "NULL_KEY", "order_line_id")
    _found(books, STAGES[1], line)


def _order_id_missing_but_credited(books: Books, stage: Stage, line: Row) -> None:
    line.cells["order_id"] = ""
    books.left(stage, line, "NULL_KEY", "order_id")
    books.left(STAGES[1], line, "NULL_KEY", "order_id")
    _found(books, STAGES[2], line)


def _order_id_missing(books: Books, stage: Stage, line: Row) -> None:
    line.cells["order_id"] = ""
    books.left(stage, line, "NULL_KEY", "order_id")
    books.left(STAGES[1], line, "NULL_KEY", "order_id")
    books.left(STAGES[2], line, "MISSING")


def _payment_reference_missing(books: Books, stage: Stage, line: Row) -> None:
    """A key of the next step too."""
    line.cells["payment_reference"] = ""
    books.left(stage, line, "NULL_KEY", "payment_reference")
    books.left(STAGES[2], line, "NULL_KEY", "payment_reference")


def _bank_reference_missing(books: Books, stage: Stage, line: Row) -> None:
    line.cells["bank_reference"] = ""
    books.left(stage, line, "NULL_KEY", "bank_reference")


def _nowhere(books: Books, stage: Stage, line: Row) -> None:
    books.lost(stage, line, "MISSING")


def _in_all_four(books: Books, stage: Stage, line: Row) -> None:
    """Found at the first step, so that nobody asks for its settlement and its credit."""
    _found(books, stage, line)
    for later in STAGES[stage.order :]:
        books.unclaimed(later, books.counterpart(later, line), "MISSING")


def _rows_without_an_order(books: Books, orders: int) -> None:
    """Rows of the other systems that the OMS knows nothing of."""
    for stage, per_10k in zip(STAGES, (120, 60, 40), strict=True):
        for _ in range(_quota(per_10k, orders)):
            books.unclaimed(stage, _stranger(books, stage, "without an order"), "MISSING")
        for _ in range(_quota(12, orders)):
            row = _stranger(books, stage, "key missing")
            row.cells[stage.null_key] = ""
            books.unclaimed(stage, row, "NULL_KEY", stage.null_key)
        for _ in range(_quota(5, orders)):
            row = _stranger(books, stage, "without an order, twice")
            for one in (row, books.sheets[stage.order].add(dict(row.cells))):
                books.unclaimed(stage, one, "MISSING")


def _stranger(books: Books, stage: Stage, case: str) -> Row:
    line = books.unbooked_line(f"EXT-{stage.order}{len(books.nobodys):06d}", 1, "EUR", _some_day(books))
    row = books.counterpart(stage, line)
    books.slices.setdefault(f"{stage.file}: {case}", []).append((stage.file, row))
    return row


def _shifted(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def _cases() -> list[_Case]:
    first, second, third = STAGES
    everywhere: list[tuple[str, Callable[[Books, Stage, Row], None], tuple[int, int, int]]] = [
        ("amount within the tolerance", _amount_within, (150, 40, 20)),
        ("amount just beyond the tolerance", _amount_just_beyond, (40, 12, 8)),
        ("amount far beyond the tolerance", _amount_far_beyond, (80, 20, 12)),
        ("another status", _other_status, (60, 20, 15)),
        ("date one day off", _one_day_off, (150, 40, 20)),
        ("date more than one day off", _days_off, (80, 20, 15)),
        ("amount and date differ", _two_fields_differ, (20, 8, 6)),
        ("duplicate source", _duplicate_source, (40, 15, 10)),
        ("duplicate target", _duplicate_target, (40, 15, 10)),
        ("duplicate on both sides", _duplicate_on_both_sides, (15, 6, 4)),
    ]
    return [
        *(
            _Case(f"{stage.file}: {name}", per_10k, stage, happen)
            for name, happen, shares in everywhere
            for stage, per_10k in zip(STAGES, shares, strict=True)
        ),
        _Case("missing on the marketplace only", 500, second, _found),
        _Case("missing in the gateway after that", 250, third, _found),
        _Case("missing in the bank after that", 80, first, _nowhere),
        _Case("in all four files", 60, first, _in_all_four),
        _Case("another currency", 20, first, _other_currency),
        _Case("duplicate source, its double captured", 10, first, _duplicate_source_found_next),
        _Case("duplicate source, its double credited", 6, second, _duplicate_source_found_next),
        _Case("order line id missing", 20, first, _line_id_missing),
        _Case("order id missing, credited", 15, first, _order_id_missing_but_credited),
        _Case("order id missing", 15, first, _order_id_missing),
        _Case("payment reference missing", 15, second, _payment_reference_missing),
        _Case("bank reference missing", 10, third, _bank_reference_missing),
    ]


_CASES = _cases()
