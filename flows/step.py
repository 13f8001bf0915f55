"""One attempt of one step: load, match, publish, commit, or say what went wrong and whether another attempt may help."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select

from flows import inputs, outputs
from flows.contained import contained
from flows.workplace import Workplace
from matching import RuleSet
from matching.errors import ReconError
from matching.spec import Severities
from models import plan, runs
from models.artifacts import ArtifactType
from models.base import utc_now
from models.bounded import default_limit, reconcile_within
from models.errors import DependencyDown, described
from models.lifecycle import RunStatus, StepRunStatus
from models.runs import StepRun, StreamRun
from models.settings import Settings
from models.streams import Step

log = logging.getLogger(__name__)

LOADED, COMPARED = 40, 90
"""Progress values, as the legacy clients know them."""

STARTED = 5
PROGRESS_SECONDS = 0.5
"""Progress is written at most this often."""


class AttemptFenced(ReconError):
    """The attempt no longer holds its step run: the run was cancelled, or another attempt took over."""

    code = "ATTEMPT_FENCED"


class AttemptFailed(ReconError):
    """An attempt failed and the step run says so; `retry` tells whether another attempt follows."""

    code = "ATTEMPT_FAILED"

    @property
    def retry(self) -> bool:
        return bool(self.attributes.get("retry", False))


@dataclass(frozen=True)
class Attempt:
    """What an attempt knows when it begins."""

    run: StreamRun
    step: Step
    step_run: StepRun
    key: str


@dataclass(frozen=True)
class StepSummary:
    """What a completed step run left, for the people who watch: counts of rows, and file ids by artifact type."""

    step_order: int
    name: str
    source_rows: int
    target_rows: int
    matched: int
    unmatched_source: int
    unmatched_target: int
    exceptions: dict[str, int]
    files: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Failure:
    """How an attempt failed in another process."""

    code: str
    message: str
    retryable: bool
    fenced: bool


def run_attempt(
    place: Workplace,
    step_run_id: int,
    engine_run_id: str | None = None,
    *,
    beside: int = 1,
    on_prepared: Callable[[], object] = lambda: None,
) -> StepSummary | None:
    """Runs the next attempt of a step run for an engine run, if one is given; None if an earlier attempt had committed already.

    `beside` is how many attempts may run in this process at the same time: they share its memory. `on_prepared` is called when
    the inputs are there and fit the rules. Raises AttemptFailed when the attempt failed (the step run is then RETRY_WAIT or
    FAILED), AttemptFenced when the step run was taken away.
    """
    began = monotonic()
    attempt = place.writing(lambda session: _begin(session, step_run_id, engine_run_id))
    if attempt is None:
        return None
    try:
        if attempt.step_run.attempt_no > 1:
            _clear(place, attempt, attempt.step_run.attempt_no - 1)
        prepared = _prepare(place, attempt)
        on_prepared()
        if attempt.step.timeout is None:
            return _work(place, attempt, prepared, began, beside)
        given = (place.settings, step_run_id, attempt.key, beside)
        outcome = contained(attempt.step.timeout, _work_elsewhere, *given)
    except AttemptFenced:
        raise
    except Exception as error:
        code, message = described(error)
        outcome = Failure(code, message, retryable(error), fenced=False)
        log.info("attempt %s failed", attempt.key, exc_info=error)
    if isinstance(outcome, StepSummary):
        return outcome
    if outcome.fenced:
        raise AttemptFenced(outcome.message)
    failed = place.writing(partial(_record_failure, attempt=attempt, failure=outcome))
    if failed is not None:
        _clear(place, attempt, attempt.step_run.attempt_no)
        raise failed
    return None


def _begin(session: Session, step_run_id: int, engine_run_id: str | None) -> Attempt | None:
    step_run = session.get_one(StepRun, step_run_id)
    run = session.exec(select(StreamRun).where(col(StreamRun.id) == step_run.run_id).with_for_update()).one()
    session.refresh(step_run)
    step = session.get_one(Step, step_run.step_id)
    status = StepRunStatus(step_run.status)
    if status is StepRunStatus.COMPLETED:
        return None
    attempt_no = step_run.attempt_no if status is StepRunStatus.PENDING else step_run.attempt_no + 1
    lost_attempts = step_run.lost_attempts
    if status is StepRunStatus.IN_PROGRESS:
        # A process died in the middle; its attempt is over and its key void.
        lost_attempts += 1
        runs.move_step(session, step_run_id, StepRunStatus.RETRY_WAIT)
    key = f"{run.id}-{step.id}-{attempt_no}"
    held = runs.move_step(
        session,
        step_run_id,
        StepRunStatus.IN_PROGRESS,
        attempt_no=attempt_no,
        lost_attempts=lost_attempts,
        progress=STARTED,
        error_message=None,
        error_class=None,
        attempt_key=key,
        started_at=step_run.started_at or utc_now(),
    )
    if not held or run.status != RunStatus.RUNNING or engine_run_id not in (None, run.engine_run_id):
        session.rollback()
        raise AttemptFenced(f"Step run {step_run_id} is {status} in a run that is {run.status}")
    runs.note_step_started(session, run.id, step.step_order)
    session.flush()
    session.refresh(step_run)
    return Attempt(run, step, step_run, key)


def _clear(place: Workplace, attempt: Attempt, attempt_no: int) -> None:
    """Deletes what an attempt that is over may have left in the storage; what can't be deleted now, the sweep finds."""
    with suppress(ReconError):
        place.storage.delete_prefix(outputs.attempt_prefix(attempt.run, attempt.step.step_order, attempt_no))


def _work_elsewhere(settings: Settings, step_run_id: int, key: str, beside: int) -> StepSummary | Failure:
    """The work of an attempt that has begun, in a process of its own."""
    if beside > 1:
        # Each process has threads of its own for Polars; together they should be as many as there are cores.
        os.environ["POLARS_MAX_THREADS"] = str(max(1, (os.cpu_count() or 1) // beside))
    place = Workplace.from_settings(settings)

    def load(session: Session) -> Attempt:
        step_run = session.get_one(StepRun, step_run_id)
        run, step = session.get_one(StreamRun, step_run.run_id), session.get_one(Step, step_run.step_id)
        return Attempt(run, step, step_run, key)

    try:
        attempt = place.reading(load)
        return _work(place, attempt, _prepare(place, attempt), monotonic(), beside)
    except AttemptFenced as error:
        return Failure(error.code, error.message, retryable=False, fenced=True)
    except Exception as error:  # noqa: BLE001 - the process that waits for it tells
        return Failure(*described(error), retryable(error), fenced=False)


def _prepare(place: Workplace, attempt: Attempt) -> tuple[RuleSet, dict[str, plan.ResolvedInput]]:
    """The rules and the inputs of an attempt, found to fit each other. Raises what makes the step impossible."""

    def look(session: Session) -> tuple[RuleSet, dict[str, plan.ResolvedInput]]:
        owners = runs.artifact_owners(session, attempt.run.id)
        return (
            plan.pinned_rules(session, attempt.run, attempt.step),
            plan.resolve(session, place.storage, attempt.run, attempt.step, owners),
        )

    rule_set, resolved = place.reading(look)
    for wrong in plan.check_columns(rule_set, resolved["source"].file.columns, resolved["target"].file.columns):
        raise wrong
    return rule_set, resolved


def _work(
    place: Workplace,
    attempt: Attempt,
    prepared: tuple[RuleSet, dict[str, plan.ResolvedInput]],
    began: float,
    beside: int,
) -> StepSummary:
    rule_set, resolved = prepared
    source, target = (inputs.frame(place.storage, resolved[side]) for side in ("source", "target"))
    _note(place, attempt, LOADED)
    with place.storage.scratch() as spill:
        # The scans are lazy: what reading them raises comes out of matching.
        with place.storage.guard(" or ".join(str(one.file.twin_path) for one in resolved.values())):
            outcome = reconcile_within(
                (place.settings.match_memory or default_limit()) // beside,
                spill,
                rule_set,
                source,
                target,
                severities=_severities(attempt.step),
                on_progress=_progress(place, attempt),
            )
        if monotonic() - began >= PROGRESS_SECONDS:
            _note(place, attempt, COMPARED)
        published = outputs.publish(place, attempt.run, attempt.step_run, outcome, spill)
        if not outputs.commit(place, attempt.run, attempt.step_run, attempt.key, resolved, outcome, published):
            _clear(place, attempt, attempt.step_run.attempt_no)
            raise AttemptFenced(f"Step run {attempt.step_run.id}: attempt {attempt.key} came too late and was dropped")
        kinds = outcome.breaks.lazy().group_by("type").len().sort("type").collect()
    rows = {one.artifact_type: one.row_count for one in published}
    files = place.reading(lambda session: runs.artifact_files(session, attempt.step_run.id))
    place.writing(lambda session: runs.note_step_completed(session, attempt.run.id))
    return StepSummary(
        step_order=attempt.step.step_order,
        name=attempt.step.name,
        source_rows=outcome.statistics.total_source_records,
        target_rows=outcome.statistics.total_target_records,
        matched=outcome.statistics.matched_records,
        unmatched_source=rows[ArtifactType.UNMATCHED_SOURCE],
        unmatched_target=rows[ArtifactType.UNMATCHED_TARGET],
        exceptions=dict(kinds.iter_rows()),
        files=files,
        seconds=monotonic() - began,
    )


def _severities(step: Step) -> Severities | None:
    given = (step.config or {}).get("severities")
    return None if given is None else Severities.model_validate(given)


def _note(place: Workplace, attempt: Attempt, progress: int) -> None:
    try:
        with place.database.write() as session:
            held = runs.note_progress(session, attempt.step_run.id, attempt.key, progress)
    except DependencyDown:
        return  # it is a courtesy; whether the attempt still holds the step run, its commit will tell
    if not held:
        raise AttemptFenced(f"Step run {attempt.step_run.id}: attempt {attempt.key} was taken away")


def _progress(place: Workplace, attempt: Attempt) -> Callable[[float], None]:
    last = monotonic()

    def report(share: float) -> None:
        nonlocal last
        if monotonic() - last >= PROGRESS_SECONDS:
            last = monotonic()
            _note(place, attempt, LOADED + round(share * (COMPARED - LOADED)))

    return report


def retryable(error: BaseException) -> bool:
    """Whether the same attempt may succeed later: what was out of reach, never what is wrong."""
    if isinstance(error, ReconError):
        return error.retryable
    if isinstance(error, DBAPIError):
        return bool(error.connection_invalidated)
    return isinstance(error, ConnectionError | TimeoutError)


def _record_failure(session: Session, attempt: Attempt, failure: Failure) -> AttemptFailed | None:
    """What the step run says now: the failure, or nothing if the attempt had committed before it failed."""
    retries = attempt.step_run.attempt_no - 1 - attempt.step_run.lost_attempts
    retry = failure.retryable and retries < attempt.step.max_retries
    moved = runs.move_step(
        session,
        attempt.step_run.id,
        StepRunStatus.RETRY_WAIT if retry else StepRunStatus.FAILED,
        held_by=attempt.key,
        error_message=failure.message,
        error_class=failure.code,
        **({} if retry else {"completed_at": utc_now()}),
    )
    if not moved:
        now = session.get_one(StepRun, attempt.step_run.id, populate_existing=True)
        if now.attempt_key != attempt.key:
            raise AttemptFenced(f"Step run {now.id}: attempt {attempt.key} was taken away")
        if now.status == StepRunStatus.COMPLETED:
            return None
    return AttemptFailed(f"{failure.code}: {failure.message}", retry=retry)
