"""Acts that touch both our rows and the engine, in the order that loses nothing: rows first, then the engine.

What the engine missed (it was down, or this process died in between) the sweep finds in the rows and does again; keys and
names make repeating harmless.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlmodel import Session, col, or_, select

from deployments.gateway import EngineGateway
from deployments.names import engine_name
from deployments.register import Registrar
from models import recovery
from models.base import utc_now
from models.db import Database
from models.errors import DependencyDown
from models.lifecycle import RunStatus
from models.runs import StreamRun
from models.streams import Stream

log = logging.getLogger(__name__)

SUBMIT_GRACE = timedelta(seconds=5)
"""How old a run has to be before the sweep takes its submission for lost."""

LOST_GRACE = timedelta(seconds=15)
"""How long a run's rows may stay open after its engine run ended: the run's own process writes them first."""

ENGINE_OVER = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


class Launcher:
    """Submits runs and cancels them, and sweeps up after losses."""

    def __init__(self, database: Database, gateway: EngineGateway, registrar: Registrar) -> None:
        self._database = database
        self._gateway = gateway
        self._registrar = registrar

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
        """Does what was left undone: submissions, and closing runs whose engine run is over."""
        now = utc_now()
        with self._database.read() as session:
            unsubmitted = session.exec(
                select(StreamRun.id).where(
                    col(StreamRun.status) == RunStatus.PENDING,
                    col(StreamRun.engine_run_id).is_(None),
                    col(StreamRun.submit_at) < now - SUBMIT_GRACE,
                )
            ).all()
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

    def _submit(self, run_id: int) -> None:
        with self._database.read() as session:
            run = session.get_one(StreamRun, run_id)
            stream = session.get_one(Stream, run.stream_id)
        engine_run_id = self._hand_over(self._registrar.deployment(stream), stream, run) or self._hand_over(
            self._registrar.registered(stream), stream, run
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
