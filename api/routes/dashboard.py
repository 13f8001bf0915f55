"""The dashboard's figures."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response

from api.deps import Org, Use
from api.envelope import Envelope, Wire, ok
from models import dashboard
from models.adapter import ReconciliationView
from models.reconciliations import ReconciliationStatus

routes = APIRouter(prefix="/dashboard", tags=["dashboard"])

SHOWN = {
    ReconciliationStatus.IN_PROGRESS: ReconciliationStatus.PENDING,
    ReconciliationStatus.CANCELLED: ReconciliationStatus.FAILED,
}
"""The states that existing pages have no badge for, as those that they have."""


class RecentReconciliation(Wire):
    id: int
    name: str
    status: str
    match_rate: float
    exception_count: int
    created_at: datetime


class Metrics(Wire):
    """Exceptions count by what they are, whatever their status; absent keys have none."""

    total_reconciliations: int
    completed_reconciliations: int
    pending_reconciliations: int
    failed_reconciliations: int
    overall_match_rate: float
    total_exceptions: int
    open_exceptions: int
    resolved_exceptions: int
    total_files_uploaded: int
    total_rule_sets: int
    recent_reconciliations: list[RecentReconciliation]
    exceptions_by_type: dict[str, int]
    exceptions_by_severity: dict[str, int]


@routes.get("/metrics", response_model=Envelope[Metrics])
def metrics(use: Use, org: Org) -> Response:
    """How things stand now."""
    with use.database.read() as session:
        found = dashboard.figures(session, org)
    recent = [_recent(one) for one in found.recent]
    return ok(Metrics(recent_reconciliations=recent, **{k: v for k, v in vars(found).items() if k != "recent"}))


def _recent(view: ReconciliationView) -> RecentReconciliation:
    record = view.record
    return RecentReconciliation(
        id=record.id,
        name=record.name,
        status=SHOWN.get(view.status, view.status),
        match_rate=record.match_rate,
        exception_count=record.exception_count,
        created_at=record.created_at,
    )
