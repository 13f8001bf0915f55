"""Lineage: what a run's artifacts came from, and what became of one record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from pydantic import AliasChoices, Field

from api.deps import Org, RecordId, Use
from api.envelope import Envelope, Wire, ok
from models import lineage, runs

routes = APIRouter(tags=["lineage"])


class LineageNode(Wire):
    """`kind` is FILE, STEP_RUN or ARTIFACT; `key` is what edges name."""

    key: str
    kind: str
    id: int
    name: str
    facts: dict[str, Any]


class LineageEdge(Wire):
    origin: str = Field(serialization_alias="from")
    to: str
    event_type: str
    facts: dict[str, Any]
    created_at: datetime


class LineageGraph(Wire):
    """Files and artifacts point to the step runs that read them, step runs to the artifacts that they wrote."""

    run_id: int
    nodes: list[LineageNode]
    edges: list[LineageEdge]


class MatchPartner(Wire):
    file_id: int
    row: int
    score: float


class PassageException(Wire):
    id: int
    type: str
    severity: str
    status: str
    field_name: str | None
    description: str
    resolution: str | None


class RecordPassage(Wire):
    """`outcome` is MATCHED or UNMATCHED; `reason` says why there is no partner."""

    run_id: int
    stream_id: int
    stream_name: str
    step_run_id: int
    step_order: int
    step_name: str
    side: str
    outcome: str
    reason: str | None
    match_pass: str | None = Field(serialization_alias="pass")
    partners: list[MatchPartner]
    exceptions: list[PassageException] = Field(validation_alias=AliasChoices("breaks", "exceptions"))
    completed_at: datetime | None


class RecordHistory(Wire):
    file_id: int
    filename: str
    row: int
    record: dict[str, Any]
    passages: list[RecordPassage]


@routes.get("/stream-runs/{runId}/lineage", response_model=Envelope[LineageGraph])
def of_run(use: Use, org: Org, runId: RecordId) -> Response:  # noqa: N803 - the contract's name
    """The run as a graph, from its input files to its artifacts."""
    with use.database.read() as session:
        return ok(LineageGraph.model_validate(lineage.graph(session, runs.get(session, org, runId))))


@routes.get("/records/{fileId}/{row}/history", response_model=Envelope[RecordHistory])
def of_record(use: Use, org: Org, fileId: RecordId, row: RecordId) -> Response:  # noqa: N803
    """What became of one row of a file (the first record is row 1) in every step that it went through, newest run first."""
    with use.database.read() as session:
        found = lineage.history(session, use.storage, org, fileId, row)
    return ok(
        RecordHistory(
            file_id=found.file.id,
            filename=found.file.original_filename,
            row=found.row,
            record=found.record,
            passages=[RecordPassage.model_validate(one) for one in found.passages],
        )
    )
