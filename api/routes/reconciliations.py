"""The legacy reconciliation routes: an adapter over one-step streams."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.cases import ExceptionDetail, GivenSeverity, shaped
from api.deps import Org, RecordId, Services, Use
from api.envelope import Acknowledged, Envelope, PageOf, PagingQuery, Wire, ok, page_of
from api.wire import Given, Name, Text
from matching.terms import BreakType
from models import adapter, breaks, reconciliations
from models.adapter import ReconciliationView
from models.breaks import BreakFilter, BreakStatus
from models.errors import Conflict, NotFound, ValidationFailed
from models.reconciliations import Reconciliation, ReconciliationOrder, ReconciliationStatus
from models.streams import Domain

routes = APIRouter(prefix="/reconciliations", tags=["reconciliations"])

POLL_SECONDS = 0.1
MOST_AT_ONCE = 1_000
GivenId = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


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
def listed(
    use: Use,
    org: Org,
    paging: PagingQuery,
    sort: Annotated[ReconciliationOrder | None, Query()] = None,
    order: Annotated[str, Query(description="desc, or ascending")] = "asc",
) -> Response:
    """All reconciliations, also those of stream steps, newest first unless `sort` says otherwise."""
    by = sort or ReconciliationOrder.ID
    descending = sort is None or order.lower() == "desc"
    with use.database.read() as session:
        rows, total = reconciliations.newest(session, org, **paging.window, order=by, descending=descending)
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


class BulkDeleted(Wire):
    total_requested: int
    success_count: int
    failed_count: int
    errors: list[str] | None


@routes.delete("/bulk", response_model=Envelope[BulkDeleted])
def delete_some(use: Use, org: Org, body: Annotated[list[GivenId], Field(max_length=MOST_AT_ONCE)]) -> Response:
    """Deletes those that can be, each by itself."""
    errors: list[str] = []
    for one_id in body:
        try:
            with use.database.write() as session:
                adapter.delete(session, org, one_id)
        except (NotFound, Conflict) as error:
            errors.append(f"Failed to delete ID {one_id}: {error.message}")
    done = BulkDeleted(
        total_requested=len(body),
        success_count=len(body) - len(errors),
        failed_count=len(errors),
        errors=errors or None,
    )
    return ok(done, "Bulk delete completed")


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
    severity: Annotated[GivenSeverity, Query()] = None,
    status: Annotated[BreakStatus | None, Query()] = None,
    page: Annotated[int, Query(ge=0, le=2**31)] = 0,
    size: Annotated[int, Query(ge=1, le=500)] = 20,
) -> Response:
    """A page of a reconciliation's exceptions with their records; an unknown reconciliation has none."""
    wanted = BreakFilter(reconciliation_id=id, type=type, severity=severity, status=status)
    with use.database.read() as session:
        rows, total = breaks.page(session, org, wanted, offset=page * size, limit=size)
        content = shaped(session, use.storage, rows)
    return ok(page_of(content, total, page, size))
