"""The audit: who changed what, when, from what to what; one chain of hashes per organization, never rewritten."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from models.base import big_integer, primary_key, reference, time_column


class AuditEntry(SQLModel, table=True):
    """One change. `before` and `after` are JSON texts of the fields that differ; `hash` is over everything else and the hash
    of the entry before. `number` counts from 1 within the organization without a gap."""

    __tablename__ = "audit_log"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("organization_id", "number"),)

    id: int = primary_key()
    organization_id: int = reference("organizations.id", index=False)
    number: int = big_integer()
    at: datetime = time_column()
    actor_kind: str
    actor_id: int | None = big_integer(None)
    actor_name: str
    action: str
    entity: str = Field(index=True)
    entity_id: int = big_integer()
    before: str | None = None
    after: str | None = None
    previous_hash: str
    hash: str


class AuditHead(SQLModel, table=True):
    """The newest entry of an organization's chain; whoever appends locks it."""

    __tablename__ = "audit_heads"  # pyright: ignore[reportAssignmentType]

    organization_id: int = Field(primary_key=True, foreign_key="organizations.id")
    number: int = big_integer()
    hash: str
