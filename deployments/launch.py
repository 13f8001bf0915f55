"""Acts that touch both our rows and the engine, in the order that loses nothing: rows first, then the engine.

What the engine missed (it was down, or this process died in between) the sweep finds in the rows and does again; keys and
names make repeating harmless, also for several processes that sweep at the same time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlmodel import col, or_, select

from deployments.gateway import ENGINE_OVER, EngineGateway, EngineState
from deployments.names import engine_name
from deployments.register import Registrar
from models import recovery, runs, starts, turns
from models.base import utc_now
from models.db import Database
from models.errors import DependencyDown, ReconError
from models.lifecycle import RUN_OPEN, RUN_TERMINAL, RunStatus
from models.recovery import Release
from models.runs import StreamRun
from models.settings import Settings
from models.streams import Stream

log = logging.getLogger(__name__)

SUBMIT_GRACE = timedelta(seconds=3)
"""How long a run has to be due before the sweep takes its submission for lost."""

SETTLE_GRACE = timedelta(seconds=10)
"""How long our rows and the engine's may differ: whoever ends a run writes to one after the other."""

SECOND_CHANCE = timedelta(minutes=5)
"""How long after its time an engine run that was lost before it had a row of ours is begun again."""

WRITES_AT_ONCE = 1.0
"""Seconds. A database that takes longer to begin a write keeps those who live from saying so."""

AT_ONCE = 100
"""Engine runs that are asked for in one request."""

ENGINE_ENDS = {
    RunStatus.COMPLETED: EngineState("COMPLETED"),
    RunStatus.PARTIAL_FAILED: EngineState("COMPLETED", name="PartialFailed"),
    RunStatus.FAILED: EngineState("FAILED"),
    RunStatus.CANCELED: EngineState("CANCELLED"),
}
"""How an engine run has to end whose run ended so."""


class Launcher:
    """Submits runs and cancels them, and sweeps up after losses."""

    def __init__(self, settings: Settings, database: Database, gateway: EngineGateway, registrar: Registrar) -> None:
        self._settings = settings
        self._database = database
        self._gateway = gateway
        self._registrar = registrar
        self._database_since: float | None = None

    @classmethod
    @contextmanager
    def of_process(cls, settings: Settings, database: Database) -> Iterator[Launcher]:
        """A launcher for the processes that execute runs."""
        gateway = EngineGateway(settings)
        gateway.open()
        try:
            yield cls(settings, database, gateway, Registrar(database, gateway))
        finally:
            gateway.close()

    def submit(self, run_id: int) -> None:
        """Hands a run to the engine, if it is its turn; if the engine is down the sweep does it later."""
        with self._database.read() as session:
            stream_id = session.get_one(StreamRun, run_id).stream_id
            is_due = run_id in turns.due(session, utc_now(), stream_id=stream_id)
        if is_due:
            self._try(lambda: self._submit(run_id), f"run {run_id} is not submitted yet")

    def submit_next(self, stream_id: int) -> None:
        """Hands those runs of a stream to the engine whose turn it is, now that another one has ended."""
        with self._database.read() as session:
            due = turns.due(session, utc_now(), stream_id=stream_id)
        for run_id in due:
            self._try(lambda run_id=run_id: self._submit(run_id), f"run {run_id} is not submitted yet")

    def stop(self, run: StreamRun) -> None:
        """Tells the engine that a cancelled run is over, and whose turn it is now; our rows say so already."""
        engine_run_id = run.engine_run_id
        if engine_run_id is not None:
            what = f"the engine was not told that run {run.id} was cancelled"
            self._try(lambda: self._gateway.cancel(engine_run_id), what)
        self.submit_next(run.stream_id)

    def engine_ended(self, engine_run_id: str, *, cancelled: bool, how: str | None) -> None:
        """Draws the consequence of an engine run's end: its run is cancelled with it, or goes on in another one."""
        with self._database.read() as session:
            run = recovery.run_of(session, engine_run_id)
        if run is None:
            return
        if not cancelled:
            self._release(run, f"The engine ended the run: {how}")
            return
        with self._database.write() as session:
            runs.cancel(session, run.id, at=utc_now())
        self.submit_next(run.stream_id)

    def sweep(self) -> None:
        """Does what was left undone: submits, continues what was lost, and puts right what the engine says of ended runs."""
        began = time.monotonic()
        try:
            with self._database.read() as session:
                due = turns.due(session, utc_now() - SUBMIT_GRACE)
            with self._database.write() as session:
                session.connection()  # a sign of life has to wait for as much
        except DependencyDown:
            self._database_since = None
            raise
        now = time.monotonic()
        if now - began > WRITES_AT_ONCE:
            self._database_since = None
        self._database_since = self._database_since or now
        for run_id in due:
            if not self._try(lambda run_id=run_id: self._submit(run_id), f"run {run_id} is not submitted yet"):
                break
        # A process that lives needs some time to say so after the database was away, or SQLite's write lock was.
        if now - self._database_since > 2 * self._settings.heartbeat:
            self._release_silent()
        self._try(self._compare_open, "open runs were not compared with the engine")
        self._try(self._begin_again, "the engine's own runs were not looked at")
        self._try(self._settle_ended, "ended runs were not compared with the engine")

    def _release_silent(self) -> None:
        silent = utc_now() - timedelta(seconds=self._settings.lost_after)
        with self._database.read() as session:
            chosen = (col(StreamRun.status) == RunStatus.RUNNING, col(StreamRun.heartbeat_at) < silent)
            lost = session.exec(select(StreamRun).where(*chosen)).all()
        for run in lost:
            self._release(run, f"The process of the run gave no sign of life for {self._settings.lost_after:g} s")

    def _compare_open(self) -> None:
        """Continues open runs whose engine run is over, unknown, or was taken by a worker that died before it began."""
        now = utc_now()
        chosen = (col(StreamRun.status).in_(RUN_OPEN), col(StreamRun.updated_at) < now - SETTLE_GRACE)
        for run, state in self._with_states(*chosen):
            if state is None:
                self._release(run, "The engine does not know the run any more")
            elif state.type == "CANCELLED" or (
                state.type == "CANCELLING" and state.older_than(SETTLE_GRACE.total_seconds(), now)
            ):
                self.engine_ended(str(run.engine_run_id), cancelled=True, how=state.name)
            elif state.type in ENGINE_OVER:
                self._release(run, f"The engine ended the run: {state.name}")
            elif self._stuck(state, now) and run.heartbeat_at is None:
                self._release(run, f"The engine run did not begin within {self._settings.engine_start:g} s")

    def _stuck(self, state: EngineState, now: datetime) -> bool:
        """Whether a worker has had an engine run for so long that it must have begun."""
        return state.type in ("PENDING", "RUNNING") and state.older_than(self._settings.engine_start, now)

    def _begin_again(self) -> None:
        """Has the engine begin those runs of its own again that were lost before they had a row of ours."""
        now = utc_now()
        lost = [
            one
            for one in self._gateway.unclaimed(now - SECOND_CHANCE)
            if self._stuck(one.state, now)
            or (one.state.type == "CRASHED" and one.state.older_than(SETTLE_GRACE.total_seconds(), now))
        ]
        if not lost:
            return
        ids = [one.id for one in lost]
        keys = [starts.engine_key(one) for one in ids]
        with self._database.read() as session:
            deployments = [one.deployment_id for one in lost]
            ours = set(session.exec(select(Stream.deployment_id).where(col(Stream.deployment_id).in_(deployments))))
            chosen = or_(col(StreamRun.engine_run_id).in_(ids), col(StreamRun.idempotency_key).in_(keys))
            rows = session.exec(select(StreamRun.engine_run_id, StreamRun.idempotency_key).where(chosen)).all()
        known = {name for row in rows for name in row}
        for one, key in zip(lost, keys, strict=True):
            if one.deployment_id in ours and not known & {one.id, key}:
                log.warning("engine run %s is begun again: it was %s and had no run", one.id, one.state.type)
                self._gateway.again(one.id, "It was lost before it had begun")

    def _settle_ended(self) -> None:
        """Makes the engine's records of ended runs say what ours say."""
        now = utc_now()
        chosen = (
            col(StreamRun.status).in_(RUN_TERMINAL),
            col(StreamRun.engine_over).is_(False),
            col(StreamRun.completed_at) < now - SETTLE_GRACE,
        )
        for run, state in self._with_states(*chosen):
            engine_run_id, end = str(run.engine_run_id), ENGINE_ENDS[RunStatus(run.status)]
            if state is not None and state.type != end.type:
                if end.type == "CANCELLED" and state.type not in ENGINE_OVER:
                    # A worker ends what is cancelling, if there is one.
                    if state.type != "CANCELLING":
                        self._gateway.cancel(engine_run_id)
                        continue
                    if not state.older_than(SETTLE_GRACE.total_seconds(), now):
                        continue
                self._gateway.end(engine_run_id, end, run.error_message or f"The run is {run.status}")
            with self._database.write() as session:
                session.get_one(StreamRun, run.id).engine_over = True

    def _with_states(self, *chosen: object) -> Iterator[tuple[StreamRun, EngineState | None]]:
        """The chosen runs that have an engine run, with what the engine says of that; None if it does not know it."""
        with self._database.read() as session:
            query = select(StreamRun).where(*chosen, col(StreamRun.engine_run_id).is_not(None))  # pyright: ignore
            found = session.exec(query.order_by(col(StreamRun.id).desc()).limit(10 * AT_ONCE)).all()
        for start in range(0, len(found), AT_ONCE):
            part = found[start : start + AT_ONCE]
            states = self._gateway.states([str(one.engine_run_id) for one in part])
            yield from ((one, states.get(str(one.engine_run_id))) for one in part)

    def _release(self, run: StreamRun, reason: str) -> None:
        """Takes a run from its engine run and hands it to another one, or ends it where that was done often enough."""
        engine_run_id = str(run.engine_run_id)
        with self._database.write() as session:
            became = recovery.release(session, run.id, engine_run_id, reason, restarts=self._settings.run_restarts)
        if became is Release.NOT_LOST:
            return
        log.warning("run %s %s: %s", run.id, became.lower(), reason)
        lost = EngineState("CRASHED")
        self._try(lambda: self._gateway.end(engine_run_id, lost, reason), f"the engine still holds {engine_run_id}")
        self.submit_next(run.stream_id)

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
            wanted = recovery.note_submitted(session, run_id, run.submission, engine_run_id)
        if not wanted:
            self._gateway.cancel(engine_run_id)

    def _hand_over(self, deployment_id: str, stream: Stream, run: StreamRun) -> str | None:
        return self._gateway.submit(
            deployment_id,
            parameters={"stream_id": stream.id, "run_id": run.id},
            name=engine_name(f"{stream.name} · run", run.id) + (f" · {run.submission}" if run.submission > 1 else ""),
            idempotency_key=f"recon-run-{run.id}-{run.submission}",
        )

    @staticmethod
    def _try(act: Callable[[], object], undone: str) -> bool:
        try:
            act()
        except ReconError as error:
            log.warning("%s: %s", undone, error.message)
            return False
        return True
