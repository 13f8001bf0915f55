"""A run's definition compiled into Prefect tasks bound to its steps, and their execution under their policies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task
from sqlmodel import Session, col, select

from flows.show import Showcase
from flows.step import AttemptFailed, AttemptFenced, run_attempt
from flows.workplace import Workplace
from models import runs
from models.base import utc_now
from models.lifecycle import STEP_TERMINAL, RunStatus, StepRunStatus
from models.runs import StepRun, StreamRun
from models.settings import Settings
from models.streams import Step, steps_of

DONE = StepRunStatus.COMPLETED


def wants_retry(_task: Task[Any, Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Prefect asks this after a failed attempt. It has to be a plain function: anything else counts as "don't retry"."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, AttemptFailed) and error.retry


@dataclass(frozen=True)
class BoundStep:
    """A step run with the task that executes it; `inputs` are the orders of the steps that it reads.

    The task calls what it is given as soon as the step's inputs are there and fit its rules.
    """

    step: Step
    step_run_id: int
    inputs: frozenset[int]
    task: Task[[Callable[[], object]], None]

    @property
    def order(self) -> int:
        return self.step.step_order


@dataclass(frozen=True)
class CompiledRun:
    """A run ready to be executed: its steps in order, each bound to a task with the step's own name and retries.

    `lanes` is how many steps may run at the same time. `showcase` is the caller's to close, when the run is over.
    """

    run_id: int
    steps: list[BoundStep]
    lanes: int
    showcase: Showcase = field(repr=False)

    def execute(self, place: Workplace) -> RunStatus:
        """Executes what is left of the run under the steps' failure policies and gives the run's end state.

        A step begins beside others as soon as the one before it has found its inputs: what is plainly wrong stops a run before
        it has begun everything. Raises AttemptFenced when the run was cancelled or taken away meanwhile.
        """
        ends = place.reading(self._ends)
        left = [bound for bound in self.steps if bound.order not in ends]
        running: dict[int, Future[State[None]]] = {}
        news: SimpleQueue[int] = SimpleQueue()
        beginning: int | None = None
        pool = ThreadPoolExecutor(self.lanes, "step")
        try:
            while True:
                if left and any(self._stops(bound, ends) for bound in self.steps):
                    place.writing(lambda session: runs.skip_open_steps(session, self.run_id))
                    left.clear()
                # In step order, so that whoever reads a skipped step is skipped, too.
                for bound in list(left):
                    if any(ends.get(order, DONE) is not DONE for order in bound.inputs):
                        place.writing(partial(_skip, step_run_id=bound.step_run_id))
                        ends[bound.order] = StepRunStatus.SKIPPED
                        left.remove(bound)
                ready = next((one for one in left if one.inputs <= ends.keys()), None)
                if ready is not None and beginning is None and len(running) < self.lanes:
                    left.remove(ready)
                    beginning = ready.order
                    tell = partial(news.put, ready.order)
                    future = pool.submit(copy_context().run, ready.task, tell, return_state=True)
                    future.add_done_callback(lambda _, tell=tell: tell())
                    running[ready.order] = future
                elif running:
                    # Either its inputs are there, and the next one may begin beside it, or it has ended.
                    order = news.get()
                    beginning = None if order == beginning else beginning
                    if order in running and running[order].done():
                        state = running.pop(order).result()
                        ends[order] = self._end_of(place, order, state)
                else:
                    break
        finally:
            # Not waited for: whoever ends the run from outside ends the process.
            pool.shutdown(wait=False, cancel_futures=True)
        return place.writing(lambda session: runs.close(session, self.run_id))

    def _ends(self, session: Session) -> dict[int, StepRunStatus]:
        steps, _ = runs.step_runs(session, self.run_id)
        return {one.step_order: StepRunStatus(one.status) for one in steps if one.status in STEP_TERMINAL}

    def _end_of(self, place: Workplace, order: int, state: State[None]) -> StepRunStatus:
        """What the row says, whatever the engine thinks of the task."""
        step_run_id = next(bound.step_run_id for bound in self.steps if bound.order == order)
        found = place.reading(lambda session: session.get_one(StepRun, step_run_id))
        status = StepRunStatus(found.status)
        if status not in STEP_TERMINAL or status is StepRunStatus.CANCELED:
            raise AttemptFenced(f"Step run {found.id} is {status} after its task: {state.message}")
        return status

    @staticmethod
    def _stops(bound: BoundStep, ends: dict[int, StepRunStatus]) -> bool:
        return ends.get(bound.order) is StepRunStatus.FAILED and not bound.step.tolerated


def compile_run(place: Workplace, run: StreamRun) -> CompiledRun:
    """Binds each step of the run's definition version to a task."""

    def look(session: Session) -> tuple[Sequence[Step], dict[int, int]]:
        chosen = select(StepRun.step_order, StepRun.id).where(col(StepRun.run_id) == run.id)
        return steps_of(session, run.stream_id, run.definition_version), dict(session.exec(chosen).all())

    steps, step_run_ids = place.reading(look)
    inputs = {step.step_order: frozenset(order for order, _ in step.upstream().values()) for step in steps}
    lanes = min(place.settings.step_parallelism, _width(inputs))
    showcase = Showcase(place.settings)

    def bind(step: Step) -> BoundStep:
        step_run_id = step_run_ids[step.step_order]

        def attempt(tell: Callable[[], object]) -> None:
            summary = run_attempt(place, step_run_id, run.engine_run_id, beside=lanes, on_prepared=tell)
            if summary is not None:
                showcase.show(step_run_id, summary)

        return BoundStep(
            step, step_run_id, inputs[step.step_order], task(attempt, **_options(place.settings, run, step))
        )

    return CompiledRun(run.id, [bind(step) for step in steps], lanes, showcase)


def _options(settings: Settings, run: StreamRun, step: Step) -> dict[str, Any]:
    delays: list[float] = [min(settings.retry_base * 2**n, settings.retry_ceiling) for n in range(step.max_retries)]
    return {
        "name": f"{step.step_order}. {step.name}",
        "task_run_name": f"{step.step_order}. {step.name} (run {run.id})",
        "retries": step.max_retries,
        "retry_delay_seconds": delays or 0,
        "retry_jitter_factor": 0.5,
        "retry_condition_fn": wants_retry,
        "cache_policy": NO_CACHE,
        "persist_result": False,
    }


def _width(inputs: dict[int, frozenset[int]]) -> int:
    """The most steps that are equally far from the run's own inputs: more lanes would mostly stand empty."""
    depth: dict[int, int] = {}
    for order in sorted(inputs):
        depth[order] = 1 + max((depth[one] for one in inputs[order]), default=0)
    return max(Counter(depth.values()).values(), default=1)


def _skip(session: Session, step_run_id: int) -> None:
    runs.move_step(session, step_run_id, StepRunStatus.SKIPPED, completed_at=utc_now())
