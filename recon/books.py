"""The four files of the acceptance data in the making, and what is known about their rows as they are made."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random

from recon.template import severities_of
from recon.truth import SOURCE_FILE, Leftover, StepTruth, Truth

_SKUS = ("CHAIR-OAK", "LAMP-LED", "MUG-BLUE", "DESK-STD", "RUG-WOOL", "VASE-CLAY")


@dataclass(frozen=True)
class Stage:
    """Where a step looks for its source rows, and which columns it compares."""

    order: int
    file: str
    id_column: str
    columns: tuple[str, ...]
    amount: str
    status: str
    date: str
    null_key: str
    statuses: tuple[str, ...]


STAGES = (
    Stage(
        order=1,
        file="marketplace_orders.csv",
        id_column="listing_id",
        columns=("order_id", "order_line_id", "gross_amount", "currency", "order_status", "order_date"),
        amount="gross_amount",
        status="order_status",
        date="order_date",
        null_key="order_line_id",
        statuses=("Shipped", "Delivered", "Returned"),
    ),
    Stage(
        order=2,
        file="gateway_settlements.csv",
        id_column="settlement_id",
        columns=("payment_reference", "order_id", "captured_amount", "currency", "capture_status", "settlement_date"),
        amount="captured_amount",
        status="capture_status",
        date="settlement_date",
        null_key="payment_reference",
        statuses=("Captured", "Settled", "Refunded"),
    ),
    Stage(
        order=3,
        file="bank_credits.csv",
        id_column="credit_id",
        columns=("bank_reference", "payment_reference", "credited_amount", "currency", "credit_date", "credit_status"),
        amount="credited_amount",
        status="credit_status",
        date="credit_date",
        null_key="bank_reference",
        statuses=("Booked", "Pending", "Reversed"),
    ),
)
OMS_COLUMNS = (
    "order_id",
    "order_line_id",
    "payment_reference",
    "bank_reference",
    "sku",
    "currency",
    *(column for stage in STAGES for column in (stage.amount, stage.status, stage.date)),
)


@dataclass(eq=False)
class Row:
    """`number` is set by the shuffle."""

    cells: dict[str, str]
    number: int = 0


@dataclass
class Sheet:
    """One file."""

    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list[Row])
    in_order: list[list[Row]] = field(default_factory=list[list[Row]])
    """Rows of one key: they keep this order in the file."""

    def add(self, cells: dict[str, str]) -> Row:
        row = Row(cells)
        self.rows.append(row)
        return row

    def shuffle(self, random: Random) -> None:
        """Scatters the rows and numbers them."""
        random.shuffle(self.rows)
        at = {row: place for place, row in enumerate(self.rows)}
        for group in self.in_order:
            for place, row in zip(sorted(at[row] for row in group), group, strict=True):
                self.rows[place] = row
        for number, row in enumerate(self.rows, 1):
            row.number = number

    def write(self, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(row.cells for row in self.rows)


class Books:
    """The four files in the making, and what is known about their rows."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.oms = Sheet(OMS_COLUMNS)
        self.sheets = {stage.order: Sheet((stage.id_column, *stage.columns)) for stage in STAGES}
        self.matches: list[tuple[int, Row, Row, tuple[str, ...]]] = []
        self.leftovers: list[tuple[int, Row, Leftover]] = []
        self.nobodys: list[tuple[int, Row, Leftover]] = []
        self.slices: dict[str, list[tuple[str, Row]]] = {}
        self._lines = 0

    def line(self, order_id: str, line_number: int, currency: str, day: date) -> Row:
        """An order line in the OMS, with what the OMS expects of its sale, its capture and its credit."""
        return self.oms.add(self.unbooked_line(order_id, line_number, currency, day).cells)

    def unbooked_line(self, order_id: str, line_number: int, currency: str, day: date) -> Row:
        """The same, but the OMS does not know of it."""
        self._lines += 1
        cents = self.random.randrange(100, 50_000)
        serial = f"{self._lines:07d}"
        return Row(
            {
                "order_id": order_id,
                "order_line_id": f"{order_id}-{line_number}",
                "payment_reference": f"PAY{serial}{self.random.choice('ABCDEFGH')}",
                "bank_reference": f"BNK/{day:%y%m}/{serial}",
                "sku": self.random.choice(_SKUS),
                "currency": currency,
                "gross_amount": money(cents),
                "order_status": self.random.choice(STAGES[0].statuses),
                "order_date": day.isoformat(),
                "captured_amount": money(cents),
                "capture_status": self.random.choice(STAGES[1].statuses),
                "settlement_date": (day + timedelta(days=2)).isoformat(),
                "credited_amount": money(cents - cents * 19 // 1000),
                "credit_status": self.random.choice(STAGES[2].statuses),
                "credit_date": (day + timedelta(days=4)).isoformat(),
            }
        )

    def double(self, line: Row, stage: Stage, **changes: str) -> Row:
        """The same line booked once more, later in the file. Not found before the stage either."""
        double = self.oms.add({**line.cells, **changes})
        self.oms.in_order.append([line, double])
        for earlier in STAGES[: stage.order - 1]:
            self.left(earlier, double, "MISSING")
        return double

    def counterpart(self, stage: Stage, line: Row, **changes: str) -> Row:
        """The row by which another system knows the line; it writes the status in its own case."""
        sheet = self.sheets[stage.order]
        in_case = self.random.choice((str.upper, str.lower, str.title))
        cells = {name: line.cells[name] for name in stage.columns} | changes
        cells[stage.status] = in_case(cells[stage.status])
        return sheet.add({stage.id_column: f"{stage.id_column[:3].upper()}{len(sheet.rows) + 1:07d}", **cells})

    def matched(self, stage: Stage, line: Row, row: Row, *fields: str) -> None:
        self.matches.append((stage.order, line, row, fields))

    def left(self, stage: Stage, line: Row, reason: str, blank_key: str | None = None) -> None:
        self.leftovers.append((stage.order, line, Leftover(reason, blank_key)))

    def lost(self, stage: Stage, line: Row, reason: str) -> None:
        """Without a partner at this stage for the reason, and at no later one either."""
        self.left(stage, line, reason)
        for later in STAGES[stage.order :]:
            self.left(later, line, "MISSING")

    def unclaimed(self, stage: Stage, row: Row, reason: str, blank_key: str | None = None) -> None:
        self.nobodys.append((stage.order, row, Leftover(reason, blank_key)))

    def truth(self, seed: int) -> Truth:
        """After shuffling: the records of rows become records of row numbers."""
        steps = tuple(StepTruth(stage.order, stage.file, severities_of(stage.order)) for stage in STAGES)
        for order, line, row, fields in self.matches:
            steps[order - 1].matched[line.number, row.number] = fields
        for order, line, why in self.leftovers:
            steps[order - 1].unmatched_source[line.number] = why
        for order, row, why in self.nobodys:
            steps[order - 1].unmatched_target[row.number] = why
        files = {SOURCE_FILE: len(self.oms.rows)} | {stage.file: len(self.sheets[stage.order].rows) for stage in STAGES}
        slices = {name: sorted((file, row.number) for file, row in rows) for name, rows in sorted(self.slices.items())}
        return Truth(seed, files, steps, slices)


def money(cents: int) -> str:
    """Text with two decimals."""
    return f"{cents // 100}.{cents % 100:02d}"


def cents_of(text: str) -> int:
    return int(text.replace(".", ""))
