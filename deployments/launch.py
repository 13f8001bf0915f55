"""Acts that touch both our rows and the engine, in the order that loses nothing: rows first, then the engine.

What the engine missed (it was down, or this process died in between) the sweep finds in the rows and does again; keys and
names make repeating harmless.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlmodel import Session, col, or_, select

from deployments.gateway import EngineGateway, engine_name
from models import recovery
from models.base import utc_now
from models.db import Database
from models.errors import DependencyDown
from models.lifecycle import RunStatus, StreamStatus
from models.runs import StreamRun
from models.streams import Stream, TriggerType

log = logging.getLogger(__name__)

IMPLICIT_FLOW = "Reconciliations"
IMPLICIT_DEPLOYMENT = "reconciliation"
SUBMIT_GRACE = timedelta(seconds=5)
"""How old a run has to be before the sweep takes its submission for lost."""

LOST_GRACE = timedelta(seconds=15)
"""How long a run's rows may stay open after its engine run ended: the run's own process writes them first."""

ENGINE_OVER = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


class Launcher:
    """Registers streams, submits runs and cancels them, and sweeps up after losses."""

    def __init__(self, database: Database, gateway: EngineGateway) -> None:
        self._database = database
        self._gateway = gateway
        self._implicit_deployment: str | None = None

    def register(self, stream: Stream) -> str | None:
        """Makes the stream's deployment say what the stream says; None if the engine is down (the sweep does it later)."""
        try:
            return self._register(stream)
        except DependencyDown as error:
            log.warning("stream %s is not registered yet: %s", stream.id, error.message)
            return None

    def submit(self, run_id: int) -> None:
        """Hands a PENDING run to the engine; if the engine is down the run stays PENDING and the sweep submits it."""
        try:
            self._submit(run_id)
        except DependencyDown as error:
            log.warning("run %s is not submitted yet: %s", run_id, error.message)

    def stop(self, run: StreamRun) -> None:
        """Tells the engine that a cancelled run is over; our rows say so already."""
        if run.engine_run_id is None:
            return
        try:
            self._gateway.cancel(run.engine_run_id)
        except DependencyDown as error:
            log.warning("the engine was not told that run %s was cancelled: %s", run.id, error.message)

    def sweep(self) -> None:
        """Does what was left undone: registrations, submissions, and closing runs whose engine run is over."""
        now = utc_now()
        with self._database.read() as session:
            unregistered = session.exec(
                select(Stream).where(
                    col(Stream.deployment_id).is_(None),
                    col(Stream.status) == StreamStatus.ACTIVE,
                    col(Stream.implicit).is_(False),
                    col(Stream.created_at) < now - SUBMIT_GRACE,
                )
            ).all()
            unsubmitted = session.exec(
                select(StreamRun.id).where(
                    col(StreamRun.status) == RunStatus.PENDING,
                    col(StreamRun.engine_run_id).is_(None),
                    col(StreamRun.submit_at) < now - SUBMIT_GRACE,
                )
            ).all()
        for stream in unregistered:
            self._register(stream)
        for run_id in unsubmitted:
            self._submit(run_id)
        self._close_lost()

    def _close_lost(self) -> None:
        with self._database.read() as session:
            open_runs = session.exec(
                select(StreamRun.id, StreamRun.engine_run_id).where(
                    or_(col(StreamRun.status) == RunStatus.RUNNING, col(StreamRun.status) == RunStatus.PENDING),
                    col(StreamRun.engine_run_id).is_not(None),
                    col(StreamRun.updated_at) < utc_now() - LOST_GRACE,
                )
            ).all()
        if not open_runs:
            return
        states = self._gateway.states([engine_id for _, engine_id in open_runs if engine_id is not None])
        for run_id, engine_id in open_runs:
            state = states.get(engine_id or "", "UNKNOWN")
            if state in ENGINE_OVER:
                with self._database.write() as session:
                    recovery.close_lost_run(session, run_id, f"The engine ended the run: {state}")

    def _register(self, stream: Stream) -> str:
        if stream.implicit:
            self._implicit_deployment = self._gateway.register(IMPLICIT_FLOW, IMPLICIT_DEPLOYMENT, parameters={})
            return self._implicit_deployment
        scheduled = stream.trigger_type == TriggerType.SCHEDULED
        deployment_id = self._gateway.register(
            engine_name(stream.name, stream.id),
            f"stream-{stream.id}",
            parameters={"stream_id": stream.id},
            description=stream.description,
            schedule=stream.trigger_config if scheduled else None,
            active=stream.status == StreamStatus.ACTIVE,
            tags=[stream.domain],
        )
        with self._database.write() as session:
            stored = session.get_one(Stream, stream.id)
            stored.deployment_id = deployment_id
            session.add(stored)
        return deployment_id

    def _submit(self, run_id: int) -> None:
        with self._database.read() as session:
            run = session.get_one(StreamRun, run_id)
            stream = session.get_one(Stream, run.stream_id)
        known = self._implicit_deployment if stream.implicit else stream.deployment_id
        deployment_id = known or self._register(stream)
        engine_run_id = self._hand_over(deployment_id, stream, run) or self._hand_over(
            self._register(stream), stream, run
        )
        if engine_run_id is None:
            raise DependencyDown(f"The workflow engine lost the deployment of stream {stream.id} twice")
        with self._database.write() as session:
            canceled = not _note_submitted(session, run_id, engine_run_id)
        if canceled:
            self._gateway.cancel(engine_run_id)

    def _hand_over(self, deployment_id: str, stream: Stream, run: StreamRun) -> str | None:
        return self._gateway.submit(
            deployment_id,
            parameters={"stream_id": stream.id, "run_id": run.id},
            name=engine_name(f"{stream.name} · run", run.id),
            idempotency_key=f"recon-run-{run.id}",
        )


def _note_submitted(session: Session, run_id: int, engine_run_id: str) -> bool:
    """Remembers the engine's id; False if the run was cancelled meanwhile."""
    run = session.get_one(StreamRun, run_id)
    run.engine_run_id = engine_run_id
    session.add(run)
    return run.status != RunStatus.CANCELED
