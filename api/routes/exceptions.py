"""Exceptions: lists, decisions, and what people note about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, AliasChoices, AwareDatetime, Field
from sqlmodel import Session

from api.auth import Who
from api.cases import ExceptionDetail, GivenSeverity, shaped
from api.deps import Actor, Org, RecordId, Services, Use
from api.envelope import Envelope, PageOf, Wire, ok, page_of
from api.wire import Given, Text
from matching.terms import BreakType
from models import breaks, decisions, reconciliations, suggestions
from models.breaks import Break, BreakFilter, BreakOrder, BreakStatus
from models.decisions import Decision
from models.permissions import may_decide

routes = APIRouter(prefix="/exceptions", tags=["exceptions"])

AUTO_RESOLUTION, AUTO_RESOLVER = "Resolved automatically from AI suggestion", "AI Auto Resolver"
"""The legacy's words for a resolution that nobody worded."""

MOST_IDS = 10_000

GivenId = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


def _some(value: list[int]) -> list[int]:
    if not value:
        raise ValueError("Exception IDs are required")
    return value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside of the calendar in UTC") from None


Ids = Annotated[list[GivenId], Field(max_length=MOST_IDS), AfterValidator(_some)]


class RunSummary(Wire):
    reconciliation_id: int
    reconciliation_name: str
    domain: str
    created_at: datetime
    open_count: int
    in_review_count: int
    critical_open_count: int
    ai_actionable_count: int
    total_in_scope: int


class HistoryEvent(Wire):
    """`changes` maps fields to [before, after]."""

    id: int
    exception_id: int = Field(validation_alias=AliasChoices("break_id", "exceptionId"))
    kind: str
    actor: str
    changes: dict[str, list[Any]] | None
    text: str | None
    created_at: datetime


class UpdateRequest(Given):
    status: BreakStatus | None = None
    resolution: Text | None = None
    resolved_by: Text | None = None


class EndRequest(Given):
    """`reason` is another name of `resolution`."""

    resolution: Text | None = None
    reason: Text | None = None
    resolved_by: Text | None = None


class FilterRequest(Given):
    reconciliation_id: GivenId | None = None
    type: BreakType | None = None
    severity: GivenSeverity = None
    status: BreakStatus | None = None
    from_date: date | None = None
    to_date: date | None = None

    def wanted(self) -> BreakFilter:
        return BreakFilter(**self.model_dump(include=set(FilterRequest.model_fields)))


class BulkRequest(Given):
    exception_ids: Ids = Field(validation_alias=AliasChoices("exceptionIds", "ids"))
    resolution: Text | None = Field(default=None, validation_alias=AliasChoices("resolution", "reason"))
    resolved_by: Text | None = None


class BulkResolveRequest(BulkRequest):
    """`status` may be left out where the ids come as `ids`: then it is RESOLVED."""

    status: BreakStatus | None = None


class BulkUpdateRequest(BulkRequest):
    status: BreakStatus


class ByFilterRequest(FilterRequest):
    """Every exception of the filter gets `to`."""

    to: BreakStatus
    resolution: Text | None = None
    resolved_by: Text | None = None


class AutoResolveRequest(FilterRequest):
    resolution_template: Text | None = None
    resolved_by: Text | None = None


class AutoResolved(Wire):
    updated_count: int
    skipped_count: int
    updated_ids: list[int]
    skipped_reason_counts: dict[str, int]


class Updated(Wire):
    updated_count: int


class AssignmentRequest(Given):
    """Only the fields that are given change; null takes away."""

    assignee: Annotated[Text, Field(max_length=255)] | None = None
    due_at: Annotated[AwareDatetime, AfterValidator(_utc)] | None = None


class CommentRequest(Given):
    text: Annotated[Text, Field(min_length=1, max_length=10_000)]


class Filters:
    """The filters that lists take in their query."""

    def __init__(
        self,
        type: Annotated[BreakType | None, Query()] = None,
        severity: Annotated[GivenSeverity, Query()] = None,
        status: Annotated[BreakStatus | None, Query()] = None,
        from_date: Annotated[date | None, Query(alias="fromDate", description="UTC, inclusive")] = None,
        to_date: Annotated[date | None, Query(alias="toDate", description="UTC, inclusive")] = None,
    ) -> None:
        self.wanted = BreakFilter(None, type, severity, status, from_date=from_date, to_date=to_date)


FilterQuery = Annotated[Filters, Depends(Filters)]


@routes.get("", response_model=Envelope[PageOf[ExceptionDetail]])
def listed(
    use: Use,
    org: Org,
    filters: FilterQuery,
    reconciliation_id: Annotated[int | None, Query(alias="reconciliationId", ge=-(2**63), le=2**63 - 1)] = None,
    assignee: Annotated[str | None, Query()] = None,
    overdue: Annotated[bool, Query(description="open ones whose due time has passed")] = False,
    page: Annotated[int, Query(ge=0, le=2**31)] = 0,
    size: Annotated[int, Query(ge=1, le=500)] = 20,
    sort_by: Annotated[BreakOrder, Query(alias="sortBy")] = BreakOrder.CREATED_AT,
    sort_dir: Annotated[Literal["asc", "desc"], Query(alias="sortDir")] = "desc",
) -> Response:
    """A page of exceptions; the dates are those of their reconciliation's creation."""
    wanted = replace(filters.wanted, reconciliation_id=reconciliation_id, assignee=assignee, overdue=overdue)
    with use.database.read() as session:
        rows, total = breaks.page(
            session,
            org,
            wanted,
            offset=page * size,
            limit=size,
            order=sort_by,
            descending=sort_dir == "desc",
        )
        content = shaped(session, use.storage, rows)
    return ok(page_of(content, total, page, size))


@routes.get("/runs", response_model=Envelope[list[RunSummary]])
def runs(use: Use, org: Org, filters: FilterQuery) -> Response:
    """The reconciliations that have such exceptions, newest first, with counts."""
    with use.database.read() as session:
        found = breaks.summaries(session, org, filters.wanted)
        behind = reconciliations.by_id(session, {one.reconciliation_id for one in found})
    return ok(
        [
            RunSummary(
                reconciliation_name=behind[one.reconciliation_id].name,
                domain=behind[one.reconciliation_id].domain,
                created_at=behind[one.reconciliation_id].created_at,
                **vars(one),
            )
            for one in found
        ]
    )


@routes.get("/{id}", response_model=Envelope[ExceptionDetail])
def one(use: Use, org: Org, id: RecordId) -> Response:
    """One exception with its records."""
    with use.database.read() as session:
        return ok(shaped(session, use.storage, [breaks.get(session, org, id)])[0])


@routes.put("/{id}", response_model=Envelope[ExceptionDetail])
def update(use: Use, org: Org, actor: Actor, id: RecordId, body: UpdateRequest) -> Response:
    """Changes the status and what is said of it; a RESOLVED one stays so."""
    return _decide(use, org, actor, id, Decision(body.status, body.resolution, body.resolved_by))


@routes.put("/{id}/resolve", response_model=Envelope[ExceptionDetail])
def resolve(use: Use, org: Org, actor: Actor, id: RecordId, body: EndRequest | None = None) -> Response:
    """RESOLVED."""
    return _end(use, org, actor, id, BreakStatus.RESOLVED, body)


@routes.put("/{id}/ignore", response_model=Envelope[ExceptionDetail])
def ignore(use: Use, org: Org, actor: Actor, id: RecordId, body: EndRequest | None = None) -> Response:
    """IGNORED."""
    return _end(use, org, actor, id, BreakStatus.IGNORED, body)


@routes.post("/bulk-resolve", response_model=Envelope[list[ExceptionDetail]])
def bulk_resolve(use: Use, org: Org, actor: Actor, body: BulkResolveRequest) -> Response:
    """Gives several exceptions a status at once; unknown ids are passed over."""
    changed = _decide_some(use, org, actor, body, body.status or BreakStatus.RESOLVED)
    return ok(changed, "Exceptions updated successfully")


@routes.post("/bulk-update", response_model=Envelope[list[ExceptionDetail]])
def bulk_update(use: Use, org: Org, actor: Actor, body: BulkUpdateRequest) -> Response:
    """As `bulk-resolve`."""
    changed = _decide_some(use, org, actor, body, body.status)
    return ok(changed, f"{len(changed)} exceptions updated successfully")


@routes.post("/bulk-ignore", response_model=Envelope[list[ExceptionDetail]])
def bulk_ignore(use: Use, org: Org, actor: Actor, body: BulkRequest) -> Response:
    """IGNORED, several at once."""
    return ok(_decide_some(use, org, actor, body, BreakStatus.IGNORED), "Exceptions updated successfully")


@routes.post("/bulk-by-filter", response_model=Envelope[Updated])
def bulk_by_filter(use: Use, org: Org, actor: Actor, body: ByFilterRequest) -> Response:
    """Gives every exception of a filter the same status, whatever their number, all or none."""
    decision = Decision(body.to, body.resolution, body.resolved_by)
    count = 0
    with use.database.write() as session:
        for rows in decisions.each(session, org, body.wanted()):
            decisions.decide_all(session, rows, decision, actor)
            count += len(rows)
    return ok(Updated(updated_count=count), f"{count} exceptions updated successfully")


@routes.post("/bulk-auto-resolve", response_model=Envelope[AutoResolved])
def bulk_auto_resolve(use: Use, org: Org, actor: Actor, who: Who, body: AutoResolveRequest) -> Response:
    """Resolves the open exceptions of a filter that have a suggestion and are the caller's to change."""
    decision = Decision(
        BreakStatus.RESOLVED, body.resolution_template or AUTO_RESOLUTION, body.resolved_by or AUTO_RESOLVER
    )
    with use.database.write() as session:
        done = decisions.resolve_suggested(session, org, body.wanted(), decision, actor, partial(may_decide, who.role))
    reasons = {"not_open": done.not_open, "missing_ai_suggestion": done.missing_suggestion}
    return ok(
        AutoResolved(
            updated_count=len(done.updated),
            skipped_count=sum(reasons.values()),
            updated_ids=done.updated,
            skipped_reason_counts=reasons,
        ),
        "Auto-resolve completed",
    )


@routes.get("/{id}/suggestions", response_model=Envelope[str])
def suggestion(use: Use, org: Org, actor: Actor, id: RecordId) -> Response:
    """What is known of why this is an exception and what comes near; worked out once and kept."""
    with use.database.read() as session:
        row = breaks.get(session, org, id)
        if row.ai_suggestion:
            return ok(row.ai_suggestion)
        question = suggestions.question(session, use.storage, row)
    text = suggestions.answer(use.storage, question, use.settings.backtest_rows)
    with use.database.write() as session:
        decisions.suggest(session, breaks.get(session, org, id), text, actor)
    return ok(text)


@routes.get("/{id}/history", response_model=Envelope[list[HistoryEvent]])
def history(use: Use, org: Org, id: RecordId) -> Response:
    """What was done with an exception, oldest first, in earlier runs too."""
    with use.database.read() as session:
        events = decisions.history(session, breaks.get(session, org, id))
    return ok([HistoryEvent.model_validate(one) for one in events])


@routes.put("/{id}/assignment", response_model=Envelope[ExceptionDetail])
def assign(use: Use, org: Org, actor: Actor, id: RecordId, body: AssignmentRequest) -> Response:
    """Who works on an exception, and until when."""
    with use.database.write() as session:
        row = breaks.get(session, org, id)
        decisions.assign(session, row, body.model_dump(exclude_unset=True), actor)
        detail = shaped(session, use.storage, [row])[0]
    return ok(detail, "Exception updated successfully")


@routes.post("/{id}/comments", status_code=201, response_model=Envelope[HistoryEvent])
def comment(use: Use, org: Org, actor: Actor, id: RecordId, body: CommentRequest) -> Response:
    """Adds a comment to the history."""
    with use.database.write() as session:
        event = decisions.comment(session, breaks.get(session, org, id), body.text, actor)
        noted = HistoryEvent.model_validate(event)
    return ok(noted, "Comment added", status=201)


def _end(use: Services, org: int, actor: str, break_id: int, status: BreakStatus, body: EndRequest | None) -> Response:
    given = body or EndRequest()
    return _decide(use, org, actor, break_id, Decision(status, given.resolution or given.reason, given.resolved_by))


def _decide(use: Services, org: int, actor: str, break_id: int, decision: Decision) -> Response:
    with use.database.write() as session:
        row = breaks.get(session, org, break_id)
        decisions.decide(session, row, decision, actor)
        detail = _detail(session, use, [row])[0]
    return ok(detail, "Exception updated successfully")


def _decide_some(use: Services, org: int, actor: str, body: BulkRequest, status: BreakStatus) -> list[ExceptionDetail]:
    with use.database.write() as session:
        rows = breaks.some(session, org, body.exception_ids)
        decisions.decide_all(session, rows, Decision(status, body.resolution, body.resolved_by), actor)
        return _detail(session, use, rows)


def _detail(session: Session, use: Services, rows: Sequence[Break]) -> list[ExceptionDetail]:
    session.flush()
    return shaped(session, use.storage, rows)
