"""The audit: who changed what, when, from what to what; one chain of hashes per organization, never rewritten.

One mechanism writes it: a session that records what it flushes, and appends it to the chain as its last act before the commit. Bulk
statements, which go past the session's objects, say what they do by `note`. The product's own work (SYSTEM) is not recorded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import UniqueConstraint, event, func, inspect
from sqlalchemy import insert as bulk_insert
from sqlmodel import Field, Session, SQLModel, col, select

from models.actors import SYSTEM, current_actor
from models.base import big_integer, primary_key, reference, time_column, utc_now
from models.people import DEFAULT_ORGANIZATION, Organization

FIRST = "0" * 64
"""What stands for the hash before the first entry's."""

AT_ONCE = 1_000
"""Entries that a verification reads together."""

NOT_SHOWN = frozenset({"id", "organization_id", "created_at", "updated_at"})

AUDITED: dict[str, tuple[str, frozenset[str]]] = {
    "organizations": ("Organization", frozenset()),
    "users": ("User", frozenset({"email_key", "password_hash"})),
    "api_keys": ("ApiKey", frozenset({"key_hash", "last_used_at"})),
    "files": ("UploadedFile", frozenset({"detected_schema", "headers", "storage_path", "twin_path"})),
    "rule_sets": ("RuleSet", frozenset()),
    "rule_set_versions": ("RuleSetVersion", frozenset()),
    "streams": ("Stream", frozenset({"deployment_id", "automation_id", "revision", "registered_revision"})),
    "steps": ("Step", frozenset()),
    "runs": (
        "StreamRun",
        frozenset(
            {"engine_run_id", "submission", "restarts", "heartbeat_at", "engine_over", "submit_at", "request_digest"}
        ),
    ),
    "reconciliations": ("Reconciliation", frozenset({"step_run_id"})),
    "breaks": ("ReconciliationException", frozenset()),
    "data_sources": ("DataSource", frozenset({"secrets", "last_tested_at", "last_test_successful", "last_test_error"})),
}
"""Tables whose changes are recorded: what their rows are called, and the columns that stay out of it."""


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
    """The newest entry of an organization's chain."""

    __tablename__ = "audit_heads"  # pyright: ignore[reportAssignmentType]

    organization_id: int = Field(primary_key=True, foreign_key="organizations.id")
    number: int = big_integer()
    hash: str


@dataclass(frozen=True)
class Change:
    """What is to be appended."""

    organization_id: int
    action: str
    entity: str
    entity_id: int
    before: str | None
    after: str | None


class RecordingSession(Session):
    """A session whose changes are in the audit when they are committed."""


@event.listens_for(RecordingSession, "after_flush")
def _record(session: Session, _context: Any) -> None:
    if current_actor.get() == SYSTEM:
        return
    for row in session.new:
        _note_row(session, row, "CREATE")
    for row in session.dirty:
        _note_row(session, row, "UPDATE")
    for row in session.deleted:
        _note_row(session, row, "DELETE")


@event.listens_for(RecordingSession, "before_commit")
def _append_pending(session: Session) -> None:
    session.flush()
    pending: list[Change] = session.info.pop("audit", [])
    for organization_id in sorted({one.organization_id for one in pending}):
        _append(session, organization_id, [one for one in pending if one.organization_id == organization_id])


@event.listens_for(RecordingSession, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop("audit", None)


def note(
    session: Session, row: SQLModel, action: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    """Records a change of a row that is made by a statement of its own."""
    table = str(row.__tablename__)
    owner = getattr(row, "organization_id", None) or current_actor.get().organization_id or DEFAULT_ORGANIZATION
    entity_id = int(inspect(type(row)).primary_key_from_instance(row)[0])
    change = Change(owner, action, AUDITED[table][0], entity_id, _text(before), _text(after))
    session.info.setdefault("audit", []).append(change)


def _note_row(session: Session, row: Any, action: str) -> None:
    table = str(getattr(row, "__tablename__", ""))
    if table not in AUDITED:
        return
    hidden = AUDITED[table][1] | NOT_SHOWN
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for attribute in inspect(row).mapper.column_attrs:
        name = attribute.key
        if name in hidden:
            continue
        history = inspect(row).attrs[name].history
        if action == "DELETE":
            before[name] = getattr(row, name)
        elif action == "CREATE":
            after[name] = getattr(row, name)
        elif history.has_changes():
            before[name] = history.deleted[0] if history.deleted else None
            after[name] = getattr(row, name)
    if action == "UPDATE" and before == after:
        return
    note(session, row, action, before or None, after or None)


def _append(session: Session, organization_id: int, changes: Sequence[Change]) -> None:
    # The organization's row is the lock of its chain; SQLite has one writer anyway.
    session.exec(
        select(Organization).where(col(Organization.id) == organization_id).with_for_update(key_share=True)
    ).one()
    head = session.get(AuditHead, organization_id, populate_existing=True)
    if head is None:
        head = AuditHead(organization_id=organization_id, number=0, hash=FIRST)
    actor, now = current_actor.get(), utc_now()
    rows: list[dict[str, Any]] = []
    for change in changes:
        entry: dict[str, Any] = {
            "organization_id": organization_id,
            "number": head.number + 1,
            "at": now,
            "actor_kind": actor.kind,
            "actor_id": actor.api_key_id if actor.user_id is None else actor.user_id,
            "actor_name": actor.name,
            "action": change.action,
            "entity": change.entity,
            "entity_id": change.entity_id,
            "before": change.before,
            "after": change.after,
            "previous_hash": head.hash,
        }
        entry["hash"] = digest(entry)
        head.number, head.hash = entry["number"], entry["hash"]
        rows.append(entry)
    session.add(head)
    session.execute(bulk_insert(AuditEntry), rows)


def digest(entry: dict[str, Any]) -> str:
    """The hash over everything that an entry says and the hash of the one before."""
    said = {name: value for name, value in entry.items() if name not in ("id", "hash")}
    said["at"] = said["at"].astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _text(facts: dict[str, Any] | None) -> str | None:
    return None if facts is None else json.dumps(facts, sort_keys=True, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} in an audited column")


@dataclass(frozen=True)
class Verdict:
    """How a chain stands: `entries` that are whole, the newest one's hash, and the first thing that is wrong, if any."""

    organization_id: int
    entries: int
    head: str
    wrong: str | None


def verify(session: Session, organization_id: int, expected: dict[int, str] | None = None) -> Verdict:
    """Goes through an organization's whole chain. `expected` are hashes by number that were noted elsewhere at some time."""
    number, previous = 0, FIRST
    noted = dict(expected or {})
    for entry in _entries(session, organization_id):
        facts = entry.model_dump()
        if entry.number != number + 1:
            return Verdict(organization_id, number, previous, f"entry {number + 1} is missing")
        if entry.previous_hash != previous:
            return Verdict(organization_id, number, previous, f"entry {entry.number} does not follow entry {number}")
        if digest(facts) != entry.hash:
            return Verdict(organization_id, number, previous, f"entry {entry.number} was changed")
        if noted.pop(entry.number, entry.hash) != entry.hash:
            return Verdict(organization_id, number, previous, f"entry {entry.number} is not the one that was noted")
        number, previous = entry.number, entry.hash
    head = session.get(AuditHead, organization_id)
    wrong = None
    if (head.number, head.hash) != (number, previous) if head else number:
        wrong = f"entries after {number} are missing" if head and head.number > number else "the head was changed"
    elif noted:
        wrong = f"entry {min(noted)}, which was noted, is missing"
    return Verdict(organization_id, number, previous, wrong)


def _entries(session: Session, organization_id: int) -> Iterator[AuditEntry]:
    last = 0
    while True:
        mine = (col(AuditEntry.organization_id) == organization_id, col(AuditEntry.number) > last)
        rows = session.exec(select(AuditEntry).where(*mine).order_by(col(AuditEntry.number)).limit(AT_ONCE)).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].number
        session.expunge_all()


def page(
    session: Session,
    organization_id: int,
    *,
    entity: str | None,
    entity_id: int | None,
    offset: int = 0,
    limit: int | None = None,
) -> tuple[Sequence[AuditEntry], int]:
    """An organization's entries, newest first, of one kind of record or one record if that is given; and how many there are."""
    where = [col(AuditEntry.organization_id) == organization_id]
    if entity is not None:
        where.append(col(AuditEntry.entity) == entity)
    if entity_id is not None:
        where.append(col(AuditEntry.entity_id) == entity_id)
    total = session.exec(select(func.count()).select_from(AuditEntry).where(*where)).one()
    chosen = select(AuditEntry).where(*where).order_by(col(AuditEntry.number).desc()).offset(offset).limit(limit)
    return session.exec(chosen).all(), total
