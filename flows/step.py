"""One attempt of one step: load, match, publish, commit, or say what went wrong and whether another attempt may help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from flows import inputs, outputs
from flows.workplace import Workplace
from matching.errors import ReconError
from matching.spec import Severities
from models import plan, runs
from models.artifacts import ArtifactType
from models.base import utc_now
from models.bounded import default_limit, reconcile_within
from models.errors import described
from models.lifecycle import RunStatus, StepRunStatus
from models.runs import StepRun, StreamRun
from models.streams import Step

SOURCE_LOADED, TARGET_LOADED, COMPARED = 20, 40, 90
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


def run_attempt(place: Workplace, step_run_id: int) -> StepSummary | None:
    """Runs the next attempt of a step run; None if an earlier attempt had committed already.

    Raises AttemptFailed when the attempt failed (the step run is then RETRY_WAIT or FAILED), AttemptFenced when the step
    run was taken away meanwhile.
    """
    began = monotonic()
    attempt = _begin(place, step_run_id)
    if attempt is None:
        return None
    try:
        return _work(place, attempt, began)
    except AttemptFenced:
        raise
    except Exception as error:
        raise _record_failure(place, attempt, error) from error


def _begin(place: Workplace, step_run_id: int) -> Attempt | None:
    with place.database.write() as session:
        step_run = session.get_one(StepRun, step_run_id)
        run = session.get_one(StreamRun, step_run.run_id)
        step = session.get_one(Step, step_run.step_id)
        status = StepRunStatus(step_run.status)
        if status is StepRunStatus.COMPLETED:
            return None
        attempt_no = step_run.attempt_no if status is StepRunStatus.PENDING else step_run.attempt_no + 1
        if status is StepRunStatus.IN_PROGRESS:
            # A process died in the middle; its attempt is over and its key void.
            runs.move_step(session, step_run_id, StepRunStatus.RETRY_WAIT)
        key = f"{run.id}-{step.id}-{attempt_no}"
        held = runs.move_step(
            session,
            step_run_id,
            StepRunStatus.IN_PROGRESS,
            attempt_no=attempt_no,
            progress=STARTED,
            error_message=None,
            error_class=None,
            attempt_key=key,
            started_at=step_run.started_at or utc_now(),
        )
        if not held or run.status != RunStatus.RUNNING:
            session.rollback()
            raise AttemptFenced(f"Step run {step_run_id} is {step_run.status} in a run that is {run.status}")
        runs.note_step_started(session, run.id, step.step_order)
        session.flush()
        session.refresh(step_run)
    return Attempt(run, step, step_run, key)


def _work(place: Workplace, attempt: Attempt, began: float) -> StepSummary:
    with place.database.read() as session:
        rule_set = plan.pinned_rules(session, attempt.run, attempt.step)
        chosen = select(StepRun.step_order, StepRun.id).where(col(StepRun.run_id) == attempt.run.id)
        orders = dict(session.exec(chosen).all())
        resolved = plan.resolve(session, place.storage, attempt.run, attempt.step, orders)
    source = inputs.frame(place.storage, resolved["source"])
    _note(place, attempt, SOURCE_LOADED)
    target = inputs.frame(place.storage, resolved["target"])
    _note(place, attempt, TARGET_LOADED)
    with place.storage.scratch() as spill:
        # The scans are lazy: what reading them raises comes out of matching.
        with place.storage.guard(" or ".join(str(one.file.twin_path) for one in resolved.values())):
            outcome = reconcile_within(
                place.settings.match_memory or default_limit(),
                spill,
                rule_set,
                source,
                target,
                severities=_severities(attempt.step),
                on_progress=_progress(place, attempt),
            )
        _note(place, attempt, COMPARED)
        published = outputs.publish(place, attempt.run, attempt.step.step_order, attempt.step_run.attempt_no, outcome)
        if not outputs.commit(place, attempt.run, attempt.step_run, attempt.key, resolved, outcome, published):
            prefix = outputs.attempt_prefix(attempt.run, attempt.step.step_order, attempt.step_run.attempt_no)
            place.storage.delete_prefix(prefix)
            raise AttemptFenced(f"Step run {attempt.step_run.id}: attempt {attempt.key} came too late and was dropped")
        kinds = outcome.breaks.lazy().group_by("type").len().sort("type").collect()
    rows = {one.artifact_type: one.row_count for one in published}
    with place.database.read() as session:
        files = runs.artifact_files(session, attempt.step_run.id)
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
    with place.database.write() as session:
        held = runs.note_progress(session, attempt.step_run.id, attempt.key, progress)
    if not held:
        raise AttemptFenced(f"Step run {attempt.step_run.id}: attempt {attempt.key} was taken away")


def _progress(place: Workplace, attempt: Attempt) -> Callable[[float], None]:
    last = monotonic()

    def report(share: float) -> None:
        nonlocal last
        if monotonic() - last >= PROGRESS_SECONDS:
            last = monotonic()
            _note(place, attempt, TARGET_LOADED + round(share * (COMPARED - TARGET_LOADED)))

    return report


def retryable(error: BaseException) -> bool:
    """Whether the same attempt may succeed later: what was out of reach, never what is wrong."""
    if isinstance(error, ReconError):
        return error.retryable
    if isinstance(error, DBAPIError):
        return bool(error.connection_invalidated)
    return isinstance(error, ConnectionError | TimeoutError)


def _record_failure(place: Workplace, attempt: Attempt, error: Exception) -> AttemptFailed:
    left = attempt.step.max_retries - (attempt.step_run.attempt_no - 1)
    retry = retryable(error) and left > 0
    code, message = described(error)
    with place.database.write() as session:
        runs.move_step(
            session,
            attempt.step_run.id,
            StepRunStatus.RETRY_WAIT if retry else StepRunStatus.FAILED,
            held_by=attempt.key,
            error_message=message,
            error_class=code,
            **({} if retry else {"completed_at": utc_now()}),
        )
    return AttemptFailed(f"{code}: {message}", retry=retry)
