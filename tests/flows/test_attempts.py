"""Attempts on real rows and blobs, without an engine: what they leave when they succeed, fail, take too long, come too late."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlmodel import Session, col, select

from flows.contained import ProcessLost, StepTimeout, contained
from flows.step import AttemptFailed, AttemptFenced, run_attempt
from flows.workplace import Workplace
from models import definitions, recovery, rules, runs, uploads
from models.artifacts import Artifact
from models.base import utc_now
from models.breaks import Break
from models.db import migrate
from models.errors import DependencyDown
from models.lifecycle import StepRunStatus
from models.recovery import Release
from models.rules import StoredMapping, StoredRuleSet
from models.runs import StepRun, StreamRun
from models.settings import Settings
from models.streams import Stream, TriggerType
from tests.flows import far_too_long
from tests.flows.slow import SLOW_PASS, slow_rows

ENGINE = "the engine run"


@dataclass
class Bench:
    """A workplace on SQLite and a directory, and what makes runs there."""

    place: Workplace

    def upload(self, text: str) -> int:
        incoming = uploads.Incoming(self.place.storage, 1, "a.csv", "text/csv")
        incoming.write(text.encode())
        incoming.finish()
        return uploads.register(self.place.database, self.place.storage, 1, incoming).id

    def begun(self, files: list[int], passes: list[dict[str, Any]] | None = None, **config: Any) -> int:
        """The step run of a one-step run that ENGINE has claimed."""
        with self.place.database.write() as session:
            rule_set = StoredRuleSet(organization_id=1, name="rules", passes=passes)
            stream = Stream(organization_id=1, name="stream")
            session.add_all([rule_set, stream])
            session.flush()
            mappings = [] if passes else [StoredMapping(source_field="id", target_field="id", is_key=True)]
            rules.add_parts(session, rule_set, mappings, [])
            rules.snapshot(session, rule_set)
            given = [{"type": "FILE", "id": one} for one in files]
            definitions.write_steps(
                session, stream, [definitions.StepDraft(1, "step", given[0], given[1], rule_set.id, config)]
            )
            run = runs.create(session, stream, trigger_type=TriggerType.MANUAL)
            assert recovery.claim(session, run.id, f"{ENGINE} {run.id}")
            return runs.step_runs(session, run.id)[0][0].id

    def step_run(self, step_run_id: int) -> StepRun:
        with self.place.database.read() as session:
            return session.get_one(StepRun, step_run_id)

    def counts(self, step_run_id: int) -> tuple[int, int]:
        """Artifacts and breaks."""
        with self.place.database.read() as session:
            return (
                len(session.exec(select(Artifact.id).where(col(Artifact.step_run_id) == step_run_id)).all()),
                len(session.exec(select(Break.id).where(col(Break.step_run_id) == step_run_id)).all()),
            )

    def blobs(self) -> list[str]:
        return [path for path in self.place.storage.list() if "/attempt-" in path]

    def engine(self, step_run_id: int) -> str:
        return f"{ENGINE} {self.step_run(step_run_id).run_id}"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("attempts"), database_patience=1)
    migrate(settings)
    made = Bench(Workplace.from_settings(settings))
    yield made
    made.place.database.dispose()


@pytest.fixture(scope="module")
def files(bench: Bench) -> list[int]:
    return [bench.upload("id,amt\n1,5\n2,6\n"), bench.upload("id,amt\n1,5\n3,7\n")]


def test_an_attempt_repeated_after_its_commit_changes_nothing(bench: Bench, files: list[int]) -> None:
    one = bench.begun(files)
    prepared: list[bool] = []
    summary = run_attempt(bench.place, one, bench.engine(one), on_prepared=lambda: prepared.append(True))
    assert summary is not None
    assert (summary.matched, summary.exceptions, prepared) == (1, {"MISSING_SOURCE": 1, "MISSING_TARGET": 1}, [True])
    before = (bench.step_run(one), bench.counts(one), bench.blobs())
    assert bench.counts(one) == (4, 2)
    assert run_attempt(bench.place, one, bench.engine(one)) is None
    assert (bench.step_run(one), bench.counts(one), bench.blobs()) == before


def test_an_attempt_in_a_process_of_its_own_leaves_the_same(bench: Bench, files: list[int]) -> None:
    one = bench.begun(files, timeoutSeconds=60)
    summary = run_attempt(bench.place, one, bench.engine(one), beside=2)
    assert summary is not None
    assert (summary.matched, len(summary.files)) == (1, 4)
    assert bench.counts(one) == (4, 2)
    wrong = bench.begun([files[0], bench.upload("other\n1\n")], timeoutSeconds=60, maxRetries=3)
    with pytest.raises(AttemptFailed, match="COLUMN_NOT_FOUND") as failed:
        run_attempt(bench.place, wrong, bench.engine(wrong))
    assert not failed.value.retry


def test_an_attempt_that_takes_too_long_is_ended_and_retried(bench: Bench) -> None:
    slow = [bench.upload(slow_rows(seed)) for seed in (1, 2)]
    one = bench.begun(slow, SLOW_PASS, timeoutSeconds=2, maxRetries=1)
    blobs = bench.blobs()
    for attempt_no, status, retry in ((1, "RETRY_WAIT", True), (2, "FAILED", False)):
        with pytest.raises(AttemptFailed, match="STEP_TIMEOUT: The attempt took longer than 2 s") as failed:
            run_attempt(bench.place, one, bench.engine(one))
        assert failed.value.retry is retry
        now = bench.step_run(one)
        assert (now.status, now.attempt_no, now.error_class) == (status, attempt_no, "STEP_TIMEOUT")
    assert bench.counts(one) == (0, 0)
    assert bench.blobs() == blobs


def test_work_is_ended_inside_a_native_call(tmp_path: Path) -> None:
    trace = tmp_path / "pid"
    with pytest.raises(StepTimeout):
        contained(10, far_too_long.compute, trace)
    assert not psutil.pid_exists(int(trace.read_text()))
    assert contained(60, far_too_long.add, 2, 3) == 5
    with pytest.raises(ProcessLost, match="exit code -9"):
        contained(60, far_too_long.vanish)


def test_whoever_has_lost_the_run_begins_nothing(bench: Bench, files: list[int]) -> None:
    one = bench.begun(files)
    with pytest.raises(AttemptFenced):
        run_attempt(bench.place, one, "another engine run")
    assert bench.step_run(one).status == "PENDING"
    with bench.place.database.write() as session:
        runs.cancel(session, bench.step_run(one).run_id, at=utc_now())
    with pytest.raises(AttemptFenced):
        run_attempt(bench.place, one, bench.engine(one))
    assert bench.counts(one) == (0, 0)


def test_a_result_that_comes_too_late_is_dropped(bench: Bench, files: list[int]) -> None:
    one = bench.begun(files)
    engine, run_id = bench.engine(one), bench.step_run(one).run_id
    before = bench.blobs()

    def take_away() -> None:
        with bench.place.database.write() as session:
            assert recovery.release(session, run_id, engine, "gone", restarts=3) is Release.CONTINUES

    with pytest.raises(AttemptFenced):
        run_attempt(bench.place, one, engine, on_prepared=take_away)
    assert (bench.counts(one), bench.blobs()) == ((0, 0), before)
    # The next one is another attempt, and no retry: the step has none.
    with bench.place.database.write() as session:
        assert recovery.claim(session, run_id, f"{engine} again")
    assert run_attempt(bench.place, one, f"{engine} again") is not None
    now = bench.step_run(one)
    assert (now.status, now.attempt_no, now.lost_attempts) == ("COMPLETED", 2, 1)


def test_lost_attempts_are_no_retries(bench: Bench, files: list[int]) -> None:
    one = bench.begun(files, maxRetries=1)
    run_id = bench.step_run(one).run_id
    outage = StepTimeout("as if")

    def fail() -> None:
        raise outage

    engine = bench.engine(one)
    for lost in range(3):
        with bench.place.database.write() as session:
            runs.move_step(session, one, StepRunStatus.IN_PROGRESS, attempt_key="x", attempt_no=lost + 1)
            assert recovery.release(session, run_id, engine, "gone", restarts=9) is Release.CONTINUES
            engine = f"{run_id}-{lost}"
            recovery.claim(session, run_id, engine)
    for retry in (True, False):
        with pytest.raises(AttemptFailed) as failed:
            run_attempt(bench.place, one, engine, on_prepared=fail)
        assert failed.value.retry is retry
    assert bench.step_run(one).attempt_no == 5


def test_the_answer_of_a_commit_may_be_lost(bench: Bench, files: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench.begun(files)
    committing = Session.commit
    lost: list[int] = []

    def commit(self: Session) -> None:
        committing(self)
        with bench.place.database.read() as session:
            status = session.get_one(StepRun, one).status
        if status == "COMPLETED" and not lost:
            lost.append(1)
            raise DependencyDown("the answer was lost")

    monkeypatch.setattr(Session, "commit", commit)
    assert run_attempt(bench.place, one, bench.engine(one)) is not None
    assert (bench.counts(one), bench.step_run(one).attempt_no, lost) == ((4, 2), 1, [1])


def test_rows_are_waited_for(bench: Bench) -> None:
    tries: list[float] = []

    def look(session: Session) -> int:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise DependencyDown("away")
        return 7

    assert bench.place.reading(look) == 7
    assert len(tries) == 3

    def never(session: Session) -> int:
        raise DependencyDown("away for good")

    with pytest.raises(DependencyDown, match="for good"):
        bench.place.writing(never)


def test_a_completed_step_forgets_the_losses_before(bench: Bench, files: list[int]) -> None:
    one = bench.begun(files)
    with bench.place.database.write() as session:
        session.get_one(StreamRun, bench.step_run(one).run_id).restarts = 2
    run_attempt(bench.place, one, bench.engine(one))
    with bench.place.database.read() as session:
        assert session.get_one(StreamRun, bench.step_run(one).run_id).restarts == 0
