"""The dashboard's figures, read live."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from models import breaks
from models.adapter import ReconciliationView, views
from models.breaks import BreakStatus
from models.files import FileKind, StoredFile
from models.lifecycle import StepRunStatus
from models.reconciliations import STATUS_OF_STEP, Reconciliation, ReconciliationStatus, newest
from models.rules import StoredRuleSet
from models.runs import StepRun

RECENT = 10


@dataclass(frozen=True)
class Dashboard:
    """Counts of an organization. `overall_match_rate` is the plain mean of the COMPLETED ones' rates, 0 if there are none."""

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
    recent: list[ReconciliationView]
    exceptions_by_type: dict[str, int]
    exceptions_by_severity: dict[str, int]


def figures(session: Session, organization_id: int) -> Dashboard:
    """All of them, in a handful of queries."""
    mine = (col(Reconciliation.organization_id) == organization_id, col(Reconciliation.deleted_at).is_(None))
    counted = (
        select_columns(
            col(StepRun.status),
            func.count(),
            func.sum(col(Reconciliation.exception_count)),
            func.sum(col(Reconciliation.match_rate)),
        )
        .join(StepRun, col(StepRun.id) == col(Reconciliation.step_run_id))
        .where(*mine)
        .group_by(col(StepRun.status))
    )
    by_status: dict[ReconciliationStatus, int] = dict.fromkeys(ReconciliationStatus, 0)
    found = 0
    rate = 0.0
    for status, count, exceptions, rates in session.execute(counted).all():
        word = STATUS_OF_STEP[StepRunStatus(status)]
        by_status[word] += int(count)
        found += int(exceptions or 0)
        rate += float(rates or 0) if word is ReconciliationStatus.COMPLETED else 0
    done = by_status[ReconciliationStatus.COMPLETED]
    uploads = (col(StoredFile.organization_id) == organization_id, col(StoredFile.kind) == FileKind.UPLOAD)
    rule_sets = col(StoredRuleSet.organization_id) == organization_id
    statuses = breaks.counts(session, organization_id, "status")
    return Dashboard(
        total_reconciliations=sum(by_status.values()),
        completed_reconciliations=done,
        pending_reconciliations=by_status[ReconciliationStatus.PENDING] + by_status[ReconciliationStatus.IN_PROGRESS],
        failed_reconciliations=by_status[ReconciliationStatus.FAILED],
        overall_match_rate=rate / done if done else 0.0,
        total_exceptions=found,
        open_exceptions=statuses.get(BreakStatus.OPEN, 0),
        resolved_exceptions=statuses.get(BreakStatus.RESOLVED, 0),
        total_files_uploaded=session.exec(select(func.count()).select_from(StoredFile).where(*uploads)).one(),
        total_rule_sets=session.exec(select(func.count()).select_from(StoredRuleSet).where(rule_sets)).one(),
        recent=views(session, newest(session, organization_id, limit=RECENT)[0]),
        exceptions_by_type=breaks.counts(session, organization_id, "type"),
        exceptions_by_severity=breaks.counts(session, organization_id, "severity"),
    )
