"""Exceptions on the wire, as all routes show them: the row's own fields, its reconciliation's, and the whole records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator
from sqlmodel import Session

from api.envelope import Wire
from matching.terms import Severity
from models import reconciliations, records
from models.breaks import Break
from models.storage import Storage

SEVERITIES_OF_PAGES = {"WARNING": Severity.MEDIUM, "INFO": Severity.LOW}
"""What existing pages call two severities in filters."""


def _severity(given: object) -> object:
    return SEVERITIES_OF_PAGES.get(given, given) if isinstance(given, str) else given


GivenSeverity = Annotated[Severity | None, BeforeValidator(_severity)]


class ExceptionDetail(Wire):
    """One exception; `source_data` and `target_data` are the whole records, null where their file has expired."""

    id: int
    type: str
    severity: str
    status: str
    domain: str
    description: str
    field_name: str | None
    source_value: str | None
    target_value: str | None
    delta: str | None
    source_data: dict[str, Any] | None
    target_data: dict[str, Any] | None
    ai_suggestion: str | None
    resolution: str | None
    resolved_by: str | None
    resolved_at: datetime | None
    acknowledged_at: datetime | None
    reviewed_at: datetime | None
    ignored_at: datetime | None
    assignee: str | None
    due_at: datetime | None
    carried_from: int | None
    first_seen_at: datetime | None
    reconciliation_id: int
    reconciliation_name: str
    created_at: datetime
    updated_at: datetime


OWN = set(ExceptionDetail.model_fields) & set(Break.model_fields)


def shaped(session: Session, storage: Storage, rows: Sequence[Break]) -> list[ExceptionDetail]:
    """The breaks in their order, each with its reconciliation's name and domain and its records."""
    behind = reconciliations.by_id(session, {row.reconciliation_id for row in rows})
    found = records.lookup(session, storage, [one for row in rows for one in row.identities])
    return [
        ExceptionDetail(
            **row.model_dump(include=OWN),
            domain=behind[row.reconciliation_id].domain,
            reconciliation_name=behind[row.reconciliation_id].name,
            source_data=None if row.source_identity is None else found.get(row.source_identity),
            target_data=None if row.target_identity is None else found.get(row.target_identity),
        )
        for row in rows
    ]
