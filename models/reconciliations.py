"""Reconciliations: the legacy view of one step run. Each step run has one from the moment its run is created."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func
from sqlmodel import Field, Session, SQLModel, col, select

from models.base import big_integer, primary_key, reference, time_column
from models.errors import NotFound
from models.lifecycle import StepRunStatus


class Origin(StrEnum):
    LEGACY = "LEGACY"
    STREAM = "STREAM"


class ReconciliationStatus(StrEnum):
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


STATUS_OF_STEP = {
    StepRunStatus.PENDING: ReconciliationStatus.PENDING,
    StepRunStatus.IN_PROGRESS: ReconciliationStatus.IN_PROGRESS,
    StepRunStatus.RETRY_WAIT: ReconciliationStatus.IN_PROGRESS,
    StepRunStatus.FAILED: ReconciliationStatus.FAILED,
    StepRunStatus.COMPLETED: ReconciliationStatus.COMPLETED,
    StepRunStatus.SKIPPED: ReconciliationStatus.CANCELLED,
    StepRunStatus.CANCELED: ReconciliationStatus.CANCELLED,
}
"""The legacy words for a step run's states."""


class Reconciliation(SQLModel, table=True):
    """`step_run_id` is the newest step run behind it; counts follow the legacy's way of counting, `match_rate` is 0..100."""

    __tablename__ = "reconciliations"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    organization_id: int = reference("organizations.id")
    origin: str = Field(default=Origin.LEGACY, index=True)
    name: str
    description: str | None = None
    domain: str
    source_file_id: int | None = big_integer(None)
    target_file_id: int | None = big_integer(None)
    rule_set_id: int = Field(index=True)
    step_run_id: int | None = big_integer(None)
    total_source_records: int = big_integer()
    total_target_records: int = big_integer()
    matched_records: int = big_integer()
    unmatched_source_records: int = big_integer()
    unmatched_target_records: int = big_integer()
    exception_count: int = big_integer()
    match_rate: float = 0.0
    deleted_at: datetime | None = time_column(nullable=True)
    created_at: datetime = time_column(index=True)
    updated_at: datetime = time_column()


def get(session: Session, organization_id: int, reconciliation_id: int) -> Reconciliation:
    """The reconciliation; raises NotFound where it was deleted or is not the organization's."""
    found = session.get(Reconciliation, reconciliation_id)
    if found is None or found.organization_id != organization_id or found.deleted_at is not None:
        raise NotFound("Reconciliation", reconciliation_id)
    return found


class ReconciliationOrder(StrEnum):
    """What lists of reconciliations may be sorted by. They get their ids in the order of their creation."""

    ID = "id"
    CREATED_AT = "createdAt"
    UPDATED_AT = "updatedAt"
    COMPLETED_AT = "completedAt"
    NAME = "name"
    STATUS = "status"
    MATCH_RATE = "matchRate"


def newest(
    session: Session,
    organization_id: int,
    *,
    offset: int = 0,
    limit: int | None = None,
    order: ReconciliationOrder = ReconciliationOrder.ID,
    descending: bool = True,
) -> tuple[Sequence[Reconciliation], int]:
    """The organization's reconciliations, newest first unless asked otherwise, and how many there are."""
    mine = (col(Reconciliation.organization_id) == organization_id, col(Reconciliation.deleted_at).is_(None))
    total = session.exec(select(func.count()).select_from(Reconciliation).where(*mine)).one()
    # A step run's own columns: the reconciliation's state is that of the step run behind it.
    from models.runs import StepRun

    columns: dict[ReconciliationOrder, Any] = {
        ReconciliationOrder.UPDATED_AT: col(Reconciliation.updated_at),
        ReconciliationOrder.COMPLETED_AT: col(StepRun.completed_at),
        ReconciliationOrder.NAME: col(Reconciliation.name),
        ReconciliationOrder.STATUS: col(StepRun.status),
        ReconciliationOrder.MATCH_RATE: col(Reconciliation.match_rate),
    }
    page = select(Reconciliation).where(*mine)
    if order in (ReconciliationOrder.COMPLETED_AT, ReconciliationOrder.STATUS):
        page = page.join(StepRun, col(StepRun.id) == col(Reconciliation.step_run_id), isouter=True)
    by = [columns[order], col(Reconciliation.id)] if order in columns else [col(Reconciliation.id)]
    sorted_page = page.order_by(*[one.desc() if descending else one.asc() for one in by])
    return session.exec(sorted_page.offset(offset).limit(limit)).all(), total


def by_id(session: Session, ids: Collection[int]) -> dict[int, Reconciliation]:
    """The reconciliations of some ids."""
    chosen = select(Reconciliation).where(col(Reconciliation.id).in_(ids))
    return {one.id: one for one in session.exec(chosen).all()}
