"""Data sources: where snapshots will come from. Secrets of their configuration are sealed apart from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, SQLModel, col, select

from models.base import NEVER_REUSED, json_column, primary_key, reference, time_column, utc_now
from models.errors import Conflict, NotFound
from models.streams import Step, Stream, StreamInputType


class SourceType(StrEnum):
    FILE = "FILE"
    """Paths and buckets."""
    DATABASE = "DATABASE"
    API = "API"
    """HTTP."""


class DataSource(SQLModel, table=True):
    """`config` is the JSON as given but for its secrets, which `secrets` holds sealed; see `models.vault`."""

    __tablename__ = "data_sources"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (NEVER_REUSED,)

    id: int = primary_key()
    organization_id: int = reference("organizations.id")
    name: str
    description: str | None = None
    type: str
    config: dict[str, Any] | None = json_column()
    secrets: str | None = None
    active: bool = True
    last_tested_at: datetime | None = time_column(nullable=True)
    last_test_successful: bool | None = None
    last_test_error: str | None = None
    created_at: datetime = time_column()
    updated_at: datetime = time_column()


def get(session: Session, organization_id: int, source_id: int) -> DataSource:
    """The data source; raises NotFound where it is not the organization's."""
    found = session.get(DataSource, source_id)
    if found is None or found.organization_id != organization_id:
        raise NotFound("DataSource", source_id)
    return found


def listed(
    session: Session, organization_id: int, kind: str | None = None, *, offset: int = 0, limit: int | None = None
) -> tuple[Sequence[DataSource], int]:
    """The organization's data sources, oldest first, of one type if that is given; and how many there are."""
    mine = [col(DataSource.organization_id) == organization_id]
    if kind is not None:
        mine.append(col(DataSource.type) == kind)
    total = session.exec(select(func.count()).select_from(DataSource).where(*mine)).one()
    page = select(DataSource).where(*mine).order_by(col(DataSource.id)).offset(offset).limit(limit)
    return session.exec(page).all(), total


def note_test(session: Session, source: DataSource, error: str | None) -> None:
    """Keeps how the last test of the connection ended; no error is a success."""
    source.last_tested_at = utc_now()
    source.last_test_successful = error is None
    source.last_test_error = error
    session.add(source)


def remove(session: Session, organization_id: int, source_id: int) -> None:
    """Deletes a data source that no stream reads. Raises NotFound, or Conflict (DATA_SOURCE_IN_USE)."""
    found = get(session, organization_id, source_id)
    snapshot = StreamInputType.DATA_SOURCE_SNAPSHOT
    reads_it = ((col(Step.source_type) == snapshot) & (col(Step.source_id) == source_id)) | (
        (col(Step.target_type) == snapshot) & (col(Step.target_id) == source_id)
    )
    readers = select(Stream.id).join(Step, col(Step.stream_id) == col(Stream.id)).where(reads_it).distinct()
    users = [f"stream {one}" for one in session.exec(readers.limit(5)).all()]
    if users:
        raise Conflict(
            f"Data source {source_id} '{found.name}' is in use by {', '.join(users)}",
            code="DATA_SOURCE_IN_USE",
            data_source_id=source_id,
            used_by=users,
        )
    session.delete(found)
