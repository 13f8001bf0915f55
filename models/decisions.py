"""What people do with breaks: decide, assign, comment. Each act leaves an event with who, when, before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index
from sqlalchemy import insert as bulk_insert
from sqlmodel import Session, SQLModel, col, select

from models.actors import current_actor
from models.base import big_integer, json_column, primary_key, reference, time_column, utc_now
from models.breaks import Break, BreakFilter, BreakStatus
from models.errors import Conflict
from models.permissions import require_decider

AT_ONCE = 1_000
"""Breaks that a bulk act reads and writes together."""

TIMES = {
    BreakStatus.ACKNOWLEDGED: "acknowledged_at",
    BreakStatus.IN_REVIEW: "reviewed_at",
    BreakStatus.RESOLVED: "resolved_at",
    BreakStatus.IGNORED: "ignored_at",
}
"""Where the time of a status is kept."""


class EventKind(StrEnum):
    DECISION = "DECISION"
    ASSIGNMENT = "ASSIGNMENT"
    COMMENT = "COMMENT"
    SUGGESTION = "SUGGESTION"


class BreakEvent(SQLModel, table=True):
    """One act on one break; `changes` maps fields to [before, after]. Rows are added, never changed."""

    __tablename__ = "break_events"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("ix_break_events_break_id", "break_id"),)

    id: int = primary_key()
    organization_id: int = reference("organizations.id", index=False)
    break_id: int = big_integer()
    kind: str
    actor: str
    changes: dict[str, Any] | None = json_column()
    text: str | None = None
    created_at: datetime = time_column()


@dataclass(frozen=True)
class Decision:
    """What is to become of breaks; what is None stays as it is."""

    status: BreakStatus | None = None
    resolution: str | None = None
    resolved_by: str | None = None

    def changes(self, row: Break) -> dict[str, Any]:
        """The columns that change in `row`, with their new values."""
        wanted: dict[str, Any] = {}
        if self.status is not None and self.status != row.status:
            wanted["status"] = str(self.status)
            if self.status in TIMES:
                wanted[TIMES[self.status]] = utc_now()
        for name, value in (("resolution", self.resolution), ("resolved_by", self.resolved_by)):
            if value is not None and value != getattr(row, name):
                wanted[name] = value
        return wanted


def decide(session: Session, row: Break, decision: Decision, actor: str) -> Break:
    """Applies a decision to one break. Raises Forbidden, or Conflict where a RESOLVED one would get another status."""
    _require([row])
    if row.status == BreakStatus.RESOLVED and decision.status not in (None, BreakStatus.RESOLVED):
        raise Conflict(
            f"Exception {row.id} is RESOLVED and can't become {decision.status}",
            code="EXCEPTION_RESOLVED",
            exception_id=row.id,
        )
    _apply(session, row, decision.changes(row), EventKind.DECISION, actor)
    return row


def decide_all(session: Session, rows: Sequence[Break], decision: Decision, actor: str) -> None:
    """Applies a decision to several breaks; here a RESOLVED one may be opened again. Raises Forbidden for all if for one."""
    _require(rows)
    for row in rows:
        _apply(session, row, decision.changes(row), EventKind.DECISION, actor)


def assign(session: Session, row: Break, wanted: dict[str, Any], actor: str) -> Break:
    """Sets `assignee` and `due_at`, those that `wanted` has; None takes them away. Raises Forbidden."""
    _require([row])
    changed = {name: value for name, value in wanted.items() if value != getattr(row, name)}
    _apply(session, row, changed, EventKind.ASSIGNMENT, actor)
    return row


def comment(session: Session, row: Break, text: str, actor: str) -> BreakEvent:
    """Adds a comment to a break's history."""
    event = BreakEvent(
        organization_id=row.organization_id, break_id=row.id, kind=EventKind.COMMENT, actor=actor, text=text
    )
    session.add(event)
    session.flush()
    return event


def suggest(session: Session, row: Break, text: str, actor: str) -> None:
    """Keeps the explanation that somebody asked for."""
    _apply(session, row, {"ai_suggestion": text}, EventKind.SUGGESTION, actor)


@dataclass(frozen=True)
class Resolved:
    """What an automatic resolution did."""

    updated: list[int]
    not_open: int
    missing_suggestion: int


def resolve_suggested(
    session: Session,
    organization_id: int,
    wanted: BreakFilter,
    decision: Decision,
    actor: str,
    allowed: Callable[[str], bool],
) -> Resolved:
    """Resolves the OPEN breaks that have a suggestion and whose type is `allowed`; counts the others by why not."""
    updated: list[int] = []
    not_open = missing = 0
    for rows in each(session, organization_id, wanted):
        chosen: list[Break] = []
        for row in rows:
            if row.status != BreakStatus.OPEN:
                not_open += 1
            elif not (row.ai_suggestion or "").strip():
                missing += 1
            elif allowed(row.type):
                chosen.append(row)
        decide_all(session, chosen, decision, actor)
        updated += [row.id for row in chosen]
    return Resolved(updated, not_open, missing)


def each(session: Session, organization_id: int, wanted: BreakFilter) -> Iterator[Sequence[Break]]:
    """The breaks of a filter in lots of at most AT_ONCE, by id, each read when the one before was written."""
    last = 0
    while True:
        chosen = select(Break).where(*wanted.conditions(organization_id), col(Break.id) > last)
        rows = session.exec(chosen.order_by(col(Break.id)).limit(AT_ONCE)).all()
        if not rows:
            return
        last = rows[-1].id
        yield rows
        session.flush()
        for row in rows:
            session.expunge(row)


def history(session: Session, row: Break) -> list[BreakEvent]:
    """The events of a break, oldest first, after those that the break it carries on had until then."""
    events: list[BreakEvent] = []
    at: Break | None = row
    until = utc_now()
    while at is not None:
        chosen = select(BreakEvent).where(col(BreakEvent.break_id) == at.id, col(BreakEvent.created_at) <= until)
        events[:0] = session.exec(chosen.order_by(col(BreakEvent.id))).all()
        until = at.created_at
        at = None if at.carried_from is None else session.get(Break, at.carried_from)
    return events


def _require(rows: Sequence[Break]) -> None:
    """The role of whoever acts has to reach the types of all rows."""
    require_decider(current_actor.get().role, {row.type for row in rows})


def _apply(session: Session, row: Break, changed: dict[str, Any], kind: EventKind, actor: str) -> None:
    if not changed:
        return
    seen = {name: [_plain(getattr(row, name)), _plain(value)] for name, value in changed.items()}
    for name, value in changed.items():
        setattr(row, name, value)
    row.updated_at = utc_now()
    session.add(row)
    values = {
        "organization_id": row.organization_id,
        "break_id": row.id,
        "kind": str(kind),
        "actor": actor,
        "changes": seen,
        "created_at": row.updated_at,
    }
    session.execute(bulk_insert(BreakEvent), [values])


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
