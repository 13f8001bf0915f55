"""What came of what: a run as a graph of files, step runs and artifacts, and the way of one record through all steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl
from sqlmodel import Session, col, select

from matching.identity import FILE_ID, REASON, ROW
from models import artifacts, files, records
from models.artifacts import Artifact, ArtifactType, LineageEvent, LineageEventType
from models.breaks import Break
from models.errors import FileVanished, NotFound
from models.files import StoredFile
from models.lifecycle import StepRunStatus
from models.runs import StepRun, StreamRun
from models.storage import Storage
from models.streams import Step, Stream

MOST_RUNS = 100
"""Runs, the newest ones, that a record's history looks through."""

SIDES = (
    ("source", ArtifactType.UNMATCHED_SOURCE),
    ("target", ArtifactType.UNMATCHED_TARGET),
)


@dataclass(frozen=True)
class Node:
    """`kind` is FILE, STEP_RUN or ARTIFACT, `id` its id among its kind; `facts` are what a page shows of it, JSON-ready."""

    kind: str
    id: int
    name: str
    facts: dict[str, Any]

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True)
class Edge:
    """From what was read or what wrote, to what read it or was written; both are keys of nodes."""

    origin: str
    to: str
    event_type: str
    facts: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Graph:
    run_id: int
    nodes: list[Node] = field(default_factory=list[Node])
    edges: list[Edge] = field(default_factory=list[Edge])


def graph(session: Session, run: StreamRun) -> Graph:
    """The lineage of a run: files -> step runs -> artifacts -> step runs, nodes in the order they appear first."""
    events = artifacts.lineage(session, run.id)
    by_key: dict[str, Node] = {}
    edges: list[Edge] = []
    steps = {one.id: node for one, node in _step_nodes(session, run)}
    published = _by_id(session, Artifact, [one.artifact_id for one in events])
    stored = _by_id(session, StoredFile, [one.file_id for one in events])
    for node in steps.values():
        by_key[node.key] = node
    for event in events:
        node = _thing(event, published, stored)
        by_key.setdefault(node.key, node)
        step_run_id = event.downstream_step_run_id or event.upstream_step_run_id
        other = steps[step_run_id].key if step_run_id in steps else f"STEP_RUN:{step_run_id}"
        written = event.event_type == LineageEventType.ARTIFACT_PUBLISHED
        ends = (other, node.key) if written else (node.key, other)
        edges.append(Edge(*ends, event.event_type, event.facts or {}, event.created_at))
    return Graph(run.id, list(by_key.values()), edges)


def _step_nodes(session: Session, run: StreamRun) -> Iterator[tuple[StepRun, Node]]:
    joined = (
        select(StepRun, Step)
        .join(Step, col(StepRun.step_id) == col(Step.id))
        .where(col(StepRun.run_id) == run.id)
        .order_by(col(StepRun.step_order))
    )
    for step_run, step in session.exec(joined).all():
        facts = {
            "stepOrder": step_run.step_order,
            "status": step_run.status,
            "attemptNo": step_run.attempt_no,
            "ruleSetId": step.rule_set_id,
            "ruleSetVersion": run.rule_set_versions.get(str(step.rule_set_id)),
            "reconciliationId": step_run.reconciliation_id,
        }
        yield step_run, Node("STEP_RUN", step_run.id, step.name, facts)


def _thing(event: LineageEvent, published: dict[int, Artifact], stored: dict[int, StoredFile]) -> Node:
    file = stored.get(event.file_id or 0)
    name = "deleted" if file is None else file.original_filename
    if event.artifact_id is None:
        rows = None if file is None else file.row_count
        checksum = None if file is None else file.checksum
        return Node("FILE", event.file_id or 0, name, {"rowCount": rows, "checksum": checksum})
    artifact = published[event.artifact_id]
    facts = {
        "artifactType": artifact.artifact_type,
        "fileId": artifact.file_id,
        "rowCount": artifact.row_count,
        "checksum": artifact.checksum,
        "downloadUrl": f"/api/v1/files/{artifact.file_id}/download",
    }
    return Node("ARTIFACT", artifact.id, name, facts)


@dataclass(frozen=True)
class Partner:
    """A record of the other side that a record was matched with."""

    file_id: int
    row: int
    score: float


@dataclass(frozen=True)
class Passage:
    """What one step run did with a record: MATCHED with partners, or UNMATCHED for a reason; and the breaks about it."""

    run_id: int
    stream_id: int
    stream_name: str
    step_run_id: int
    step_order: int
    step_name: str
    side: str
    outcome: str
    reason: str | None
    match_pass: str | None
    partners: list[Partner]
    breaks: list[Break]
    completed_at: datetime | None


@dataclass(frozen=True)
class History:
    """A record, as its file has it, and its passages: newest run first, in step order."""

    file: StoredFile
    row: int
    record: dict[str, Any]
    passages: list[Passage]


def history(session: Session, storage: Storage, organization_id: int, file_id: int, row: int) -> History:
    """What became of one line of an upload, in every run that read it (the newest MOST_RUNS).

    Raises NotFound for a file or a row that the organization doesn't have, FileVanished where the file's bytes are gone.
    """
    stored = files.get(session, organization_id, file_id)
    if not 1 <= row <= (stored.row_count or 0):
        raise NotFound("Record", row)
    record = records.lookup(session, storage, [(file_id, row)]).get((file_id, row))
    if record is None:
        raise FileVanished(f"The bytes of file {file_id} '{stored.original_filename}' are missing", file_id=file_id)
    readers = (
        select(LineageEvent.run_id)
        .join(StreamRun, col(StreamRun.id) == col(LineageEvent.run_id))
        .where(col(LineageEvent.file_id) == file_id, col(LineageEvent.event_type) == LineageEventType.INPUT_READ)
        .where(col(StreamRun.organization_id) == organization_id)
        .distinct()
        .order_by(col(LineageEvent.run_id).desc())
    )
    passages: list[Passage] = []
    for run_id in session.exec(readers.limit(MOST_RUNS)).all():
        passages += _of_run(session, storage, run_id, (file_id, row))
    return History(stored, row, record, passages)


def _of_run(session: Session, storage: Storage, run_id: int, identity: records.Identity) -> Iterator[Passage]:
    joined = (
        select(StepRun, Step, Stream)
        .join(Step, col(StepRun.step_id) == col(Step.id))
        .join(Stream, col(Step.stream_id) == col(Stream.id))
        .where(col(StepRun.run_id) == run_id, col(StepRun.status) == StepRunStatus.COMPLETED)
        .order_by(col(StepRun.step_order))
    )
    for step_run, step, stream in session.exec(joined).all():
        for side, unmatched in SIDES:
            found = _found(session, storage, step_run, side, unmatched, identity)
            if found is None:
                continue
            outcome, reason, match_pass, partners = found
            yield Passage(
                run_id=run_id,
                stream_id=stream.id,
                stream_name=stream.name,
                step_run_id=step_run.id,
                step_order=step_run.step_order,
                step_name=step.name,
                side=side,
                outcome=outcome,
                reason=reason,
                match_pass=match_pass,
                partners=partners,
                breaks=_breaks(session, storage, step_run, side, identity),
                completed_at=step_run.completed_at,
            )


def _found(
    session: Session,
    storage: Storage,
    step_run: StepRun,
    side: str,
    unmatched: ArtifactType,
    identity: records.Identity,
) -> tuple[str, str | None, str | None, list[Partner]] | None:
    pairs = _rows(session, storage, step_run, ArtifactType.MATCHED, _is(side, identity))
    if pairs:
        other = "target" if side == "source" else "source"
        partners = [Partner(one[f"{other}_file_id"], one[f"{other}_row"], one["score"]) for one in pairs]
        return "MATCHED", None, pairs[0]["pass"], partners
    here = (pl.col(FILE_ID) == identity[0]) & (pl.col(ROW) == identity[1])
    left = _rows(session, storage, step_run, unmatched, here)
    return ("UNMATCHED", left[0][REASON], None, []) if left else None


def _breaks(
    session: Session, storage: Storage, step_run: StepRun, side: str, identity: records.Identity
) -> list[Break]:
    """The artifact says at once whether there are any: the table has no index by record."""
    if not _rows(session, storage, step_run, ArtifactType.EXCEPTIONS, _is(side, identity)):
        return []
    file_id, row = (
        (Break.source_file_id, Break.source_row) if side == "source" else (Break.target_file_id, Break.target_row)
    )
    chosen = select(Break).where(
        col(Break.reconciliation_id) == step_run.reconciliation_id,
        col(file_id) == identity[0],
        col(row) == identity[1],
    )
    return list(session.exec(chosen.order_by(col(Break.id))).all())


def _is(side: str, identity: records.Identity) -> pl.Expr:
    return (pl.col(f"{side}_file_id") == identity[0]) & (pl.col(f"{side}_row") == identity[1])


def _rows(
    session: Session, storage: Storage, step_run: StepRun, wanted: ArtifactType, condition: pl.Expr
) -> list[dict[str, Any]]:
    """The rows of an artifact that a condition on identities lets through; none where its bytes are gone."""
    found = artifacts.one_of(session, step_run.id, wanted)
    if found is None or found[1].twin_path is None:
        return []
    try:
        with storage.guard(found[1].twin_path):
            return storage.scan_parquet(found[1].twin_path).filter(condition).collect().to_dicts()
    except FileVanished:
        return []


def _by_id(session: Session, table: Any, ids: Sequence[int | None]) -> dict[int, Any]:
    chosen = select(table).where(col(table.id).in_({one for one in ids if one is not None}))
    return {one.id: one for one in session.exec(chosen).all()}
