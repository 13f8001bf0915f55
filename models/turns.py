"""Whose turn it is: runs of one stream wait for each other, unless the stream says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from models.base import utc_now
from models.lifecycle import RUN_OPEN, RunStatus
from models.runs import StreamRun
from models.streams import Concurrency, Stream


def due(session: Session, before: datetime, *, stream_id: int | None = None) -> Sequence[int]:
    """The runs that the engine should have by now, oldest first: open, in no engine run, submittable since `before` at the
    latest, and not waiting for another run of their stream. Only those of one stream if `stream_id` is given.
    """
    older = aliased(StreamRun)
    waiting = exists().where(
        older.stream_id == StreamRun.stream_id,  # pyright: ignore[reportArgumentType]
        col(older.id) < col(StreamRun.id),
        col(older.status).in_(RUN_OPEN),
    )
    chosen = (
        select(StreamRun.id, Stream, waiting)
        .join(Stream, col(StreamRun.stream_id) == col(Stream.id))
        .where(
            col(StreamRun.status).in_(RUN_OPEN),
            col(StreamRun.engine_run_id).is_(None),
            col(StreamRun.submit_at) <= before,
        )
        .order_by(col(StreamRun.id))
    )
    if stream_id is not None:
        chosen = chosen.where(col(StreamRun.stream_id) == stream_id)
    return [run_id for run_id, stream, waits in session.exec(chosen).all() if not (waits and _queued(stream))]


def waits_for(session: Session, run: StreamRun) -> int | None:
    """The run that has to end before this one may begin; None if it is this one's turn."""
    if run.status != RunStatus.PENDING or not _queued(session.get_one(Stream, run.stream_id)):
        return None
    older = (
        col(StreamRun.stream_id) == run.stream_id,
        col(StreamRun.id) < run.id,
        col(StreamRun.status).in_(RUN_OPEN),
    )
    return session.exec(select(StreamRun.id).where(*older).order_by(col(StreamRun.id).desc()).limit(1)).first()


def put_back(session: Session, run: StreamRun) -> None:
    """Takes a run that must wait out of its engine run: it gets another one when its turn comes."""
    run.engine_run_id = None
    run.submission += 1
    run.submit_at = run.updated_at = utc_now()
    session.add(run)


def _queued(stream: Stream) -> bool:
    # SKIP keeps a second run from being created; a run that is there all the same (the policy was changed) waits.
    return stream.concurrency is not Concurrency.ALLOW
