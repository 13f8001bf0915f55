"""The legacy reconciliation routes: an adapter over one-step streams."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator, Field

from api.deps import Org, RecordId, Services, Use
from api.envelope import Acknowledged, Envelope, PageOf, PagingQuery, Wire, ok, page_of
from api.wire import Given, Name, Text
from matching.terms import BreakType, Severity
from models import adapter, breaks, reconciliations, records
from models.adapter import ReconciliationView
from models.breaks import Break, BreakFilter, BreakStatus
from models.errors import ValidationFailed
from models.reconciliations import Reconciliation, ReconciliationStatus
from models.streams import Domain

routes = APIRouter(prefix="/reconciliations", tags=["reconciliations"])

POLL_SECONDS = 0.1
GivenId = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


SEVERITIES_OF_PAGES = {"WARNING": Severity.MEDIUM, "INFO": Severity.LOW}
"""What existing pages call two severities in filters."""


def _severity(given: str | None) -> str | None:
    return given if given is None else SEVERITIES_OF_PAGES.get(given, given)


class ReconciliationRequest(Given):
    name: Name
    description: Text | None = None
    source_file_id: GivenId
    target_file_id: GivenId
    rule_set_id: GivenId
    domain: Domain | None = None


class Statistics(Wire):
    total_source_records: int
    total_target_records: int
    matched_records: int
    unmatched_source_records: int
    unmatched_target_records: int
    exception_count: int


class ReconciliationDetail(Wire):
    """`match_rate` and `progress` are 0..100; `statistics` is null before a run ended."""

    id: int
    name: str
    description: str | None
    status: str
    domain: str
    source_file_id: int | None
    source_file_name: str | None
    target_file_id: int | None
    target_file_name: str | None
    rule_set_id: int
    rule_set_name: str | None
    total_source_records: int
    total_target_records: int
    matched_records: int
    unmatched_source_records: int
    unmatched_target_records: int
    exception_count: int
    match_rate: float
    progress: int
    error_message: str | None
    started_at: datetime | None
    completed_at: datetime | None
    results: None = None
    statistics: Statistics | None
    created_at: datetime
    updated_at: datetime


class ExceptionDetail(Wire):
    """One exception; `source_data` and `target_data` are the whole records."""

    id: int
    type: str
    severity: str
    status: str
    domain: str
    description: str
    field_name: str | None
    source_value: str | None
    target_value: str | None
    source_data: dict[str, Any] | None
    target_data: dict[str, Any] | None
    ai_suggestion: str | None
    resolution: str | None
    resolved_by: str | None
    resolved_at: datetime | None
    acknowledged_at: datetime | None
    reviewed_at: datetime | None
    ignored_at: datetime | None
    reconciliation_id: int
    reconciliation_name: str
    created_at: datetime
    updated_at: datetime


def _shape(view: ReconciliationView) -> ReconciliationDetail:
    record, step_run = view.record, view.step_run
    own = set(ReconciliationDetail.model_fields) & set(Reconciliation.model_fields)
    done = view.status is ReconciliationStatus.COMPLETED
    return ReconciliationDetail(
        **record.model_dump(include=own),
        status=view.status,
        source_file_name=view.source_name,
        target_file_name=view.target_name,
        rule_set_name=view.rule_set_name,
        progress=step_run.progress,
        error_message=step_run.error_message,
        started_at=step_run.started_at,
        completed_at=step_run.completed_at,
        statistics=Statistics.model_validate(record) if done else None,
    )


def _view(use: Services, org: int, reconciliation_id: int) -> ReconciliationView:
    with use.database.read() as session:
        return adapter.views(session, [reconciliations.get(session, org, reconciliation_id)])[0]


@routes.post("", status_code=201, response_model=Envelope[ReconciliationDetail])
def create(use: Use, org: Org, body: ReconciliationRequest) -> Response:
    """A PENDING reconciliation; `start` runs it."""
    with use.database.write() as session:
        record = adapter.create(
            session,
            org,
            name=body.name,
            description=body.description,
            source_file_id=body.source_file_id,
            target_file_id=body.target_file_id,
            rule_set_id=body.rule_set_id,
            domain=body.domain or Domain.GENERAL,
        )
        compared = adapter.files_of(session, record)
        if not all(use.storage.exists(stored.storage_path) for stored in compared):
            raise ValidationFailed("File processing failed. Please check your file and try again.")
    return ok(_shape(_view(use, org, record.id)), "Reconciliation started", status=201)


@routes.get("", response_model=Envelope[list[ReconciliationDetail] | PageOf[ReconciliationDetail]])
def listed(use: Use, org: Org, paging: PagingQuery) -> Response:
    """All reconciliations, also those of stream steps, newest first."""
    with use.database.read() as session:
        rows, total = reconciliations.newest(session, org, **paging.window)
        views = adapter.views(session, rows)
    return paging.answer(views, total, _shape)


@routes.get("/{id}", response_model=Envelope[ReconciliationDetail])
@routes.get("/{id}/status", response_model=Envelope[ReconciliationDetail])
@routes.get("/{id}/results", response_model=Envelope[ReconciliationDetail])
def one(use: Use, org: Org, id: RecordId) -> Response:
    """The reconciliation, its state taken from the step run behind it."""
    return ok(_shape(_view(use, org, id)))


@routes.post("/{id}/start", response_model=Envelope[ReconciliationDetail])
def start(use: Use, org: Org, id: RecordId) -> Response:
    """Starts a PENDING or FAILED reconciliation and answers when its run has ended, or after a setting's seconds."""
    with use.database.write() as session:
        run_id = adapter.start(session, org, id)
    use.launcher.submit(run_id)
    deadline = time.monotonic() + use.settings.start_wait
    view = _view(use, org, id)
    while view.step_run.completed_at is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        view = _view(use, org, id)
    return ok(_shape(view), "Reconciliation started")


@routes.post("/{id}/cancel", response_model=Acknowledged)
def cancel(use: Use, org: Org, id: RecordId) -> Response:
    """Cancels; one that has FAILED or is CANCELLED stays as it is."""
    with use.database.write() as session:
        run = adapter.cancel(session, org, id)
    if run is not None:
        use.launcher.stop(run)
    return ok(message="Reconciliation cancelled")


@routes.delete("/{id}", response_model=Acknowledged)
def delete(use: Use, org: Org, id: RecordId) -> Response:
    """Removes a reconciliation and its exceptions from all answers."""
    with use.database.write() as session:
        adapter.delete(session, org, id)
    return ok(message="Reconciliation deleted successfully")


@routes.get("/{id}/exceptions", response_model=Envelope[PageOf[ExceptionDetail]])
def exceptions(
    use: Use,
    org: Org,
    id: RecordId,
    type: Annotated[BreakType | None, Query()] = None,
    severity: Annotated[Severity | None, BeforeValidator(_severity), Query()] = None,
    status: Annotated[BreakStatus | None, Query()] = None,
    page: Annotated[int, Query(ge=0, le=2**31)] = 0,
    size: Annotated[int, Query(ge=1, le=500)] = 20,
) -> Response:
    """A page of a reconciliation's exceptions with their records; an unknown reconciliation has none."""
    wanted = BreakFilter(reconciliation_id=id, type=type, severity=severity, status=status)
    with use.database.read() as session:
        rows, total = breaks.page(session, org, wanted, offset=page * size, limit=size)
        found = records.lookup(session, use.storage, [one for row in rows for one in row.identities])
        record = session.get(Reconciliation, id)
    shaped = [_exception(row, record, found) for row in rows if record is not None]
    return ok(page_of(shaped, total, page, size))


def _exception(row: Break, record: Reconciliation, found: dict[records.Identity, dict[str, Any]]) -> ExceptionDetail:
    own = set(ExceptionDetail.model_fields) & set(Break.model_fields)
    return ExceptionDetail(
        **row.model_dump(include=own),
        domain=record.domain,
        reconciliation_name=record.name,
        source_data=None if row.source_identity is None else found.get(row.source_identity),
        target_data=None if row.target_identity is None else found.get(row.target_identity),
    )
