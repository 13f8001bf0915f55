"""Dual read: a reconciliation as the legacy shows it beside what its stream run left, each counted without the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import func
from sqlmodel import Session, col, select

from matching.identity import REASON
from matching.terms import Reason
from models import adapter, artifacts, reconciliations
from models.artifacts import ArtifactType, LineageEvent
from models.breaks import Break
from models.files import StoredFile
from models.lifecycle import RunStatus
from models.reconciliations import Origin, ReconciliationStatus
from models.runs import StepRun, StreamRun
from models.storage import Storage

STATUS_OF_RUN = {
    RunStatus.PENDING: ReconciliationStatus.PENDING,
    RunStatus.RUNNING: ReconciliationStatus.IN_PROGRESS,
    RunStatus.COMPLETED: ReconciliationStatus.COMPLETED,
    RunStatus.PARTIAL_FAILED: ReconciliationStatus.FAILED,
    RunStatus.FAILED: ReconciliationStatus.FAILED,
    RunStatus.CANCELED: ReconciliationStatus.CANCELLED,
}
"""The legacy words for the states of a run of one step."""

UNMATCHED = (Reason.MISSING, Reason.SEARCH_TRUNCATED)
"""Reasons of records that the legacy counts as unmatched; surplus duplicates and null keys are in no count."""


@dataclass(frozen=True)
class Compared:
    """One figure, read both ways."""

    name: str
    legacy: Any
    stream: Any

    @property
    def equal(self) -> bool:
        return self.legacy == self.stream


@dataclass(frozen=True)
class Parity:
    """A reconciliation and the step run behind it; `compared` in a fixed order."""

    reconciliation_id: int
    run_id: int
    step_run_id: int
    compared: list[Compared]

    @property
    def differences(self) -> list[str]:
        """Names of the figures that differ."""
        return [one.name for one in self.compared if not one.equal]

    @property
    def clean(self) -> bool:
        return not self.differences


def compare(session: Session, storage: Storage, organization_id: int, reconciliation_id: int) -> Parity:
    """The legacy's figures come from the reconciliation's own row, the stream's from the run, its lineage and its artifacts.

    Raises NotFound, and FileVanished where an artifact's bytes are gone.
    """
    view = adapter.views(session, [reconciliations.get(session, organization_id, reconciliation_id)])[0]
    record, step_run = view.record, view.step_run
    run = session.get_one(StreamRun, step_run.run_id)
    own = STATUS_OF_RUN[RunStatus(run.status)] if record.origin == Origin.LEGACY else view.status
    compared = [Compared("status", str(view.status), str(own))]
    if view.status is ReconciliationStatus.COMPLETED:
        compared += _figures(session, storage, record, step_run)
    return Parity(reconciliation_id, run.id, step_run.id, compared)


def _figures(
    session: Session, storage: Storage, record: reconciliations.Reconciliation, step_run: StepRun
) -> list[Compared]:
    source_rows, target_rows = (_rows_read(session, step_run, side) for side in ("source", "target"))
    pairs = _scan(session, storage, step_run, ArtifactType.MATCHED)
    matched = _count(pairs.select("source_file_id", "source_row").unique())
    left = [
        _count(
            _scan(session, storage, step_run, one).filter(pl.col(REASON).is_in([str(reason) for reason in UNMATCHED]))
        )
        for one in (ArtifactType.UNMATCHED_SOURCE, ArtifactType.UNMATCHED_TARGET)
    ]
    found = _count(_scan(session, storage, step_run, ArtifactType.EXCEPTIONS))
    stored = session.exec(
        select(func.count()).select_from(Break).where(col(Break.reconciliation_id) == record.id)
    ).one()
    return [
        Compared("totalSourceRecords", record.total_source_records, source_rows),
        Compared("totalTargetRecords", record.total_target_records, target_rows),
        Compared("matchedRecords", record.matched_records, matched),
        Compared("unmatchedSourceRecords", record.unmatched_source_records, left[0]),
        Compared("unmatchedTargetRecords", record.unmatched_target_records, left[1]),
        Compared("exceptionCount", record.exception_count, found),
        Compared("storedExceptions", stored, found),
        Compared("matchRate", record.match_rate, matched / source_rows * 100 if source_rows else 0.0),
        Compared("metrics.matchedRecords", record.matched_records, step_run.matched_records),
        Compared("metrics.exceptionCount", record.exception_count, step_run.exception_count),
    ]


def _rows_read(session: Session, step_run: StepRun, side: str) -> int:
    """Rows of the inputs that the lineage says were read."""
    reads = session.exec(select(LineageEvent).where(col(LineageEvent.downstream_step_run_id) == step_run.id)).all()
    ids = {one.file_id for one in reads if (one.facts or {}).get("side") == side}
    counts: Sequence[int | None] = session.exec(select(StoredFile.row_count).where(col(StoredFile.id).in_(ids))).all()
    return sum(one or 0 for one in counts)


def _scan(session: Session, storage: Storage, step_run: StepRun, wanted: ArtifactType) -> pl.LazyFrame:
    found = artifacts.one_of(session, step_run.id, wanted)
    if found is None or found[1].twin_path is None:
        return pl.LazyFrame(schema={"source_file_id": pl.Int64, "source_row": pl.Int64, REASON: pl.String})
    with storage.guard(found[1].twin_path):
        return storage.scan_parquet(found[1].twin_path)


def _count(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())
