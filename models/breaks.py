"""Breaks (exceptions on the wire): the fields that a page shows live here, whole records stay in the files they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, func
from sqlalchemy import insert as bulk_insert
from sqlmodel import Field, Session, SQLModel, col, select

from models.base import NEVER_REUSED, big_integer, primary_key, reference, time_column


class BreakStatus(StrEnum):
    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    IN_REVIEW = "IN_REVIEW"
    RESOLVED = "RESOLVED"
    IGNORED = "IGNORED"


class Break(SQLModel, table=True):
    """One disagreement that a step run found; grain and texts as in `matching.outcome`."""

    __tablename__ = "breaks"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("ix_breaks_reconciliation_id", "reconciliation_id", "id"),
        Index("ix_breaks_organization_id", "organization_id", "id"),
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


@dataclass(frozen=True)
class BreakFilter:
    """Which breaks; what is None does not narrow."""

    reconciliation_id: int | None = None
    type: str | None = None
    severity: str | None = None
    status: str | None = None


def page(
    session: Session, organization_id: int, wanted: BreakFilter, *, offset: int, limit: int
) -> tuple[Sequence[Break], int]:
    """One page of breaks in the order they were found, and how many match."""
    where = [col(Break.organization_id) == organization_id]
    if wanted.reconciliation_id is not None:
        where.append(col(Break.reconciliation_id) == wanted.reconciliation_id)
    if wanted.type is not None:
        where.append(col(Break.type) == wanted.type)
    if wanted.severity is not None:
        where.append(col(Break.severity) == wanted.severity)
    if wanted.status is not None:
        where.append(col(Break.status) == wanted.status)
    total = session.exec(select(func.count()).select_from(Break).where(*where)).one()
    rows = session.exec(select(Break).where(*where).order_by(col(Break.id)).offset(offset).limit(limit)).all()
    return rows, total


def insert(session: Session, rows: list[dict[str, Any]]) -> None:
    """Adds breaks in bulk; each row gives every column that has no default in the database."""
    session.execute(bulk_insert(Break), rows)
