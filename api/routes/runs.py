"""Stream runs: their state, their steps, the artifacts of those, and the way to stop them."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response

from api.deps import Org, RecordId, Use
from api.envelope import Envelope, PageOf, PagingQuery, Wire, ok
from models import artifacts, resuming, runs
from models.artifacts import Artifact, ArtifactType
from models.base import utc_now
from models.errors import Conflict
from models.files import StoredFile
from models.lifecycle import RunStatus, StepRunStatus
from models.runs import RunMetrics, StepRun, StreamRun

routes = APIRouter(tags=["stream runs"])


class Metrics(Wire):
    total_steps: int
    completed_steps: int
    failed_steps: int
    matched_records: int
    exception_count: int


class RunDetail(Wire):
    id: int
    stream_id: int
    status: RunStatus
    current_step_order: int
    metrics: Metrics
    error_message: str | None
    resumed_from: int | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime


class StepRunDetail(Wire):
    id: int
    run_id: int
    step_id: int
    step_order: int
    status: StepRunStatus
    attempt_no: int
    progress: int
    reconciliation_id: int
    started_at: datetime | None
    completed_at: datetime | None


class ArtifactDetail(Wire):
    """`checksum` is over exactly the bytes that `downloadUrl` gives."""

    id: int
    artifact_type: ArtifactType
    file_id: int
    filename: str
    row_count: int
    checksum: str
    download_url: str
    created_at: datetime


class ResumedRun(Wire):
    run_id: int
    stream_id: int
    status: RunStatus
    resumed_from: int | None
    created_at: datetime


class CanceledRun(Wire):
    run_id: int
    status: RunStatus
    completed_at: datetime


def shape_run(run: StreamRun, counted: RunMetrics) -> RunDetail:
    """A run as the contract shows it."""
    own = set(RunDetail.model_fields) - {"metrics"}
    return RunDetail(**run.model_dump(include=own), metrics=Metrics.model_validate(counted))


def _artifact(artifact: Artifact, stored: StoredFile) -> ArtifactDetail:
    return ArtifactDetail(
        **artifact.model_dump(include={"id", "artifact_type", "file_id", "row_count", "checksum", "created_at"}),
        filename=stored.original_filename,
        download_url=f"/api/v1/files/{stored.id}/download",
    )


@routes.get("/stream-runs/{runId}", response_model=Envelope[RunDetail])
def one(use: Use, org: Org, runId: RecordId) -> Response:  # noqa: N803 - the contract's name
    """A run with its metrics."""
    with use.database.read() as session:
        run = runs.get(session, org, runId)
        counted = runs.metrics(session, [run.id])
    return ok(shape_run(run, counted[run.id]))


@routes.get("/stream-runs/{runId}/steps", response_model=Envelope[list[StepRunDetail] | PageOf[StepRunDetail]])
def steps(use: Use, org: Org, runId: RecordId, paging: PagingQuery) -> Response:  # noqa: N803
    """The run's steps in step order."""
    with use.database.read() as session:
        run = runs.get(session, org, runId)
        rows, total = runs.step_runs(session, run.id, **paging.window)
    return paging.answer(rows, total, _step_run)


def _step_run(step_run: StepRun) -> StepRunDetail:
    return StepRunDetail.model_validate(step_run)


@routes.get("/step-runs/{stepRunId}/artifacts", response_model=Envelope[list[ArtifactDetail] | PageOf[ArtifactDetail]])
def artifacts_of(use: Use, org: Org, stepRunId: RecordId, paging: PagingQuery) -> Response:  # noqa: N803
    """What a completed step run left; nothing before it completed."""
    with use.database.read() as session:
        step_run = runs.get_step_run(session, org, stepRunId)
        rows, total = artifacts.of_step_run(session, step_run.carried_from or step_run.id, **paging.window)
    return paging.answer(rows, total, lambda row: _artifact(*row))


@routes.post("/stream-runs/{runId}/cancel", response_model=Envelope[CanceledRun])
def cancel(use: Use, org: Org, runId: RecordId) -> Response:  # noqa: N803
    """Ends a PENDING or RUNNING run and every step of it that has not ended; the engine is told afterwards."""
    at = utc_now()
    with use.database.write() as session:
        run = runs.get(session, org, runId)
        if not runs.cancel(session, run.id, at=at):
            raise Conflict(
                f"Run {run.id} is {run.status}; only PENDING and RUNNING runs can be canceled",
                code="RUN_NOT_CANCELABLE",
                run_id=run.id,
                status=run.status,
            )
        session.refresh(run)
    use.launcher.stop(run)
    return ok(CanceledRun(run_id=run.id, status=RunStatus.CANCELED, completed_at=at), "Stream run canceled")


@routes.post("/stream-runs/{runId}/resume", status_code=201, response_model=Envelope[ResumedRun])
def resume(use: Use, org: Org, runId: RecordId) -> Response:  # noqa: N803
    """Continues a FAILED or PARTIAL_FAILED run as a new one: completed steps are carried over, the others executed."""
    with use.database.write() as session:
        run, made = resuming.resume(session, org, runId)
    if made:
        use.launcher.submit(run.id)
    facts = run.model_dump(include=set(ResumedRun.model_fields))
    return ok(ResumedRun(run_id=run.id, **facts), "Stream run resumed", status=201)
