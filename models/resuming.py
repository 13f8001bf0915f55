"""Continuing a run that ended short of its goal, as a new run that links to it."""

from __future__ import annotations

from sqlmodel import Session, col, select

from models import runs, streams
from models.errors import Conflict
from models.lifecycle import RUN_OPEN, RunStatus
from models.runs import StreamRun
from models.streams import Stream, TriggerType

RESUMABLE = (RunStatus.FAILED, RunStatus.PARTIAL_FAILED)


def resume(session: Session, organization_id: int, run_id: int) -> tuple[StreamRun, bool]:
    """The run that continues a FAILED or PARTIAL_FAILED one, and whether it was made now.

    It has the old run's definition version and the rule sets' present ones, so that a rule set that was mended counts. Steps
    that completed are carried over, the others are executed. While a run that continues the old one is open, that one is given.
    Raises NotFound, or Conflict: RUN_NOT_RESUMABLE, RUN_ALREADY_RESUMED, STREAM_NOT_ACTIVE, RUN_ACTIVE.
    """
    old = runs.get(session, organization_id, run_id)
    # Taken for this transaction: of two who ask at the same time, the second finds the first one's run.
    stream = session.exec(select(Stream).where(col(Stream.id) == old.stream_id).with_for_update()).one()
    if stream.implicit or old.status not in RESUMABLE:
        reason = (
            "belongs to a reconciliation; start that again" if stream.implicit else f"is {old.status}; only "
            "FAILED and PARTIAL_FAILED runs can be resumed"
        )  # fmt: skip
        raise Conflict(f"Run {old.id} {reason}", code="RUN_NOT_RESUMABLE", run_id=old.id, status=old.status)
    followers = session.exec(
        select(StreamRun).where(col(StreamRun.resumed_from) == old.id).order_by(col(StreamRun.id))
    ).all()
    for one in followers:
        if RunStatus(one.status) in RUN_OPEN:
            return one, False
        if one.status != RunStatus.CANCELED:
            raise Conflict(
                f"Run {old.id} was resumed by run {one.id}, which is {one.status}",
                code="RUN_ALREADY_RESUMED",
                run_id=old.id,
                resumed_by=one.id,
            )
    streams.runnable(stream)
    made = runs.create(
        session,
        stream,
        trigger_type=TriggerType.MANUAL,
        trigger_metadata=old.trigger_metadata,
        resumed=old,
    )
    return made, True
