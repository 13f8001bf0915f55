"""Who executes a run, whether that process still lives, and what becomes of a run that it left.

A run is executed by the engine run that claimed it, until it is taken from it: `engine_run_id` is the token, and whoever does not
hold it begins no step. What such a process has begun is void because its attempt keys are.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, or_, update
from sqlmodel import Session, col, select

from models import runs
from models.base import utc_now
from models.lifecycle import RUN_OPEN, RUN_TERMINAL, STEP_OPEN, RunStatus, StepRunStatus
from models.runs import StepRun, StreamRun

UNDER_WAY = (StepRunStatus.IN_PROGRESS, StepRunStatus.RETRY_WAIT)
LONGEST_PAUSE = 30
"""Seconds before a run that keeps losing its engine runs gets the next one, at most."""


class Release(StrEnum):
    """What became of a run that lost its engine run."""

    CONTINUES = "CONTINUES"
    ENDED = "ENDED"
    NOT_LOST = "NOT_LOST"


def claim(session: Session, run_id: int, engine_run_id: str) -> bool:
    """Makes the engine run the one that executes the run, which is RUNNING then; False if it ended or another one has it."""
    now = utc_now()
    changed = session.execute(
        update(StreamRun)
        .where(
            col(StreamRun.id) == run_id,
            col(StreamRun.status).in_(RUN_OPEN),
            or_(col(StreamRun.heartbeat_at).is_(None), col(StreamRun.engine_run_id) == engine_run_id),
        )
        .values(
            status=RunStatus.RUNNING,
            engine_run_id=engine_run_id,
            heartbeat_at=now,
            started_at=func.coalesce(col(StreamRun.started_at), now),
            updated_at=now,
        )
    )
    return _rows(changed) == 1


def note_submitted(session: Session, run_id: int, submission: int, engine_run_id: str) -> bool:
    """Remembers the engine run of a submission; False if the run is not that engine run's to execute any more."""
    session.execute(
        update(StreamRun)
        .where(
            col(StreamRun.id) == run_id,
            col(StreamRun.submission) == submission,
            col(StreamRun.engine_run_id).is_(None),
            col(StreamRun.status).in_(RUN_OPEN),
        )
        .values(engine_run_id=engine_run_id, updated_at=utc_now())
    )
    run = session.get_one(StreamRun, run_id, populate_existing=True)
    return run.engine_run_id == engine_run_id and run.status != RunStatus.CANCELED


def beat(session: Session, run_id: int, engine_run_id: str) -> bool:
    """Says that the executing process lives; False if the run has ended or is not the engine run's any more."""
    changed = session.execute(update(StreamRun).where(*_held(run_id, engine_run_id)).values(heartbeat_at=utc_now()))
    return _rows(changed) == 1


def holds(session: Session, run_id: int, engine_run_id: str) -> bool:
    """Whether the engine run is still the one that executes the run."""
    return session.exec(select(StreamRun.id).where(*_held(run_id, engine_run_id))).first() is not None


def run_of(session: Session, engine_run_id: str) -> StreamRun | None:
    """The open run that is the engine run's to execute."""
    mine = (col(StreamRun.engine_run_id) == engine_run_id, col(StreamRun.status).in_(RUN_OPEN))
    return session.exec(select(StreamRun).where(*mine)).one_or_none()


def release(session: Session, run_id: int, engine_run_id: str, reason: str, *, restarts: int) -> Release:
    """Takes a run from an engine run that is over or gives no sign of life, so that another one can go on with it.

    Steps under way wait for their next attempt; what is done stays done. After `restarts` losses in a row, the run is FAILED
    (WORKER_LOST). NOT_LOST if the run has ended or is another engine run's.
    """
    run = session.exec(select(StreamRun).where(col(StreamRun.id) == run_id).with_for_update()).one()
    if run.engine_run_id != engine_run_id or RunStatus(run.status) in RUN_TERMINAL:
        return Release.NOT_LOST
    steps, _ = runs.step_runs(session, run_id)
    if not any(step.status in STEP_OPEN for step in steps):
        # Only the last word was missing.
        runs.close(session, run_id)
        return Release.ENDED
    if run.restarts >= restarts:
        close_lost_run(session, run_id, f"WORKER_LOST: {reason}; {run.restarts + 1} engine runs in a row were lost")
        return Release.ENDED
    now = utc_now()
    session.execute(
        update(StepRun)
        .where(col(StepRun.run_id) == run_id, col(StepRun.status) == StepRunStatus.IN_PROGRESS)
        .values(
            status=StepRunStatus.RETRY_WAIT,
            attempt_key=None,
            lost_attempts=col(StepRun.lost_attempts) + 1,
            error_class="WORKER_LOST",
            error_message=reason,
            updated_at=now,
        )
    )
    # At once after the first loss, later and later after others.
    pause = timedelta(seconds=min(2.0**run.restarts - 1, LONGEST_PAUSE))
    run.engine_run_id = run.heartbeat_at = None
    run.submission += 1
    run.restarts += 1
    run.submit_at = now + pause
    run.updated_at = now
    session.add(run)
    return Release.CONTINUES


def close_lost_run(session: Session, run_id: int, reason: str) -> bool:
    """Ends a run that can't go on: steps under way become FAILED (WORKER_LOST), those not begun SKIPPED.

    False if the run had ended already. Steps that completed stay as they are.
    """
    run = session.get_one(StreamRun, run_id)
    if RunStatus(run.status) in RUN_TERMINAL:
        return False
    now = utc_now()
    session.execute(
        update(StepRun)
        .where(col(StepRun.run_id) == run_id, col(StepRun.status).in_(UNDER_WAY))
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


def _held(run_id: int, engine_run_id: str) -> tuple[ColumnElement[bool], ...]:
    return (
        col(StreamRun.id) == run_id,
        col(StreamRun.engine_run_id) == engine_run_id,
        col(StreamRun.status) == RunStatus.RUNNING,
    )


def _rows(result: Any) -> int:
    return int(result.rowcount)
