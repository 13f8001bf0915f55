"""Runs and step runs: tables, and the transitions that keep them true whoever writes at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint, func, update
from sqlalchemy import select as select_columns
from sqlmodel import Field, Session, SQLModel, col, select

from models import audit, files
from models.actors import SYSTEM, current_actor
from models.artifacts import Artifact, LineageEvent, LineageEventType
from models.base import big_integer, json_column, primary_key, reference, time_column, utc_now
from models.errors import Conflict, NotFound, PlanInvalid
from models.lifecycle import (
    RUN_OPEN,
    STEP_OPEN,
    RunStatus,
    StepRunStatus,
    roll_up,
    runs_before,
    steps_before,
)
from models.reconciliations import Origin, Reconciliation
from models.rules import StoredRuleSet
from models.streams import Concurrency, Step, Stream, StreamInputType, TriggerType, steps_of
from models.triggers import file_of_event


class StreamRun(SQLModel, table=True):
    """One execution of one definition version with pinned rule set versions.

    `engine_run_id` is the engine run that may execute it now, the `submission`-th; it never leaves the server. `submit_at`
    says from when on the run may be handed to the engine, where it has none. `restarts` counts the engine runs that were lost
    since a step last completed. `heartbeat_at` says when the executing process was last seen (null: none has begun),
    `engine_over` that the engine's own record was seen ended after ours. `event_id` names the event or the fire
    time that asked for the run, `resumed_from` the run that this one continues.
    """

    __tablename__ = "runs"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        UniqueConstraint("stream_id", "idempotency_key"),
        UniqueConstraint("stream_id", "event_id", name="uq_runs_stream_event"),
    )

    id: int = primary_key()
    organization_id: int = reference("organizations.id")
    stream_id: int = reference("streams.id")
    definition_version: int
    rule_set_versions: dict[str, int] = json_column(nullable=False)
    status: str = Field(default=RunStatus.PENDING, index=True)
    current_step_order: int = 0
    trigger_type: str = Field(default=TriggerType.MANUAL)
    trigger_metadata: dict[str, Any] | None = json_column()
    engine_run_id: str | None = Field(default=None, unique=True)
    submission: int = 1
    restarts: int = 0
    heartbeat_at: datetime | None = time_column(nullable=True)
    engine_over: bool = False
    event_id: str | None = None
    resumed_from: int | None = reference("runs.id", nullable=True)
    submit_at: datetime | None = time_column(nullable=True)
    idempotency_key: str | None = None
    request_digest: str | None = None
    error_message: str | None = None
    started_at: datetime | None = time_column(nullable=True)
    completed_at: datetime | None = time_column(nullable=True)
    created_at: datetime = time_column()
    updated_at: datetime = time_column()


class StepRun(SQLModel, table=True):
    """One step of one run. `attempt_no` counts from 1; `progress` is 0..100.

    `lost_attempts` are those that ended with their process: they don't count as retries.
    `carried_from` is the step run of an earlier run that completed this step: its artifacts are this one's.
    """

    __tablename__ = "step_runs"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("run_id", "step_order"),)

    id: int = primary_key()
    run_id: int = reference("runs.id")
    step_id: int = reference("steps.id")
    step_order: int
    status: str = Field(default=StepRunStatus.PENDING)
    attempt_no: int = 1
    lost_attempts: int = 0
    attempt_key: str | None = None
    carried_from: int | None = reference("step_runs.id", nullable=True)
    progress: int = 0
    reconciliation_id: int = reference("reconciliations.id")
    matched_records: int = big_integer()
    exception_count: int = big_integer()
    error_message: str | None = None
    error_class: str | None = None
    started_at: datetime | None = time_column(nullable=True)
    completed_at: datetime | None = time_column(nullable=True)
    created_at: datetime = time_column()
    updated_at: datetime = time_column()


def get(session: Session, organization_id: int, run_id: int) -> StreamRun:
    """The run; raises NotFound where it is not the organization's."""
    found = session.get(StreamRun, run_id)
    if found is None or found.organization_id != organization_id:
        raise NotFound("StreamRun", run_id)
    return found


def get_step_run(session: Session, organization_id: int, step_run_id: int) -> StepRun:
    """The step run; raises NotFound where it is not the organization's."""
    found = session.get(StepRun, step_run_id)
    run = None if found is None else session.get(StreamRun, found.run_id)
    if found is None or run is None or run.organization_id != organization_id:
        raise NotFound("StepRun", step_run_id)
    return found


def step_runs(
    session: Session, run_id: int, *, offset: int = 0, limit: int | None = None
) -> tuple[Sequence[StepRun], int]:
    """The step runs of a run in step order, and how many there are."""
    mine = col(StepRun.run_id) == run_id
    total = session.exec(select(func.count()).select_from(StepRun).where(mine)).one()
    page = select(StepRun).where(mine).order_by(col(StepRun.step_order)).offset(offset).limit(limit)
    return session.exec(page).all(), total


def of_stream(
    session: Session, stream_id: int, *, offset: int = 0, limit: int | None = None
) -> tuple[Sequence[StreamRun], int]:
    """The runs of a stream, newest first, and how many there are."""
    mine = col(StreamRun.stream_id) == stream_id
    total = session.exec(select(func.count()).select_from(StreamRun).where(mine)).one()
    page = select(StreamRun).where(mine).order_by(col(StreamRun.id).desc()).offset(offset).limit(limit)
    return session.exec(page).all(), total


def create(
    session: Session,
    stream: Stream,
    *,
    trigger_type: TriggerType,
    trigger_metadata: dict[str, Any] | None = None,
    engine_run_id: str | None = None,
    idempotency_key: str | None = None,
    request_digest: str | None = None,
    event_id: str | None = None,
    reconciliation: Reconciliation | None = None,
    resumed: StreamRun | None = None,
) -> StreamRun:
    """Writes a PENDING run with its step runs and their reconciliations, pinned to the versions of this moment.

    `reconciliation` is given for an implicit one-step stream: the legacy record that the step run stands behind; such a run
    is not submitted before it is started. `resumed` is an ended run whose definition version is taken and whose completed
    steps are carried over. Raises Conflict (RUN_ACTIVE) where the stream's policy is SKIP and a run of it is open.
    """
    admit(session, stream)
    version = stream.definition_version if resumed is None else resumed.definition_version
    steps = steps_of(session, stream.id, version)
    rule_sets = select(StoredRuleSet.id, StoredRuleSet.version).where(
        col(StoredRuleSet.id).in_([step.rule_set_id for step in steps])
    )
    run = StreamRun(
        organization_id=stream.organization_id,
        stream_id=stream.id,
        definition_version=version,
        rule_set_versions={str(one): version for one, version in session.exec(rule_sets).all()},
        trigger_type=trigger_type,
        trigger_metadata=trigger_metadata,
        engine_run_id=engine_run_id,
        idempotency_key=idempotency_key,
        request_digest=request_digest,
        event_id=event_id,
        resumed_from=None if resumed is None else resumed.id,
        submit_at=utc_now() if reconciliation is None else None,
    )
    session.add(run)
    session.flush()
    carried = {} if resumed is None else _completed(session, resumed.id)
    for step in steps:
        if step.step_order in carried:
            _carry(session, run, carried[step.step_order])
            continue
        behind = reconciliation or _reconciliation(session, stream, run, step)
        step_run = StepRun(run_id=run.id, step_id=step.id, step_order=step.step_order, reconciliation_id=behind.id)
        session.add(step_run)
        session.flush()
        behind.step_run_id = step_run.id
        session.add(behind)
    return run


def admit(session: Session, stream: Stream) -> None:
    """Takes the stream for this transaction, so that its runs are created one after another.

    Raises Conflict (RUN_ACTIVE) where the stream's policy is SKIP and a run of it is open.
    """
    session.exec(select(Stream.id).where(col(Stream.id) == stream.id).with_for_update()).one()
    if stream.concurrency is not Concurrency.SKIP:
        return
    mine = (col(StreamRun.stream_id) == stream.id, col(StreamRun.status).in_(RUN_OPEN))
    active = session.exec(select(StreamRun).where(*mine).order_by(col(StreamRun.id)).limit(1)).first()
    if active is not None:
        raise Conflict(
            f"Run {active.id} of stream {stream.id} '{stream.name}' is {active.status}, and the stream's concurrency is "
            "SKIP: no other run is created before it has ended",
            code="RUN_ACTIVE",
            run_id=active.id,
        )


def _completed(session: Session, run_id: int) -> dict[int, StepRun]:
    mine = (col(StepRun.run_id) == run_id, col(StepRun.status) == StepRunStatus.COMPLETED)
    return {one.step_order: one for one in session.exec(select(StepRun).where(*mine)).all()}


def _carry(session: Session, run: StreamRun, done: StepRun) -> None:
    """A step run that is done already: its artifacts and its reconciliation stay those of the step run that did it."""
    facts = done.model_dump(exclude={"id", "run_id", "attempt_key", "carried_from", "created_at", "updated_at"})
    carried = StepRun(**facts, run_id=run.id, carried_from=done.carried_from or done.id)
    session.add(carried)
    session.flush()
    session.add(
        LineageEvent(
            run_id=run.id,
            event_type=LineageEventType.STEP_CARRIED,
            upstream_step_run_id=carried.carried_from,
            downstream_step_run_id=carried.id,
        )
    )


def _reconciliation(session: Session, stream: Stream, run: StreamRun, step: Step) -> Reconciliation:
    record = Reconciliation(
        organization_id=stream.organization_id,
        origin=Origin.STREAM,
        name=f"{stream.name} · run {run.id} · {step.name}",
        domain=stream.domain,
        source_file_id=_file_id(session, run, step, "source", step.source_type, step.source_id),
        target_file_id=_file_id(session, run, step, "target", step.target_type, step.target_id),
        rule_set_id=step.rule_set_id,
    )
    session.add(record)
    session.flush()
    return record


def _file_id(session: Session, run: StreamRun, step: Step, side: str, kind: str, input_id: int) -> int | None:
    """The file that a side reads in a run, as far as it is known before the run."""
    if kind != StreamInputType.FILE:
        return None
    named = step.from_event(side)
    try:
        given = None if named is None else file_of_event(named, run.trigger_metadata)
        return input_id if given is None else files.get(session, run.organization_id, given).id
    except (PlanInvalid, NotFound):
        return None  # the step will fail and say so


def move(session: Session, run_id: int, status: RunStatus, **values: Any) -> bool:
    """Moves a run to `status` if its state allows that; False if it does not (it was cancelled, say)."""
    changed = session.execute(
        update(StreamRun)
        .where(col(StreamRun.id) == run_id, col(StreamRun.status).in_(runs_before(status)))
        .values(status=status, updated_at=utc_now(), **values)
    )
    return _rows(changed) == 1


def move_step(
    session: Session, step_run_id: int, status: StepRunStatus, *, held_by: str | None = None, **values: Any
) -> bool:
    """Moves a step run to `status` if its state allows that and, where `held_by` is given, that attempt still holds it."""
    where = [col(StepRun.id) == step_run_id, col(StepRun.status).in_(steps_before(status))]
    if held_by is not None:
        where.append(col(StepRun.attempt_key) == held_by)
    changed = session.execute(update(StepRun).where(*where).values(status=status, updated_at=utc_now(), **values))
    return _rows(changed) == 1


def note_progress(session: Session, step_run_id: int, attempt_key: str, progress: int) -> bool:
    """Records how far an attempt is; False if it doesn't hold the step run any more."""
    changed = session.execute(
        update(StepRun)
        .where(
            col(StepRun.id) == step_run_id,
            col(StepRun.attempt_key) == attempt_key,
            col(StepRun.status) == StepRunStatus.IN_PROGRESS,
        )
        .values(progress=progress, updated_at=utc_now())
    )
    return _rows(changed) == 1


def close(session: Session, run_id: int, error_message: str | None = None) -> RunStatus:
    """Rolls the step runs up into the run's end state; call it when every step run is terminal."""
    joined = (
        select(StepRun, Step)
        .join(Step, col(StepRun.step_id) == col(Step.id))
        .where(col(StepRun.run_id) == run_id)
        .order_by(col(StepRun.step_order))
    )
    pairs = session.exec(joined).all()
    end = roll_up((StepRunStatus(step_run.status), step.tolerated) for step_run, step in pairs)
    failures = [
        f"Step {step_run.step_order} ({step.name}; {step.named_parts}): "
        f"{step_run.error_class}: {step_run.error_message}"
        for step_run, step in pairs
        if step_run.status == StepRunStatus.FAILED
    ]
    message = error_message or "; ".join(failures) or None
    move(session, run_id, end, completed_at=utc_now(), error_message=message)
    return end


def cancel(session: Session, run_id: int, *, at: datetime) -> bool:
    """Cancels a run and every step of it that is not terminal; False if the run's state does not allow it."""
    if not move(session, run_id, RunStatus.CANCELED, completed_at=at):
        return False
    _end_open_steps(session, run_id, StepRunStatus.CANCELED, at)
    if current_actor.get() != SYSTEM:
        audit.note(session, session.get_one(StreamRun, run_id), "CANCEL", None, {"status": str(RunStatus.CANCELED)})
    return True


def skip_open_steps(session: Session, run_id: int) -> None:
    """Skips every step of a run that has not started."""
    session.execute(
        update(StepRun)
        .where(col(StepRun.run_id) == run_id, col(StepRun.status) == StepRunStatus.PENDING)
        .values(status=StepRunStatus.SKIPPED, updated_at=utc_now(), completed_at=utc_now())
    )


def _end_open_steps(session: Session, run_id: int, status: StepRunStatus, at: datetime) -> None:
    session.execute(
        update(StepRun)
        .where(col(StepRun.run_id) == run_id, col(StepRun.status).in_(STEP_OPEN))
        .values(status=status, updated_at=at, completed_at=at, attempt_key=None)
    )


def _rows(result: Any) -> int:
    return int(result.rowcount)


def note_step_started(session: Session, run_id: int, step_order: int) -> None:
    """The run's current step order is the highest one started."""
    session.execute(
        update(StreamRun)
        .where(col(StreamRun.id) == run_id, col(StreamRun.current_step_order) < step_order)
        .values(current_step_order=step_order, updated_at=utc_now())
    )


def note_step_completed(session: Session, run_id: int) -> None:
    """The run got on: the engine runs that it lost before no longer count."""
    session.execute(
        update(StreamRun).where(col(StreamRun.id) == run_id, col(StreamRun.restarts) > 0).values(restarts=0)
    )


def artifact_owners(session: Session, run_id: int) -> dict[int, int]:
    """The step runs that hold the artifacts of a run's steps, by step order: its own, or those they were carried from."""
    chosen = select(StepRun.step_order, StepRun.id, StepRun.carried_from).where(col(StepRun.run_id) == run_id)
    return {order: carried_from or own for order, own, carried_from in session.exec(chosen).all()}


def artifact_files(session: Session, step_run_id: int) -> dict[str, int]:
    """The file ids of a step run's artifacts by artifact type."""
    chosen = select(Artifact.artifact_type, Artifact.file_id).where(col(Artifact.step_run_id) == step_run_id)
    return dict(session.exec(chosen).all())


@dataclass(frozen=True)
class RunMetrics:
    """Counts over the step runs of one run; records are source records matched, summed over the steps."""

    total_steps: int
    completed_steps: int
    failed_steps: int
    matched_records: int
    exception_count: int


def metrics(session: Session, run_ids: Sequence[int]) -> dict[int, RunMetrics]:
    """The metrics of several runs."""
    status = col(StepRun.status)
    counted = (
        select_columns(
            col(StepRun.run_id),
            func.count(),
            func.count().filter(status == StepRunStatus.COMPLETED),
            func.count().filter(status == StepRunStatus.FAILED),
            func.coalesce(func.sum(col(StepRun.matched_records)), 0),
            func.coalesce(func.sum(col(StepRun.exception_count)), 0),
        )
        .where(col(StepRun.run_id).in_(run_ids))
        .group_by(col(StepRun.run_id))
    )
    return {row[0]: RunMetrics(*(int(one) for one in row[1:])) for row in session.execute(counted).all()}
