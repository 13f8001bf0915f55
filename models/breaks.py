"""Breaks (exceptions on the wire): the fields that a page shows live here, whole records stay in the files they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Index, case, func
from sqlalchemy import insert as bulk_insert
from sqlalchemy import select as select_columns
from sqlmodel import Field, Session, SQLModel, col, select

from matching.terms import Severity
from models.base import NEVER_REUSED, big_integer, primary_key, reference, time_column, utc_now
from models.errors import NotFound
from models.reconciliations import Reconciliation


class BreakStatus(StrEnum):
    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    IN_REVIEW = "IN_REVIEW"
    RESOLVED = "RESOLVED"
    IGNORED = "IGNORED"


UNDECIDED = (BreakStatus.OPEN, BreakStatus.ACKNOWLEDGED, BreakStatus.IN_REVIEW)
"""The states of a break that somebody still has to decide on."""


class Break(SQLModel, table=True):
    """One disagreement that a step run found; grain and texts as in `matching.outcome`.

    `series` names what is reconciled again and again, `fingerprint` the same disagreement in every run of it, `carried_from` the
    break of an earlier run whose decision this one took over, `first_seen_at` is the creation of the first of them.
    """

    __tablename__ = "breaks"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("ix_breaks_reconciliation_id", "reconciliation_id", "id"),
        Index("ix_breaks_organization_id", "organization_id", "id"),
        Index("ix_breaks_series_fingerprint", "series", "fingerprint", "id"),
        NEVER_REUSED,
    )

    id: int = primary_key()
    organization_id: int = reference("organizations.id", index=False)
    reconciliation_id: int = reference("reconciliations.id", index=False)
    step_run_id: int = reference("step_runs.id", index=False)
    type: str
    severity: str
    status: str = Field(default=BreakStatus.OPEN)
    field_name: str | None = None
    source_value: str | None = None
    target_value: str | None = None
    delta: str | None = None
    key_text: str | None = None
    source_file_id: int | None = big_integer(None)
    source_row: int | None = big_integer(None)
    target_file_id: int | None = big_integer(None)
    target_row: int | None = big_integer(None)
    description: str
    ai_suggestion: str | None = None
    resolution: str | None = None
    resolved_by: str | None = None
    resolved_at: datetime | None = time_column(nullable=True)
    acknowledged_at: datetime | None = time_column(nullable=True)
    reviewed_at: datetime | None = time_column(nullable=True)
    ignored_at: datetime | None = time_column(nullable=True)
    assignee: str | None = None
    due_at: datetime | None = time_column(nullable=True)
    series: str | None = None
    fingerprint: str | None = None
    carried_from: int | None = big_integer(None)
    first_seen_at: datetime | None = time_column(nullable=True)
    created_at: datetime = time_column()
    updated_at: datetime = time_column()

    @property
    def source_identity(self) -> tuple[int, int] | None:
        """File id and row of the source record."""
        if self.source_file_id is None or self.source_row is None:
            return None
        return self.source_file_id, self.source_row

    @property
    def target_identity(self) -> tuple[int, int] | None:
        """File id and row of the target record."""
        if self.target_file_id is None or self.target_row is None:
            return None
        return self.target_file_id, self.target_row

    @property
    def identities(self) -> list[tuple[int, int]]:
        """Those of both records that there are."""
        return [one for one in (self.source_identity, self.target_identity) if one is not None]


class BreakOrder(StrEnum):
    """What lists of breaks may be sorted by. Breaks get their ids in the order of their creation."""

    ID = "id"
    CREATED_AT = "createdAt"
    UPDATED_AT = "updatedAt"
    DUE_AT = "dueAt"
    FIRST_SEEN_AT = "firstSeenAt"
    TYPE = "type"
    SEVERITY = "severity"
    STATUS = "status"
    FIELD_NAME = "fieldName"


ORDERS = {
    BreakOrder.UPDATED_AT: col(Break.updated_at),
    BreakOrder.DUE_AT: col(Break.due_at),
    BreakOrder.FIRST_SEEN_AT: col(Break.first_seen_at),
    BreakOrder.TYPE: col(Break.type),
    BreakOrder.SEVERITY: case({str(one): rank for rank, one in enumerate(Severity)}, value=col(Break.severity)),
    BreakOrder.STATUS: case({str(one): rank for rank, one in enumerate(BreakStatus)}, value=col(Break.status)),
    BreakOrder.FIELD_NAME: col(Break.field_name),
}


@dataclass(frozen=True)
class BreakFilter:
    """Which breaks; what is None does not narrow.

    `from_date` and `to_date` are those of their reconciliation's creation in UTC, both inclusive; `overdue` asks for open ones
    whose due time has passed.
    """

    reconciliation_id: int | None = None
    type: str | None = None
    severity: str | None = None
    status: str | None = None
    assignee: str | None = None
    overdue: bool = False
    from_date: date | None = None
    to_date: date | None = None

    def conditions(self, organization_id: int) -> list[ColumnElement[bool]]:
        """What a query of breaks has to hold."""
        where = [col(Break.organization_id) == organization_id]
        for column, value in (
            (Break.reconciliation_id, self.reconciliation_id),
            (Break.type, self.type),
            (Break.severity, self.severity),
            (Break.status, self.status),
            (Break.assignee, self.assignee),
        ):
            if value is not None:
                where.append(col(column) == value)
        if self.overdue:
            where += [col(Break.due_at) < utc_now(), col(Break.status).in_(UNDECIDED)]
        if self.from_date is not None or self.to_date is not None:
            within = select(Reconciliation.id).where(col(Reconciliation.organization_id) == organization_id)
            if self.from_date is not None:
                within = within.where(col(Reconciliation.created_at) >= _midnight(self.from_date))
            if self.to_date is not None and self.to_date < date.max:
                within = within.where(col(Reconciliation.created_at) < _midnight(self.to_date + timedelta(days=1)))
            where.append(col(Break.reconciliation_id).in_(within))
        return where


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def get(session: Session, organization_id: int, break_id: int) -> Break:
    """The break; raises NotFound where it is not the organization's."""
    found = session.get(Break, break_id)
    if found is None or found.organization_id != organization_id:
        raise NotFound("ReconciliationException", break_id)
    return found


def some(session: Session, organization_id: int, break_ids: Sequence[int]) -> Sequence[Break]:
    """Those of the breaks that the organization has, by id."""
    chosen = select(Break).where(col(Break.organization_id) == organization_id, col(Break.id).in_(set(break_ids)))
    return session.exec(chosen.order_by(col(Break.id))).all()


def page(
    session: Session,
    organization_id: int,
    wanted: BreakFilter,
    *,
    offset: int,
    limit: int,
    order: BreakOrder = BreakOrder.ID,
    descending: bool = False,
) -> tuple[Sequence[Break], int]:
    """One page of breaks, of equal ones the one found first first, and how many match."""
    where = wanted.conditions(organization_id)
    total = session.exec(select(func.count()).select_from(Break).where(*where)).one()
    by = [ORDERS[order], col(Break.id)] if order in ORDERS else [col(Break.id)]
    sorting = [one.desc() if descending else one.asc() for one in by]
    rows = session.exec(select(Break).where(*where).order_by(*sorting).offset(offset).limit(limit)).all()
    return rows, total


@dataclass(frozen=True)
class RunSummary:
    """Counts of the breaks of one reconciliation that a filter lets through."""

    reconciliation_id: int
    open_count: int
    in_review_count: int
    critical_open_count: int
    ai_actionable_count: int
    total_in_scope: int


def summaries(session: Session, organization_id: int, wanted: BreakFilter) -> list[RunSummary]:
    """One per reconciliation that has such breaks, newest reconciliation first."""
    is_open = col(Break.status) == BreakStatus.OPEN
    suggested = func.trim(func.coalesce(col(Break.ai_suggestion), "")) != ""
    counted = (
        select_columns(
            col(Break.reconciliation_id),
            func.count().filter(is_open),
            func.count().filter(col(Break.status) == BreakStatus.IN_REVIEW),
            func.count().filter(is_open, col(Break.severity) == Severity.CRITICAL),
            func.count().filter(is_open, suggested),
            func.count(),
        )
        .where(*wanted.conditions(organization_id))
        .group_by(col(Break.reconciliation_id))
        .order_by(col(Break.reconciliation_id).desc())
    )
    return [RunSummary(*(int(one) for one in row)) for row in session.execute(counted).all()]


def counts(session: Session, organization_id: int, column: str) -> dict[str, int]:
    """How many breaks the organization has by `type`, `severity` or `status`; absent ones have none."""
    by = {"type": col(Break.type), "severity": col(Break.severity), "status": col(Break.status)}[column]
    counted = select_columns(by, func.count()).where(col(Break.organization_id) == organization_id).group_by(by)
    return {str(name): int(count) for name, count in session.execute(counted).all()}


def insert(session: Session, rows: list[dict[str, Any]]) -> None:
    """Adds breaks in bulk; each row gives every column that has no default in the database."""
    session.execute(bulk_insert(Break), rows)
