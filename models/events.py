"""What happened here and others may want to know: written with the change that it tells of, sent afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement
from sqlmodel import Field, Session, SQLModel, col, select

from models.base import json_column, primary_key, reference, time_column
from models.files import StoredFile
from models.triggers import FILE_UPLOADED, Event

OWN_RESOURCES = "recon."
"""What the ids of our own resources begin with in the engine's events."""


class StoredEvent(SQLModel, table=True):
    """An event of ours. `dispatched_at` says when the streams that wait for it got their runs, `sent_at` when the engine knew."""

    __tablename__ = "events"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    organization_id: int = reference("organizations.id")
    name: str
    event_id: str = Field(default_factory=lambda: str(uuid4()), unique=True)
    resource: dict[str, Any] = json_column(nullable=False)
    payload: dict[str, Any] = json_column(nullable=False)
    occurred_at: datetime = time_column(index=True)
    dispatched_at: datetime | None = time_column(nullable=True, index=True)
    sent_at: datetime | None = time_column(nullable=True, index=True)

    @property
    def event(self) -> Event:
        return Event(
            self.name, self.event_id, self.payload, self.resource, self.occurred_at.isoformat().replace("+00:00", "Z")
        )


def uploaded(session: Session, stored: StoredFile) -> StoredEvent:
    """Writes that a file was uploaded, in the transaction that makes it PROCESSED or FAILED."""
    event = StoredEvent(
        organization_id=stored.organization_id,
        name=FILE_UPLOADED,
        resource={
            "prefect.resource.id": f"{OWN_RESOURCES}file.{stored.id}",
            "prefect.resource.name": stored.original_filename,
        },
        payload={
            "fileId": stored.id,
            "filename": stored.original_filename,
            "rowCount": stored.row_count,
            "status": stored.status,
            "checksum": stored.checksum,
        },
    )
    session.add(event)
    return event


def concerns(session: Session, organization_id: int, event: Event) -> bool:
    """Whether an event may start streams of an organization: not if it is one of ours and tells of another one's records."""
    chosen = select(StoredEvent.organization_id).where(col(StoredEvent.event_id) == event.id)
    owner = session.exec(chosen).one_or_none()
    return owner is None or owner == organization_id


def undispatched(session: Session, *, before: datetime, limit: int = 100) -> Sequence[StoredEvent]:
    """Events whose runs are not written yet and that happened before a moment, oldest first."""
    return _oldest(session, col(StoredEvent.dispatched_at).is_(None), before, limit)


def unsent(session: Session, *, before: datetime, limit: int = 100) -> Sequence[StoredEvent]:
    """Events that the engine was not told of and that happened before a moment, oldest first."""
    return _oldest(session, col(StoredEvent.sent_at).is_(None), before, limit)


def _oldest(session: Session, wanted: ColumnElement[bool], before: datetime, limit: int) -> Sequence[StoredEvent]:
    chosen = select(StoredEvent).where(wanted, col(StoredEvent.occurred_at) < before)
    return session.exec(chosen.order_by(col(StoredEvent.id)).limit(limit)).all()
