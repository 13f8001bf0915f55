"""Legacy reconciliations as one-step streams: created, started, cancelled and looked at through their step run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import delete as bulk_delete
from sqlmodel import Session, col, select

from models import files, reconciliations, rules, runs
from models.base import utc_now
from models.breaks import Break
from models.definitions import StepDraft, write_steps
from models.errors import Conflict
from models.files import StoredFile
from models.lifecycle import STEP_OPEN, StepRunStatus
from models.reconciliations import STATUS_OF_STEP, Origin, Reconciliation, ReconciliationStatus
from models.rules import StoredRuleSet
from models.runs import StepRun, StreamRun
from models.streams import Stream, StreamInputType, TriggerType


@dataclass(frozen=True)
class ReconciliationView:
    """A reconciliation with the step run behind it and the names that a page shows."""

    record: Reconciliation
    step_run: StepRun
    source_name: str | None
    target_name: str | None
    rule_set_name: str | None

    @property
    def status(self) -> ReconciliationStatus:
        return STATUS_OF_STEP[StepRunStatus(self.step_run.status)]


def create(
    session: Session,
    organization_id: int,
    *,
    name: str,
    description: str | None,
    source_file_id: int,
    target_file_id: int,
    rule_set_id: int,
    domain: str,
) -> Reconciliation:
    """Writes a reconciliation, the implicit stream behind it and its PENDING run.

    Raises NotFound for the source, the target or the rule set, in this order.
    """
    files.get(session, organization_id, source_file_id)
    files.get(session, organization_id, target_file_id)
    rules.get(session, organization_id, rule_set_id)
    record = Reconciliation(
        organization_id=organization_id,
        origin=Origin.LEGACY,
        name=name,
        description=description,
        domain=domain,
        source_file_id=source_file_id,
        target_file_id=target_file_id,
        rule_set_id=rule_set_id,
    )
    session.add(record)
    session.flush()
    stream = Stream(organization_id=organization_id, name=f"legacy-recon-{record.id}", domain=domain, implicit=True)
    session.add(stream)
    session.flush()
    inputs = [{"type": str(StreamInputType.FILE), "id": one} for one in (source_file_id, target_file_id)]
    write_steps(session, stream, [StepDraft(1, "step-1", inputs[0], inputs[1], rule_set_id, None)])
    runs.create(session, stream, trigger_type=TriggerType.MANUAL, reconciliation=record)
    return record


def start(session: Session, organization_id: int, reconciliation_id: int) -> int:
    """The id of the run to submit: the PENDING one, or a new one where the last one FAILED. Raises Conflict otherwise."""
    record, step_run, run = own(session, organization_id, reconciliation_id, "started")
    status = STATUS_OF_STEP[StepRunStatus(step_run.status)]
    if status is ReconciliationStatus.FAILED:
        stream = session.get_one(Stream, run.stream_id)
        run = runs.create(session, stream, trigger_type=TriggerType.MANUAL, reconciliation=record)
    elif status is not ReconciliationStatus.PENDING or run.submit_at is not None:
        raise Conflict(
            f"Reconciliation {reconciliation_id} is {status}; only PENDING and FAILED ones can be started",
            code="RECONCILIATION_NOT_STARTABLE",
            reconciliation_id=reconciliation_id,
        )
    run.submit_at = utc_now()
    session.add(run)
    session.flush()
    return run.id


def cancel(session: Session, organization_id: int, reconciliation_id: int) -> StreamRun | None:
    """Cancels the run behind a reconciliation and gives it; None if it had FAILED or been cancelled. Raises Conflict."""
    _, step_run, run = own(session, organization_id, reconciliation_id, "cancelled")
    if step_run.status == StepRunStatus.COMPLETED:
        raise Conflict(
            f"Reconciliation {reconciliation_id} is COMPLETED and can't be cancelled",
            code="RECONCILIATION_NOT_CANCELLABLE",
            reconciliation_id=reconciliation_id,
        )
    return run if runs.cancel(session, run.id, at=utc_now()) else None


def delete(session: Session, organization_id: int, reconciliation_id: int) -> None:
    """Removes a reconciliation and its breaks from all answers; the record stays as a tombstone. Raises Conflict."""
    record, step_run, run = own(session, organization_id, reconciliation_id, "deleted")
    # The step's state is the reconciliation's; its run is closed a moment later.
    is_open = StepRunStatus(step_run.status) in STEP_OPEN
    if is_open and run.submit_at is not None:
        raise Conflict(
            f"Reconciliation {reconciliation_id} is running; cancel it first",
            code="RECONCILIATION_RUNNING",
            reconciliation_id=reconciliation_id,
        )
    if is_open:
        runs.cancel(session, run.id, at=utc_now())
    session.execute(bulk_delete(Break).where(col(Break.reconciliation_id) == reconciliation_id))
    record.deleted_at = utc_now()
    session.add(record)


def files_of(session: Session, record: Reconciliation) -> list[StoredFile]:
    """The two files of a legacy reconciliation."""
    return [session.get_one(StoredFile, one) for one in (record.source_file_id, record.target_file_id)]


def own(
    session: Session, organization_id: int, reconciliation_id: int, act: str
) -> tuple[Reconciliation, StepRun, StreamRun]:
    """A reconciliation that is not a stream's, its step run and run. Raises NotFound, or Conflict naming the run."""
    record = reconciliations.get(session, organization_id, reconciliation_id)
    step_run = session.get_one(StepRun, record.step_run_id)
    run = session.get_one(StreamRun, step_run.run_id)
    if record.origin == Origin.STREAM:
        raise Conflict(
            f"Reconciliation {reconciliation_id} belongs to stream run {run.id} and can't be {act} by itself",
            code="RECONCILIATION_OF_STREAM",
            reconciliation_id=reconciliation_id,
            run_id=run.id,
        )
    return record, step_run, run


def views(session: Session, records: Sequence[Reconciliation]) -> list[ReconciliationView]:
    """What a page shows of some reconciliations, in their order."""
    step_runs = _by_id(session, StepRun, [one.step_run_id for one in records])
    named = [one.source_file_id for one in records] + [one.target_file_id for one in records]
    stored = _by_id(session, StoredFile, named)
    rule_sets = _by_id(session, StoredRuleSet, [one.rule_set_id for one in records])

    def filename(file_id: int | None) -> str | None:
        found = stored.get(file_id or 0)
        return None if found is None else found.original_filename

    def rule_set_name(rule_set_id: int) -> str | None:
        found = rule_sets.get(rule_set_id)
        return None if found is None else found.name

    return [
        ReconciliationView(
            one,
            step_runs[one.step_run_id or 0],
            filename(one.source_file_id),
            filename(one.target_file_id),
            rule_set_name(one.rule_set_id),
        )
        for one in records
    ]


Table = TypeVar("Table", StepRun, StoredFile, StoredRuleSet)


def _by_id(session: Session, table: type[Table], ids: Sequence[int | None]) -> dict[int, Table]:
    chosen = select(table).where(col(table.id).in_({one for one in ids if one is not None}))
    return {one.id: one for one in session.exec(chosen).all()}
