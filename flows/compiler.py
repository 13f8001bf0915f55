"""A run's definition compiled into Prefect tasks bound to its steps, and their execution in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task
from sqlmodel import col, select

from flows.step import AttemptFailed, StepSummary, run_attempt
from flows.workplace import Workplace, process_workplace
from models import runs
from models.base import utc_now
from models.lifecycle import RunStatus, StepRunStatus
from models.runs import StepRun, StreamRun
from models.settings import Settings
from models.streams import Step, steps_of


def wants_retry(_task: Task[Any, Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Prefect asks this after a failed attempt. It has to be a plain function: anything else counts as "don't retry"."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, AttemptFailed) and error.retry


@task(name="step", cache_policy=NO_CACHE, persist_result=False)
def attempt_step(step_run_id: int) -> None:
    """One attempt of a step run, and what the Prefect UI shows of it."""
    place = process_workplace()
    summary = run_attempt(place, step_run_id)
    if summary is not None:
        _show(place.settings, step_run_id, summary)


@dataclass(frozen=True)
class BoundStep:
    """A step run with the task that executes it."""

    step: Step
    step_run_id: int
    task: Task[[int], None]


@dataclass(frozen=True)
class CompiledRun:
    """A run ready to be executed: its steps in order, each bound to a task with the step's own name and retries."""

    run_id: int
    steps: list[BoundStep]

    def execute(self, place: Workplace) -> RunStatus:
        """Executes the steps in order under their failure policies and gives the run's end state."""
        done: set[int] = set()
        for bound in self.steps:
            inputs = {order for order, _ in bound.step.upstream().values()}
            if not inputs <= done:
                with place.database.write() as session:
                    runs.move_step(session, bound.step_run_id, StepRunStatus.SKIPPED, completed_at=utc_now())
                continue
            state = bound.task(bound.step_run_id, return_state=True)
            if state.is_completed():
                done.add(bound.step.step_order)
            elif not bound.step.tolerated:
                with place.database.write() as session:
                    runs.skip_open_steps(session, self.run_id)
                break
        with place.database.write() as session:
            return runs.close(session, self.run_id)


def compile_run(place: Workplace, run: StreamRun) -> CompiledRun:
    """Binds each step of the run's definition version to a task."""
    with place.database.read() as session:
        steps = steps_of(session, run.stream_id, run.definition_version)
        chosen = select(StepRun.step_order, StepRun.id).where(col(StepRun.run_id) == run.id)
        step_run_ids = dict(session.exec(chosen).all())
    return CompiledRun(
        run.id,
        [BoundStep(step, step_run_ids[step.step_order], _bind(place.settings, run, step)) for step in steps],
    )


def _bind(settings: Settings, run: StreamRun, step: Step) -> Task[[int], None]:
    delays: list[float] = [min(settings.retry_base * 2**n, settings.retry_ceiling) for n in range(step.max_retries)]
    return attempt_step.with_options(
        name=f"{step.step_order}. {step.name}",
        task_run_name=f"{step.step_order}. {step.name} (run {run.id})",
        retries=step.max_retries,
        retry_delay_seconds=delays or 0,
        retry_jitter_factor=0.5,
        retry_condition_fn=wants_retry,
    )


def _show(settings: Settings, step_run_id: int, summary: StepSummary) -> None:
    """The step's result in the Prefect UI: a table of counts, and links to the downloads."""
    counts = {
        "source rows": summary.source_rows,
        "target rows": summary.target_rows,
        "matched": summary.matched,
        "unmatched source": summary.unmatched_source,
        "unmatched target": summary.unmatched_target,
        "exceptions": sum(summary.exceptions.values()),
        **{f"exceptions: {kind}": count for kind, count in summary.exceptions.items()},
    }
    create_table_artifact(
        key=f"step-{summary.step_order}-result",
        table=[{"rows": name, "count": f"{count:,}"} for name, count in counts.items()],
        description=f"Step {summary.step_order}: {summary.name}",
    )
    base = settings.effective_public_url
    links = "\n".join(
        f"- [{artifact_type}]({base}/api/v1/files/{file_id}/download)"
        for artifact_type, file_id in summary.files.items()
    )
    create_markdown_artifact(
        key=f"step-{summary.step_order}-downloads",
        markdown=f"## Downloads of step {summary.step_order}: {summary.name}\n\n{links}\n",
        description=f"Downloads of step run {step_run_id}",
    )
