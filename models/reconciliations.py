"""Reconciliations: the legacy view of one step run. Each step run has one from the moment its run is created."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

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


def newest(
    session: Session, organization_id: int, *, offset: int = 0, limit: int | None = None
) -> tuple[Sequence[Reconciliation], int]:
    """The organization's reconciliations, newest first, and how many there are."""
    mine = (col(Reconciliation.organization_id) == organization_id, col(Reconciliation.deleted_at).is_(None))
    total = session.exec(select(func.count()).select_from(Reconciliation).where(*mine)).one()
    page = select(Reconciliation).where(*mine).order_by(col(Reconciliation.id).desc()).offset(offset).limit(limit)
    return session.exec(page).all(), total
