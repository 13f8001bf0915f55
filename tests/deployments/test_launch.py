"""What the sweep makes of runs and of what an engine says of them. The engine is a stand-in that says what a test needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.gateway import EngineGateway, EngineRun, EngineState
from deployments.launch import WRITES_AT_ONCE, Launcher
from deployments.register import Registrar
from models import recovery, runs
from models.base import utc_now
from models.db import Database, migrate
from models.errors import DependencyDown
from models.lifecycle import StepRunStatus
from models.runs import StreamRun
from models.settings import Settings
from models.streams import Stream, TriggerType
from tests.models.test_db import stream_run

LONG_AGO = timedelta(minutes=5)


class Engine(EngineGateway):
    """Keeps engine runs in memory; `down` makes every call fail as it would."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.runs: dict[str, EngineState] = {}
        self.keys: dict[str, str] = {}
        self.told: list[tuple[str, str]] = []
        self.own: list[EngineRun] = []
        self.down = False

    def register(self, flow_name: str, deployment_name: str, **_: Any) -> str:
        self._answer()
        return deployment_name

    def submit(self, deployment_id: str, *, parameters: dict[str, Any], name: str, idempotency_key: str) -> str | None:
        self._answer()
        engine_run_id = self.keys.setdefault(idempotency_key, f"E:{idempotency_key}")
        self.runs.setdefault(engine_run_id, EngineState("SCHEDULED", since=utc_now()))
        return engine_run_id

    def cancel(self, engine_run_id: str) -> None:
        self._answer()
        self.told.append((engine_run_id, "cancel"))

    def end(self, engine_run_id: str, how: EngineState, message: str) -> None:
        self._answer()
        self.told.append((engine_run_id, how.name or how.type))
        self.runs[engine_run_id] = how

    def states(self, engine_run_ids: Sequence[str]) -> dict[str, EngineState]:
        self._answer()
        return {one: self.runs[one] for one in engine_run_ids if one in self.runs}

    def unclaimed(self, after: datetime) -> list[EngineRun]:
        self._answer()
        return self.own

    def again(self, engine_run_id: str, message: str) -> None:
        self._answer()
        self.told.append((engine_run_id, "again"))

    def _answer(self) -> None:
        if self.down:
            raise DependencyDown("The workflow engine does not answer: as told")


class Scene:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database.from_settings(settings)
        self.engine = Engine(settings)
        self.launcher = self.another()

    def another(self) -> Launcher:
        return Launcher(self.settings, self.database, self.engine, Registrar(self.database, self.engine))

    def run(self, *, claimed: bool = False) -> int:
        run, steps = stream_run(self.database)
        self.launcher.submit(run.id)
        if claimed:
            with self.database.write() as session:
                assert recovery.claim(session, run.id, self.engine_run(run.id))
                runs.move_step(session, steps[0].id, StepRunStatus.IN_PROGRESS, attempt_key="one")
        return run.id

    def engine_run(self, run_id: int) -> str:
        return str(self.at(run_id).engine_run_id)

    def at(self, run_id: int) -> StreamRun:
        with self.database.read() as session:
            return session.get_one(StreamRun, run_id)

    def steps(self, run_id: int) -> list[str]:
        with self.database.read() as session:
            return [one.status for one in runs.step_runs(session, run_id)[0]]

    def age(self, run_id: int, **values: Any) -> None:
        """Lets some minutes pass for a run."""
        with self.database.write() as session:
            run = session.get_one(StreamRun, run_id)
            run.updated_at -= LONG_AGO
            for name in ("submit_at", "completed_at"):
                if (moment := getattr(run, name)) is not None:
                    setattr(run, name, moment - LONG_AGO)
            for name, value in values.items():
                setattr(run, name, value)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    settings = Settings(data_dir=tmp_path, heartbeat=0.001, run_restarts=2)
    migrate(settings)
    made = Scene(settings)
    yield made
    made.database.dispose()


def test_a_lost_submission_is_found_and_made_once(scene: Scene) -> None:
    scene.engine.down = True
    run_id = scene.run()
    assert scene.at(run_id).engine_run_id is None
    scene.age(run_id)
    scene.engine.down = False
    for launcher in (scene.launcher, scene.another()):
        launcher.sweep()
    assert list(scene.engine.runs) == [f"E:recon-run-{run_id}-1"]
    # The answer of the first submission was lost: the same key gives the same engine run.
    scene.age(run_id, engine_run_id=None)
    scene.launcher.sweep()
    assert scene.engine_run(run_id) == f"E:recon-run-{run_id}-1"
    assert len(scene.engine.runs) == 1


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (EngineState("CRASHED", "Crashed"), "ended the run: Crashed"),
        (EngineState("FAILED", "Failed"), "ended the run: Failed"),
        (None, "does not know the run"),
    ],
)
def test_an_engine_run_that_is_over_is_replaced(scene: Scene, state: EngineState | None, reason: str) -> None:
    run_id = scene.run(claimed=True)
    first = scene.engine_run(run_id)
    if state is None:
        del scene.engine.runs[first]
    else:
        scene.engine.runs[first] = state
    scene.launcher.sweep()
    assert scene.engine_run(run_id) == first  # whoever ends a run writes to one after the other
    scene.age(run_id)
    for launcher in (scene.launcher, scene.another()):
        launcher.sweep()
    assert scene.engine_run(run_id) == f"E:recon-run-{run_id}-2"
    assert scene.steps(run_id) == ["RETRY_WAIT", "PENDING"]
    with scene.database.read() as session:
        assert reason in str(runs.step_runs(session, run_id)[0][0].error_message)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_an_engine_run_that_a_worker_took_and_never_began_is_replaced(scene: Scene, state: str) -> None:
    run_id = scene.run()
    scene.engine.runs[scene.engine_run(run_id)] = EngineState(state, since=utc_now() - LONG_AGO)
    scene.age(run_id)
    scene.launcher.sweep()
    assert scene.engine_run(run_id) == f"E:recon-run-{run_id}-2"
    assert scene.at(run_id).status == "PENDING"


def test_the_engine_s_own_run_that_was_lost_before_it_had_a_row_is_begun_again(scene: Scene) -> None:
    run_id = scene.run()
    with scene.database.write() as session:
        session.get_one(Stream, scene.at(run_id).stream_id).deployment_id = "ours"
        session.get_one(StreamRun, run_id).engine_run_id = "has a row"
    ago = utc_now() - LONG_AGO
    scene.engine.runs["has a row"] = EngineState("RUNNING", since=utc_now())
    scene.engine.own = [
        EngineRun("has a row", "ours", EngineState("CRASHED", since=ago)),
        EngineRun("crashed", "ours", EngineState("CRASHED", since=ago)),
        EngineRun("stuck", "ours", EngineState("PENDING", since=ago)),
        EngineRun("just begins", "ours", EngineState("RUNNING", since=utc_now())),
        EngineRun("somebody else's", "theirs", EngineState("CRASHED", since=ago)),
    ]
    scene.launcher.sweep()
    assert scene.engine.told == [("crashed", "again"), ("stuck", "again")]


@pytest.mark.parametrize("state", ["SCHEDULED", "RUNNING", "PENDING"])
def test_an_engine_run_under_way_is_left_alone(scene: Scene, state: str) -> None:
    run_id = scene.run(claimed=True)
    first = scene.engine_run(run_id)
    scene.engine.runs[first] = EngineState(state, since=utc_now())
    scene.age(run_id)
    scene.launcher.sweep()
    assert (scene.engine_run(run_id), scene.engine.told) == (first, [])


def test_a_silent_process_is_lost_whatever_the_engine_says(scene: Scene) -> None:
    run_id = scene.run(claimed=True)
    first = scene.engine_run(run_id)
    scene.engine.runs[first] = EngineState("RUNNING", since=utc_now())
    with scene.database.write() as session:
        session.get_one(StreamRun, run_id).heartbeat_at = utc_now() - LONG_AGO
    scene.launcher.sweep()
    assert scene.engine_run(run_id) == first  # this process has only just begun to look
    scene.launcher.sweep()
    assert scene.engine_run(run_id) != first
    assert scene.engine.told == [(first, "CRASHED")]
    assert not scene.at(run_id).heartbeat_at


def test_nobody_is_lost_who_could_not_say_that_he_lives(scene: Scene) -> None:
    run_id = scene.run(claimed=True)
    first = scene.engine_run(run_id)
    scene.engine.runs[first] = EngineState("RUNNING", since=utc_now())
    scene.launcher.sweep()
    with scene.database.write() as session:
        session.get_one(StreamRun, run_id).heartbeat_at = utc_now() - LONG_AGO
    # A large commit holds SQLite's one write lock for longer than a sign of life may be missing.
    held, asked = threading.Event(), threading.Event()

    def commit_slowly() -> None:
        with scene.database.write() as session:
            session.connection()
            held.set()
            asked.wait()
            time.sleep(1.5 * WRITES_AT_ONCE)

    committing = threading.Thread(target=commit_slowly)
    committing.start()
    held.wait()
    asked.set()
    scene.launcher.sweep()
    committing.join()
    assert scene.engine_run(run_id) == first
    scene.launcher.sweep()
    assert scene.engine_run(run_id) != first


def test_a_run_that_is_lost_too_often_fails_and_makes_room(scene: Scene) -> None:
    run_id = scene.run(claimed=True)
    scene.age(run_id, restarts=2)
    scene.engine.runs[scene.engine_run(run_id)] = EngineState("CRASHED", "Crashed")
    with scene.database.write() as session:
        stream_id = session.get_one(StreamRun, run_id).stream_id
        waiting = runs.create(session, session.get_one(Stream, stream_id), trigger_type=TriggerType.MANUAL)
    scene.launcher.sweep()
    assert (scene.at(run_id).status, scene.steps(run_id)) == ("FAILED", ["FAILED", "SKIPPED"])
    assert scene.at(waiting.id).engine_run_id is not None


@pytest.mark.parametrize("state", ["CANCELLED", "CANCELLING"])
def test_who_cancels_at_the_engine_cancels_the_run(scene: Scene, state: str) -> None:
    run_id = scene.run(claimed=True)
    scene.engine.runs[scene.engine_run(run_id)] = EngineState(state, since=utc_now() - LONG_AGO)
    scene.age(run_id)
    scene.launcher.sweep()
    assert (scene.at(run_id).status, scene.steps(run_id)) == ("CANCELED", ["CANCELED", "CANCELED"])


def test_the_engine_learns_of_a_cancel_that_it_missed(scene: Scene) -> None:
    run_id = scene.run(claimed=True)
    engine_run_id = scene.engine_run(run_id)
    scene.engine.runs[engine_run_id] = EngineState("RUNNING", since=utc_now() - LONG_AGO)
    with scene.database.write() as session:
        runs.cancel(session, run_id, at=utc_now())
    scene.engine.down = True
    scene.launcher.stop(scene.at(run_id))
    scene.engine.down = False
    scene.age(run_id)
    scene.launcher.sweep()
    assert scene.engine.told == [(engine_run_id, "cancel")]
    # No worker is there to end it.
    scene.engine.runs[engine_run_id] = EngineState("CANCELLING", since=utc_now() - LONG_AGO)
    scene.launcher.sweep()
    scene.launcher.sweep()
    assert scene.engine.told[1:] == [(engine_run_id, "CANCELLED")]
    assert scene.at(run_id).engine_over


def test_a_stale_record_of_the_engine_is_overwritten(scene: Scene) -> None:
    run_id = scene.run(claimed=True)
    engine_run_id = scene.engine_run(run_id)
    with scene.database.write() as session:
        recovery.close_lost_run(session, run_id, "gone")
    scene.age(run_id)
    scene.engine.runs[engine_run_id] = EngineState("RUNNING", since=utc_now())
    scene.launcher.sweep()
    assert scene.engine.told == [(engine_run_id, "FAILED")]
    scene.launcher.sweep()
    assert len(scene.engine.told) == 1


def test_one_fault_does_not_keep_the_sweep_from_the_rest(scene: Scene) -> None:
    run_id = scene.run(claimed=True)
    scene.launcher.sweep()
    with scene.database.write() as session:
        session.get_one(StreamRun, run_id).heartbeat_at = utc_now() - LONG_AGO
    scene.engine.down = True
    scene.launcher.sweep()
    assert (scene.at(run_id).engine_run_id, scene.at(run_id).submission) == (None, 2)
    scene.engine.down = False
    scene.age(run_id)
    scene.launcher.sweep()
    assert scene.engine_run(run_id) == f"E:recon-run-{run_id}-2"
