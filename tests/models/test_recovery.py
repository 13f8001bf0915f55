"""Who executes a run, whose turn it is, and what becomes of runs that were left or ended short of their goal."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from models import recovery, resuming, runs, turns
from models.artifacts import LineageEvent
from models.base import utc_now
from models.db import Database
from models.errors import Conflict
from models.lifecycle import RunStatus, StepRunStatus
from models.recovery import Release
from models.runs import StepRun, StreamRun
from models.streams import Concurrency, Stream, TriggerType
from tests.models.test_db import ORG, stream_run


def another(database: Database, run: StreamRun, **values: Any) -> StreamRun:
    """One more run of the same stream."""
    with database.write() as session:
        return runs.create(session, session.get_one(Stream, run.stream_id), trigger_type=TriggerType.MANUAL, **values)


def policy(database: Database, run: StreamRun, concurrency: Concurrency) -> None:
    with database.write() as session:
        session.get_one(Stream, run.stream_id).trigger_config = {"concurrency": str(concurrency)}


def state(database: Database, run_id: int) -> tuple[StreamRun, list[StepRun]]:
    with database.read() as session:
        steps, _ = runs.step_runs(session, run_id)
        return session.get_one(StreamRun, run_id), list(steps)


def begun(database: Database, engine: str, step_count: int = 2) -> tuple[StreamRun, list[StepRun]]:
    """A run that an engine run executes, its first step under way."""
    run, steps = stream_run(database, step_count)
    with database.write() as session:
        assert recovery.claim(session, run.id, engine)
        assert runs.move_step(session, steps[0].id, StepRunStatus.IN_PROGRESS, attempt_key="one")
    return run, steps


def test_the_first_engine_run_that_comes_has_the_run(database: Database) -> None:
    run, _ = stream_run(database)
    with database.write() as session:
        assert recovery.note_submitted(session, run.id, 1, f"submitted-{run.id}")
        assert recovery.claim(session, run.id, f"another-{run.id}")
        assert not recovery.claim(session, run.id, f"submitted-{run.id}")
        assert recovery.claim(session, run.id, f"another-{run.id}")
        assert not recovery.note_submitted(session, run.id, 1, f"submitted-{run.id}")
        assert recovery.beat(session, run.id, f"another-{run.id}")
        assert not recovery.beat(session, run.id, f"submitted-{run.id}")
    with database.write() as session:
        runs.cancel(session, run.id, at=utc_now())
        assert not recovery.claim(session, run.id, f"another-{run.id}")
        assert not recovery.holds(session, run.id, f"another-{run.id}")


def test_a_lost_run_goes_on_in_another_engine_run(database: Database) -> None:
    engine = f"first-{id(database)}"
    run, _ = begun(database, engine)
    with database.write() as session:
        assert recovery.release(session, run.id, "not its own", "gone", restarts=3) is Release.NOT_LOST
        assert recovery.release(session, run.id, engine, "gone", restarts=3) is Release.CONTINUES
        assert recovery.release(session, run.id, engine, "gone", restarts=3) is Release.NOT_LOST
    lost, (first, second) = state(database, run.id)
    assert (lost.status, lost.engine_run_id, lost.submission, lost.restarts) == ("RUNNING", None, 2, 1)
    assert (first.status, first.error_class, first.lost_attempts) == ("RETRY_WAIT", "WORKER_LOST", 1)
    assert second.status == "PENDING"
    with database.write() as session:
        assert run.id in turns.due(session, utc_now())
        # The old process may still be at it.
        assert not recovery.beat(session, run.id, engine)
        assert not runs.move_step(session, first.id, StepRunStatus.COMPLETED, held_by="one")
        assert recovery.claim(session, run.id, f"{engine}-2")
        assert not recovery.claim(session, run.id, engine)
        runs.note_step_completed(session, run.id)
    assert state(database, run.id)[0].restarts == 0
    with database.write() as session:
        runs.cancel(session, run.id, at=utc_now())


def test_a_run_that_loses_one_engine_run_after_the_other_fails(database: Database) -> None:
    run, _ = begun(database, "poisonous-0")
    for number in range(2):
        with database.write() as session:
            assert recovery.release(session, run.id, f"poisonous-{number}", "gone", restarts=2) is Release.CONTINUES
            assert recovery.claim(session, run.id, f"poisonous-{number + 1}")
    # The third one waits longer than the second.
    with database.write() as session:
        assert recovery.release(session, run.id, "poisonous-2", "gone", restarts=2) is Release.ENDED
    ended, (first, second) = state(database, run.id)
    assert (ended.status, first.status, second.status) == ("FAILED", "FAILED", "SKIPPED")
    assert ended.error_message == "WORKER_LOST: gone; 3 engine runs in a row were lost"
    assert first.error_class == "WORKER_LOST"


def test_the_pause_after_a_loss_grows(database: Database) -> None:
    run, _ = stream_run(database)
    with database.write() as session:
        session.get_one(StreamRun, run.id).restarts = 3
        recovery.claim(session, run.id, "fourth")
        before = utc_now()
        recovery.release(session, run.id, "fourth", "gone", restarts=9)
    with database.write() as session:
        assert run.id not in turns.due(session, before)
        assert run.id in turns.due(session, before + timedelta(seconds=10))
        runs.cancel(session, run.id, at=utc_now())


def test_only_the_last_word_was_missing(database: Database) -> None:
    run, steps = begun(database, "speechless", 1)
    with database.write() as session:
        runs.move_step(session, steps[0].id, StepRunStatus.COMPLETED, held_by="one")
        assert recovery.release(session, run.id, "speechless", "gone", restarts=0) is Release.ENDED
    assert state(database, run.id)[0].status == "COMPLETED"


def test_runs_of_a_stream_wait_for_each_other(database: Database) -> None:
    run, _ = stream_run(database)
    second, third = another(database, run), another(database, run)

    def due() -> list[int]:
        with database.read() as session:
            return list(turns.due(session, utc_now(), stream_id=run.stream_id))

    assert due() == [run.id]
    with database.read() as session:
        assert turns.waits_for(session, session.get_one(StreamRun, third.id)) == second.id
        assert turns.waits_for(session, session.get_one(StreamRun, run.id)) is None
    policy(database, run, Concurrency.ALLOW)
    assert due() == [run.id, second.id, third.id]
    policy(database, run, Concurrency.QUEUE)
    with database.write() as session:
        runs.cancel(session, run.id, at=utc_now())
    assert due() == [second.id]
    with database.write() as session:
        recovery.claim(session, second.id, "runs-now")
    assert due() == []
    with database.write() as session:
        runs.cancel(session, second.id, at=utc_now())
        runs.cancel(session, third.id, at=utc_now())


def test_a_run_that_must_wait_leaves_its_engine_run(database: Database) -> None:
    first, _ = stream_run(database)
    waiting = another(database, first, engine_run_id="scheduled")
    with database.write() as session:
        turns.put_back(session, session.get_one(StreamRun, waiting.id))
    with database.write() as session:
        runs.cancel(session, first.id, at=utc_now())
        assert list(turns.due(session, utc_now(), stream_id=first.stream_id)) == [waiting.id]
        runs.cancel(session, waiting.id, at=utc_now())


def test_with_skip_one_of_many_rivals_gets_a_run(database: Database) -> None:
    run, _ = stream_run(database)
    policy(database, run, Concurrency.SKIP)
    with pytest.raises(Conflict, match=f"Run {run.id} .* is PENDING") as refused:
        another(database, run)
    assert refused.value.code == "RUN_ACTIVE"
    with database.write() as session:
        runs.cancel(session, run.id, at=utc_now())
    made: list[int] = []
    skipped: list[str] = []

    def rival() -> None:
        try:
            made.append(another(database, run).id)
        except Conflict as conflict:
            skipped.append(conflict.code)

    threads = [threading.Thread(target=rival) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), skipped) == (1, ["RUN_ACTIVE"] * 5)
    with database.write() as session:
        runs.cancel(session, made[0], at=utc_now())


def test_resuming_carries_over_what_completed(database: Database) -> None:
    run, steps = begun(database, "failing", 3)
    with database.write() as session:
        with pytest.raises(Conflict, match="is RUNNING") as refused:
            resuming.resume(session, ORG, run.id)
        assert refused.value.code == "RUN_NOT_RESUMABLE"
        runs.move_step(session, steps[0].id, StepRunStatus.COMPLETED, held_by="one", matched_records=7)
        runs.move_step(session, steps[1].id, StepRunStatus.IN_PROGRESS)
        runs.move_step(session, steps[1].id, StepRunStatus.FAILED)
        runs.skip_open_steps(session, run.id)
        runs.close(session, run.id)
    with database.write() as session:
        session.get_one(Stream, run.stream_id).definition_version = 2
    with database.write() as session:
        made, new = resuming.resume(session, ORG, run.id)
        again, newer = resuming.resume(session, ORG, run.id)
    assert (new, newer, again.id) == (True, False, made.id)
    got, (first, second, third) = state(database, made.id)
    assert (got.status, got.resumed_from, got.definition_version) == ("PENDING", run.id, 1)
    assert (first.status, first.carried_from, first.matched_records) == ("COMPLETED", steps[0].id, 7)
    assert first.reconciliation_id == steps[0].reconciliation_id
    assert (second.status, third.status, second.attempt_no) == ("PENDING", "PENDING", 1)
    assert second.reconciliation_id != steps[1].reconciliation_id
    with database.read() as session:
        assert runs.artifact_owners(session, made.id) == {1: steps[0].id, 2: second.id, 3: third.id}
        events = session.exec(select(LineageEvent).where(col(LineageEvent.run_id) == made.id)).all()
    assert [(one.event_type, one.upstream_step_run_id, one.downstream_step_run_id) for one in events] == [
        ("STEP_CARRIED", steps[0].id, first.id)
    ]
    # What was carried twice is still the first one's; a run that was resumed to an end is not resumed once more.
    with database.write() as session:
        runs.move(session, made.id, RunStatus.RUNNING)
        recovery.close_lost_run(session, made.id, "gone")
        with pytest.raises(Conflict) as refused:
            resuming.resume(session, ORG, run.id)
        assert refused.value.code == "RUN_ALREADY_RESUMED"
        third_run, _ = resuming.resume(session, ORG, made.id)
    assert state(database, third_run.id)[1][0].carried_from == steps[0].id
    # One that was cancelled leaves the way free.
    with database.write() as session:
        runs.cancel(session, third_run.id, at=utc_now())
        _, new = resuming.resume(session, ORG, made.id)
    assert new
