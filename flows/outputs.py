"""From an outcome to what stays: blobs first, then artifacts, breaks, lineage and COMPLETED in one commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from sqlmodel import Session

from flows.fingerprints import fingerprinted
from flows.workplace import Workplace
from matching.outcome import LargeOutcome, Outcome
from models import breaks, recurring, runs
from models.artifacts import Artifact, ArtifactType, LineageEvent, LineageEventType
from models.base import utc_now
from models.files import FileKind, FileStatus, StoredFile
from models.lifecycle import StepRunStatus
from models.plan import ResolvedInput
from models.reconciliations import Reconciliation
from models.runs import StepRun, StreamRun
from models.storage import Blob
from models.streams import Step
from models.tabular import schema_snapshot, write_csv, write_parquet

BREAKS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Published:
    """One artifact whose blobs are in the storage; `twin` is the Parquet that a later step reads, `blob` what a download gives."""

    artifact_type: ArtifactType
    filename: str
    content_type: str
    blob: Blob
    twin: Blob
    row_count: int
    columns: list[str]
    schema: list[dict[str, Any]]


def attempt_prefix(run: StreamRun, step_order: int, attempt_no: int) -> str:
    """Where one attempt writes; no two attempts share it."""
    return f"org-{run.organization_id}/stream-{run.stream_id}/run-{run.id}/step-{step_order}/attempt-{attempt_no}"


def publish(
    place: Workplace, run: StreamRun, step_run: StepRun, outcome: Outcome | LargeOutcome, scratch: Path
) -> list[Published]:
    """Writes the blobs of every artifact, by way of files in `scratch`; nothing refers to them before `commit`."""
    prefix = attempt_prefix(run, step_run.step_order, step_run.attempt_no)
    frames = {
        ArtifactType.MATCHED: outcome.matches,
        ArtifactType.UNMATCHED_SOURCE: outcome.unmatched_source,
        ArtifactType.UNMATCHED_TARGET: outcome.unmatched_target,
        ArtifactType.EXCEPTIONS: outcome.breaks,
    }
    return [
        _publish_one(place, prefix, artifact_type, scratch / f"stream_{run.id}_step_{step_run.step_order}", frame)
        for artifact_type, frame in frames.items()
    ]


def _publish_one(
    place: Workplace, prefix: str, artifact_type: ArtifactType, stem: Path, frame: pl.DataFrame | pl.LazyFrame
) -> Published:
    parquet = stem.with_name(f"{stem.name}_{artifact_type.lower()}.parquet")
    write_parquet(frame, parquet)
    if isinstance(frame, pl.DataFrame):
        height = frame.height
    else:
        height = int(pl.scan_parquet(parquet, glob=False).select(pl.len()).collect().item())
    twin = blob = place.storage.put_file(parquet, f"{prefix}/{parquet.name}")
    filename, content_type = parquet.name, "application/vnd.apache.parquet"
    parquet.unlink()
    if artifact_type is not ArtifactType.MATCHED:
        text = parquet.with_suffix(".csv")
        write_csv(frame, text)
        blob = place.storage.put_file(text, f"{prefix}/{text.name}")
        filename, content_type = text.name, "text/csv"
        text.unlink()
    lazy = frame.lazy()
    columns = lazy.collect_schema().names()
    return Published(artifact_type, filename, content_type, blob, twin, height, columns, schema_snapshot(lazy))


def commit(
    place: Workplace,
    run: StreamRun,
    step_run: StepRun,
    attempt_key: str,
    inputs: dict[str, ResolvedInput],
    outcome: Outcome | LargeOutcome,
    published: list[Published],
) -> bool:
    """Makes the attempt's result true in one transaction. False, and nothing written, if the attempt no longer holds the step."""
    return place.writing(partial(_commit, run, step_run, attempt_key, inputs, outcome, published))


def _commit(
    run: StreamRun,
    step_run: StepRun,
    attempt_key: str,
    inputs: dict[str, ResolvedInput],
    outcome: Outcome | LargeOutcome,
    published: list[Published],
    session: Session,
) -> bool:
    counted = outcome.statistics
    now = utc_now()
    held = runs.move_step(
        session,
        step_run.id,
        StepRunStatus.COMPLETED,
        held_by=attempt_key,
        progress=100,
        completed_at=now,
        matched_records=counted.matched_records,
        exception_count=counted.exception_count,
    )
    if not held:
        there = session.get_one(StepRun, step_run.id, populate_existing=True)
        # It is this attempt's own commit if its answer was lost on the way.
        return there.status == StepRunStatus.COMPLETED and there.attempt_key == attempt_key
    _record_inputs(session, run, step_run, inputs)
    _record_artifacts(session, run, step_run, published)
    reconciliation = session.get_one(Reconciliation, step_run.reconciliation_id)
    reconciliation.source_file_id = inputs["source"].file.id
    reconciliation.target_file_id = inputs["target"].file.id
    reconciliation.total_source_records = counted.total_source_records
    reconciliation.total_target_records = counted.total_target_records
    reconciliation.matched_records = counted.matched_records
    reconciliation.unmatched_source_records = counted.unmatched_source_records
    reconciliation.unmatched_target_records = counted.unmatched_target_records
    reconciliation.exception_count = counted.exception_count
    reconciliation.match_rate = counted.match_rate
    reconciliation.updated_at = now
    session.add(reconciliation)
    series = recurring.series_of(session, run, session.get_one(Step, step_run.step_id))
    for rows in _break_rows(fingerprinted(outcome), run, step_run, series):
        breaks.insert(session, rows)
    recurring.take_over(session, step_run.id, series)
    return True


def _record_inputs(session: Session, run: StreamRun, step_run: StepRun, inputs: dict[str, ResolvedInput]) -> None:
    for side, resolved in inputs.items():
        session.add(
            LineageEvent(
                run_id=run.id,
                event_type=LineageEventType.INPUT_READ
                if resolved.artifact_id is None
                else LineageEventType.ARTIFACT_READ,
                file_id=resolved.file.id,
                artifact_id=resolved.artifact_id,
                upstream_step_run_id=resolved.upstream_step_run_id,
                downstream_step_run_id=step_run.id,
                facts={"side": side, "checksum": resolved.file.checksum, "attempt": step_run.attempt_no},
            )
        )


def _record_artifacts(session: Session, run: StreamRun, step_run: StepRun, published: list[Published]) -> None:
    """Each kind of row is flushed at once: a statement for all of them instead of one for each."""
    files = [
        StoredFile(
            organization_id=run.organization_id,
            kind=FileKind.ARTIFACT,
            original_filename=one.filename,
            content_type=one.content_type,
            file_size=one.blob.size,
            status=FileStatus.PROCESSED,
            headers=one.columns,
            row_count=one.row_count,
            column_count=len(one.columns),
            storage_path=one.blob.path,
            twin_path=one.twin.path,
            checksum=one.blob.checksum,
        )
        for one in published
    ]
    session.add_all(files)
    session.flush()
    artifacts = [
        Artifact(
            step_run_id=step_run.id,
            artifact_type=one.artifact_type,
            file_id=stored.id,
            storage_path=one.blob.path,
            checksum=one.blob.checksum,
            row_count=one.row_count,
            schema_snapshot=one.schema,
        )
        for one, stored in zip(published, files, strict=True)
    ]
    session.add_all(artifacts)
    session.flush()
    session.add_all(
        LineageEvent(
            run_id=run.id,
            event_type=LineageEventType.ARTIFACT_PUBLISHED,
            file_id=artifact.file_id,
            artifact_id=artifact.id,
            upstream_step_run_id=step_run.id,
            facts={
                "artifactType": one.artifact_type,
                "checksum": one.blob.checksum,
                "twinChecksum": one.twin.checksum,
                "rowCount": one.row_count,
            },
        )
        for one, artifact in zip(published, artifacts, strict=True)
    )


def _break_rows(frame: pl.LazyFrame, run: StreamRun, step_run: StepRun, series: str) -> Iterator[list[dict[str, Any]]]:
    now = utc_now()
    seen: Counter[str] = Counter()
    shaped = frame.select(
        "type",
        "severity",
        pl.col("field").alias("field_name"),
        "source_value",
        "target_value",
        "delta",
        pl.col("key").alias("key_text"),
        "source_file_id",
        "source_row",
        "target_file_id",
        "target_row",
        "description",
        "fingerprint",
        organization_id=pl.lit(run.organization_id),
        reconciliation_id=pl.lit(step_run.reconciliation_id),
        step_run_id=pl.lit(step_run.id),
        status=pl.lit(str(breaks.BreakStatus.OPEN)),
        series=pl.lit(series),
        first_seen_at=pl.lit(now),
        created_at=pl.lit(now),
        updated_at=pl.lit(now),
    )
    for part in shaped.collect_batches(chunk_size=BREAKS_AT_ONCE, maintain_order=True):
        rows = part.to_dicts()
        for row in rows:
            # Breaks that nothing tells apart go by their order: the n-th of this run is the n-th of the one before.
            fingerprint = row["fingerprint"]
            seen[fingerprint] += 1
            if seen[fingerprint] > 1:
                row["fingerprint"] = f"{fingerprint}-{seen[fingerprint]}"
        yield rows
