"""In which order steps are executed, side by side or not, and what a failure does to the others. The engine stands aside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect.tasks import Task

from flows.compiler import BoundStep, CompiledRun, compile_run
from flows.show import Showcase
from flows.step import AttemptFenced
from flows.workplace import Workplace
from models import definitions, recovery, rules, runs
from models.base import utc_now
from models.db import migrate
from models.files import FileStatus, StoredFile
from models.lifecycle import StepRunStatus
from models.rules import StoredMapping, StoredRuleSet
from models.runs import StepRun
from models.settings import Settings
from models.streams import Stream, TriggerType

LIMIT = 20
DONE, FAILED = StepRunStatus.COMPLETED, StepRunStatus.FAILED


class Play:
    """A run whose steps end as they are told to.

    `reads` maps a step's order to that of the one it reads; `together` is how many steps wait for each other to be under way,
    `patient` the order of one that does not end before another was skipped.
    """

    def __init__(self, place: Workplace, count: int, reads: dict[int, int], tolerated: set[int]) -> None:
        self.place = place
        with place.database.write() as session:
            stored = StoredFile(organization_id=1, original_filename="a.csv", status=FileStatus.PROCESSED)
            rule_set, stream = StoredRuleSet(organization_id=1, name="r"), Stream(organization_id=1, name="s")
            session.add_all([stored, rule_set, stream])
            session.flush()
            rules.add_parts(session, rule_set, [StoredMapping(source_field="a", target_field="a", is_key=True)], [])
            rules.snapshot(session, rule_set)
            drafts = [
                definitions.StepDraft(
                    order,
                    f"step {order}",
                    {"type": "STEP_OUTPUT_UNMATCHED_SOURCE", "id": reads[order]}
                    if order in reads
                    else {"type": "FILE", "id": stored.id},
                    {"type": "FILE", "id": stored.id},
                    rule_set.id,
                    {"continueOnFailure": order in tolerated},
                )
                for order in range(1, count + 1)
            ]
            definitions.write_steps(session, stream, drafts)
            self.run = runs.create(session, stream, trigger_type=TriggerType.MANUAL)
            recovery.claim(session, self.run.id, f"engine {self.run.id}")
            session.refresh(self.run)
        self.begun: list[int] = []
        self.most = 0
        self.now = 0
        self.lock = threading.Lock()

    def compiled(
        self, ends: dict[int, StepRunStatus] | None = None, *, together: int = 1, silent: bool = False, patient: int = 0
    ) -> CompiledRun:
        made = compile_run(self.place, self.run)
        barrier = threading.Barrier(together)

        def act(bound: BoundStep) -> Callable[..., Any]:
            def task(tell: Callable[[], object], return_state: bool) -> Any:
                with self.lock:
                    self.begun.append(bound.order)
                    self.now += 1
                    self.most = max(self.most, self.now)
                with self.place.database.write() as session:
                    runs.move_step(session, bound.step_run_id, StepRunStatus.IN_PROGRESS, attempt_key="k")
                if not silent:
                    tell()
                    barrier.wait(LIMIT)
                deadline = time.monotonic() + LIMIT
                while bound.order == patient and "SKIPPED" not in self.statuses():
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                with self.place.database.write() as session:
                    runs.move_step(session, bound.step_run_id, (ends or {}).get(bound.order, DONE), held_by="k")
                with self.lock:
                    self.now -= 1
                return SimpleNamespace(message="")

            return task

        steps = [
            BoundStep(one.step, one.step_run_id, one.inputs, cast("Task[[Callable[[], object]], None]", act(one)))
            for one in made.steps
        ]
        return CompiledRun(made.run_id, steps, made.lanes, Showcase(self.place.settings))

    def statuses(self) -> list[str]:
        with self.place.database.read() as session:
            return [one.status for one in runs.step_runs(session, self.run.id)[0]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("policies"), step_parallelism=3)
    migrate(settings)
    made = Workplace.from_settings(settings)
    yield made
    made.database.dispose()


@pytest.mark.parametrize(
    ("ends", "tolerated", "status", "steps"),
    [
        ({}, set[int](), "COMPLETED", ["COMPLETED"] * 4),
        ({1: FAILED}, {1}, "PARTIAL_FAILED", ["FAILED", "SKIPPED", "SKIPPED", "COMPLETED"]),
        ({2: FAILED}, {2}, "PARTIAL_FAILED", ["COMPLETED", "FAILED", "SKIPPED", "COMPLETED"]),
        ({1: FAILED, 4: FAILED}, {1, 4}, "FAILED", ["FAILED", "SKIPPED", "SKIPPED", "FAILED"]),
    ],
)
def test_a_failure_reaches_those_who_read_it(
    place: Workplace, ends: dict[int, StepRunStatus], tolerated: set[int], status: str, steps: list[str]
) -> None:
    play = Play(place, 4, {2: 1, 3: 2}, tolerated)
    assert play.compiled(ends).execute(place) == status
    assert play.statuses() == steps


def test_a_failure_that_stops_lets_those_end_that_have_begun(place: Workplace) -> None:
    play = Play(place, 3, {3: 2}, set())
    # The second one ends when the failure of the first has reached the third.
    assert play.compiled({1: FAILED}, together=2, patient=2).execute(place) == "FAILED"
    assert play.statuses() == ["FAILED", "COMPLETED", "SKIPPED"]


def test_what_stops_before_its_inputs_are_there_stops_those_not_begun(place: Workplace) -> None:
    play = Play(place, 4, {}, set())
    assert play.compiled({1: FAILED}, silent=True).execute(place) == "FAILED"
    assert play.statuses() == ["FAILED", "SKIPPED", "SKIPPED", "SKIPPED"]
    assert play.begun == [1]


def test_independent_steps_run_side_by_side_within_the_bound(place: Workplace) -> None:
    play = Play(place, 6, {}, set())
    # Three at a time wait for each other: they would wait for ever if they did not run side by side.
    assert play.compiled(together=3).execute(place) == "COMPLETED"
    assert play.most == 3
    with place.database.read() as session:
        assert runs.get(session, 1, play.run.id).completed_at is not None


def test_a_chain_has_one_lane(place: Workplace) -> None:
    play = Play(place, 4, {2: 1, 3: 2, 4: 3}, set())
    compiled = play.compiled()
    assert compiled.lanes == 1
    assert compiled.execute(place) == "COMPLETED"
    assert play.begun == [1, 2, 3, 4]


def test_a_run_that_goes_on_executes_only_what_is_left(place: Workplace) -> None:
    play = Play(place, 5, {2: 1, 4: 3, 5: 4}, {1, 3})
    with place.database.write() as session:
        steps, _ = runs.step_runs(session, play.run.id)
        for step_run, end in ((steps[0], DONE), (steps[2], FAILED)):
            runs.move_step(session, step_run.id, StepRunStatus.IN_PROGRESS)
            runs.move_step(session, step_run.id, end)
        # The process died while this one waited for its next attempt.
        runs.move_step(session, steps[1].id, StepRunStatus.IN_PROGRESS)
        runs.move_step(session, steps[1].id, StepRunStatus.RETRY_WAIT)
    assert play.compiled().execute(place) == "PARTIAL_FAILED"
    assert play.begun == [2]
    assert play.statuses() == ["COMPLETED", "COMPLETED", "FAILED", "SKIPPED", "SKIPPED"]


def test_a_run_that_stopped_before_it_was_lost_stays_stopped(place: Workplace) -> None:
    play = Play(place, 3, {}, set())
    with place.database.write() as session:
        steps, _ = runs.step_runs(session, play.run.id)
        runs.move_step(session, steps[1].id, StepRunStatus.IN_PROGRESS)
        runs.move_step(session, steps[1].id, StepRunStatus.FAILED)
    assert play.compiled().execute(place) == "FAILED"
    assert (play.begun, play.statuses()) == ([], ["SKIPPED", "FAILED", "SKIPPED"])


def test_a_cancelled_run_is_left_alone(place: Workplace) -> None:
    play = Play(place, 2, {}, set())
    compiled = play.compiled(together=2)
    with place.database.write() as session:
        runs.cancel(session, play.run.id, at=utc_now())
    assert compiled.execute(place) == "CANCELED"
    assert (play.begun, play.statuses()) == ([], ["CANCELED", "CANCELED"])


def test_a_step_taken_away_ends_the_run_here(place: Workplace) -> None:
    play = Play(place, 2, {2: 1}, set())
    compiled = play.compiled({1: StepRunStatus.RETRY_WAIT})
    with pytest.raises(AttemptFenced, match="RETRY_WAIT"):
        compiled.execute(place)
    with place.database.read() as session:
        assert session.get_one(StepRun, compiled.steps[1].step_run_id).status == "PENDING"


def test_a_run_s_end_does_not_wait_for_what_is_shown_of_it(place: Workplace) -> None:
    """From its end on, the run is not this process's any more: the pulse would end a process that is still at work in it."""
    compiled = Play(place, 1, {}, set()).compiled()
    compiled.execute(place)
    assert compiled.showcase._thread.submit(lambda: "still open").result() == "still open"
    compiled.showcase.close()
