"""Closes what a dead process left open."""

from __future__ import annotations

from sqlalchemy import update
from sqlmodel import Session, col

from models import runs
from models.base import utc_now
from models.lifecycle import RUN_TERMINAL, RunStatus, StepRunStatus
from models.runs import StepRun, StreamRun


def close_lost_run(session: Session, run_id: int, reason: str) -> bool:
    """Ends a run whose engine run is over: steps under way become FAILED (WORKER_LOST), those not begun SKIPPED.

    False if the run had ended already. Steps that completed stay as they are.
    """
    run = session.get_one(StreamRun, run_id)
    if RunStatus(run.status) in RUN_TERMINAL:
        return False
    now = utc_now()
    session.execute(
        update(StepRun)
        .where(
            col(StepRun.run_id) == run_id,
            col(StepRun.status).in_([StepRunStatus.IN_PROGRESS, StepRunStatus.RETRY_WAIT]),
        )
        .values(
            status=StepRunStatus.FAILED,
            attempt_key=None,
            error_class="WORKER_LOST",
            error_message=reason,
            completed_at=now,
            updated_at=now,
        )
    )
    runs.skip_open_steps(session, run_id)
    steps, _ = runs.step_runs(session, run_id)
    if all(step.status == StepRunStatus.COMPLETED for step in steps):
        runs.close(session, run_id)
    else:
        runs.move(session, run_id, RunStatus.FAILED, completed_at=now, error_message=reason)
    return True
