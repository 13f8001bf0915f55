"""What must hold of a run however often it was disturbed, read from the tables and the storage past any proxy.

Every check gives sentences, one for each violation; none means that all is well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session, col
from sqlmodel import select as select_rows

from models.artifacts import Artifact, ArtifactType, LineageEvent, LineageEventType
from models.breaks import Break
from models.db import Database
from models.files import FileKind, StoredFile
from models.lifecycle import RUN_OPEN, RUN_TERMINAL, STEP_OPEN, RunStatus, StepRunStatus
from models.reconciliations import Reconciliation
from models.runs import StepRun, StreamRun
from models.storage import Storage
from models.streams import Step, StreamInputType
from tests.chaos.books import Counted, Expected

READS = 2
"""Inputs of a step."""

BREAK_COLUMNS = (
    Break.type,
    Break.severity,
    Break.field_name,
    Break.source_value,
    Break.target_value,
    Break.delta,
    Break.key_text,
    Break.source_file_id,
    Break.source_row,
    Break.target_file_id,
    Break.target_row,
    Break.description,
)


@dataclass(frozen=True)
class Evidence:
    """Where the checks look. `download` gives a file's bytes by its id, as a client gets them."""

    database: Database
    storage: Storage
    download: Callable[[int], bytes]


@dataclass(frozen=True)
class StepResult:
    """What a completed step left; equal for every run of one stream, whose inputs are the same files."""

    checksums: dict[str, str]
    """Of each artifact, by its type."""
    twins: dict[str, str]
    """Of the Parquet that a later step reads."""
    rows: dict[str, int]
    breaks: str
    """A digest of all exceptions in their order."""


Reference = dict[int, StepResult]
"""The results of an undisturbed run, by step order."""


def take_reference(evidence: Evidence, run_id: int) -> Reference:
    """The results of a run that nothing disturbed; `check_run` without a reference has to pass on it first."""
    with evidence.database.read() as session:
        return {
            step_run.step_order: _result(session, step_run)
            for step_run in _step_runs(session, run_id)
            if step_run.status == StepRunStatus.COMPLETED
        }


def check_run(
    evidence: Evidence, run_id: int, expected: Expected, reference: Reference | None = None, *, canceled: bool = False
) -> list[str]:
    """Checks a run against its right end. With `canceled` somebody asked for its cancelling, which may have come too late."""
    wrong: list[str] = []
    with evidence.database.read() as session:
        run = session.get_one(StreamRun, run_id)
        steps = _step_runs(session, run_id)
        was_canceled = canceled and run.status == RunStatus.CANCELED
        if run.status not in RUN_TERMINAL:
            wrong.append(f"is {run.status}")
        elif run.status != expected.status and not was_canceled:
            wrong.append(f"ended {run.status} ({run.error_message}), expected {expected.status}")
        if run.status in RUN_TERMINAL and run.completed_at is None:
            wrong.append("has ended at no time")
        if len(steps) != len(expected.steps):
            wrong.append(f"has {len(steps)} step runs, expected {len(expected.steps)}")
        for step_run, end in zip(steps, expected.steps, strict=False):
            place = f"step {step_run.step_order}"
            allowed = {end, StepRunStatus.CANCELED} if was_canceled else {end}
            if step_run.status not in allowed:
                wrong.append(f"{place} is {step_run.status} ({step_run.error_message}), expected {end}")
            if step_run.status == StepRunStatus.COMPLETED:
                given = expected.counted.get(step_run.step_order)
                found = [
                    *_check_counts(session, step_run, given),
                    *_check_lineage(session, step_run),
                    *_check_artifacts(evidence, session, step_run),
                    *_check_breaks(session, step_run),
                ]
                if reference is not None and step_run.step_order in reference:
                    found += _differences(reference[step_run.step_order], _result(session, step_run))
            else:
                found = _check_nothing_left(session, step_run)
            wrong += [f"{place} {one}" for one in found]
    return [f"run {run_id} {one}" for one in wrong]


def check_rest(database: Database) -> list[str]:
    """That nothing is under way any more."""
    with database.read() as session:
        runs = session.execute(
            select(col(StreamRun.id), col(StreamRun.status)).where(col(StreamRun.status).in_(RUN_OPEN))
        ).all()
        steps = session.execute(
            select(col(StepRun.run_id), col(StepRun.step_order), col(StepRun.status)).where(
                col(StepRun.status).in_(STEP_OPEN)
            )
        ).all()
    return [
        *(f"run {run_id} is {status} for ever" for run_id, status in runs),
        *(f"step {order} of run {run_id} is {status} for ever" for run_id, order, status in steps),
    ]


def orphans(database: Database, storage: Storage) -> list[str]:
    """Blobs that no file refers to, half-written ones and work files too. An attempt under way has some; nothing else may, once
    the sweep's grace is over.
    """
    blobs = sorted(storage.ages())
    with database.read() as session:
        known = session.execute(select(col(StoredFile.storage_path), col(StoredFile.twin_path))).all()
    referred = {path for paths in known for path in paths}
    return [path for path in blobs if path not in referred]


def disturbed(database: Database) -> tuple[int, int]:
    """How many steps completed, and how many of them not at the first attempt: whether faults hit anything."""
    done = col(StepRun.status) == StepRunStatus.COMPLETED
    counted = select(func.count(), func.count().filter(col(StepRun.attempt_no) > 1)).where(done)
    with database.read() as session:
        completed, again = session.execute(counted).one()
    return completed, again


def check_runs(database: Database, run_ids: set[int]) -> list[str]:
    """That there are the runs that were asked for, and no other ones."""
    with database.read() as session:
        there = set(session.execute(select(col(StreamRun.id))).scalars())
    return [
        *(f"run {one} is lost" for one in sorted(run_ids - there)),
        *(f"run {one} was asked for by nobody" for one in sorted(there - run_ids)),
    ]


def check_checksums(evidence: Evidence) -> list[str]:
    """That the bytes of every artifact are still those that were recorded."""
    with evidence.database.read() as session:
        recorded = session.execute(select(col(Artifact.storage_path), col(Artifact.checksum))).all()
    return [
        f"the bytes at {path} are not those of {checksum} any more"
        for path, checksum in recorded
        if _checksum(b"".join(evidence.storage.chunks(path))) != checksum
    ]


class Ledger:
    """Remembers what completed runs looked like, and finds what has changed since: nothing may."""

    def __init__(self, evidence: Evidence, stamp: Callable[[str], str]) -> None:
        """`stamp` says when a blob was written."""
        self._evidence = evidence
        self._stamp = stamp
        self._known: dict[int, Any] = {}

    def enter(self, run_id: int) -> None:
        self._known[run_id] = self._facts(run_id)

    def changes(self) -> list[str]:
        found: list[str] = []
        for run_id, before in self._known.items():
            now = self._facts(run_id)
            changed = [f"{before[name]!r} -> {now[name]!r}" for name in before if before[name] != now[name]]
            if changed:
                found.append(f"run {run_id} changed after its end: {'; '.join(changed)}")
        return found

    def _facts(self, run_id: int) -> dict[str, Any]:
        with self._evidence.database.read() as session:
            run = session.get_one(StreamRun, run_id)
            steps = _step_runs(session, run_id)
            ids = [one.id for one in steps]
            artifacts = session.exec(select_rows(Artifact).where(col(Artifact.step_run_id).in_(ids))).all()
            counted = select(func.count(), func.min(col(Break.id)), func.max(col(Break.id)))
            of_run = [one.reconciliation_id for one in steps]
            breaks = session.execute(counted.where(col(Break.reconciliation_id).in_(of_run))).one()
            lineage = select(func.count()).where(col(LineageEvent.run_id) == run_id)
            return {
                "run": (run.status, run.completed_at, run.error_message),
                "steps": [(one.status, one.attempt_no, one.completed_at, one.error_message) for one in steps],
                "artifacts": sorted(
                    (one.id, one.file_id, one.storage_path, one.checksum, one.row_count, self._stamp(one.storage_path))
                    for one in artifacts
                ),
                "breaks": tuple(breaks),
                "lineage": session.execute(lineage).scalar_one(),
            }


def _step_runs(session: Session, run_id: int) -> Sequence[StepRun]:
    mine = col(StepRun.run_id) == run_id
    return session.exec(select_rows(StepRun).where(mine).order_by(col(StepRun.step_order))).all()


def _artifacts(session: Session, step_run: StepRun) -> Sequence[tuple[Artifact, StoredFile]]:
    joined = select_rows(Artifact, StoredFile).join(StoredFile, col(Artifact.file_id) == col(StoredFile.id))
    return session.exec(joined.where(col(Artifact.step_run_id) == step_run.id)).all()


def _lineage(session: Session, step_run: StepRun) -> tuple[list[LineageEvent], list[LineageEvent]]:
    """What the step run read, and what it published."""
    events = session.exec(select_rows(LineageEvent).where(col(LineageEvent.run_id) == step_run.run_id)).all()
    return (
        [one for one in events if one.downstream_step_run_id == step_run.id],
        [
            one
            for one in events
            if one.upstream_step_run_id == step_run.id and one.event_type == LineageEventType.ARTIFACT_PUBLISHED
        ],
    )


def _result(session: Session, step_run: StepRun) -> StepResult:
    artifacts = [artifact for artifact, _ in _artifacts(session, step_run)]
    facts = [one.facts or {} for one in _lineage(session, step_run)[1]]
    rows = session.execute(
        select(*(col(one) for one in BREAK_COLUMNS))
        .where(col(Break.step_run_id) == step_run.id, col(Break.reconciliation_id) == step_run.reconciliation_id)
        .order_by(col(Break.id))
    )
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(list(row)).encode())
    return StepResult(
        {one.artifact_type: one.checksum for one in artifacts},
        {str(one["artifactType"]): str(one["twinChecksum"]) for one in facts},
        {one.artifact_type: one.row_count for one in artifacts},
        digest.hexdigest(),
    )


def _check_counts(session: Session, step_run: StepRun, given: Counted | None) -> Iterable[str]:
    record = session.get_one(Reconciliation, step_run.reconciliation_id)
    found = Counted(
        record.matched_records, record.unmatched_source_records, record.unmatched_target_records, record.exception_count
    )
    if found != given:
        yield f"counted {found}, expected {given}"
    if (step_run.matched_records, step_run.exception_count) != (found.matched, found.exceptions):
        yield f"says {step_run.matched_records} matched, {step_run.exception_count} exceptions; its record says {found}"


def _check_artifacts(evidence: Evidence, session: Session, step_run: StepRun) -> Iterable[str]:
    pairs = _artifacts(session, step_run)
    types = sorted(artifact.artifact_type for artifact, _ in pairs)
    if types != sorted(ArtifactType):
        yield f"has the artifacts {types}"
    twins = {(one.facts or {}).get("artifactType"): one.facts or {} for one in _lineage(session, step_run)[1]}
    for artifact, stored in pairs:
        name = f"artifact {artifact.artifact_type} ({artifact.storage_path})"
        attempt = f"/attempt-{step_run.attempt_no}/"
        if stored.kind != FileKind.ARTIFACT or stored.storage_path != artifact.storage_path:
            yield f"{name} owns the file {stored.id} at {stored.storage_path}"
        if any(attempt not in str(path) for path in (stored.storage_path, stored.twin_path)):
            yield f"{name} is not of attempt {step_run.attempt_no}, which completed the step"
        found = _checksum(evidence.download(stored.id))
        if not found == artifact.checksum == stored.checksum:
            yield f"{name} has bytes of {found}, is recorded as {artifact.checksum} and its file as {stored.checksum}"
        twin = _checksum(b"".join(evidence.storage.chunks(str(stored.twin_path))))
        recorded = twins.get(artifact.artifact_type, {}).get("twinChecksum")
        if twin != recorded:
            yield f"{name} has a twin with bytes of {twin}, recorded as {recorded}"


def _check_breaks(session: Session, step_run: StepRun) -> Iterable[str]:
    of_step = select(func.count()).where(col(Break.step_run_id) == step_run.id)
    of_record = select(func.count()).where(col(Break.reconciliation_id) == step_run.reconciliation_id)
    rows, shown = (session.execute(one).scalar_one() for one in (of_step, of_record))
    published = [
        artifact.row_count
        for artifact, _ in _artifacts(session, step_run)
        if artifact.artifact_type == ArtifactType.EXCEPTIONS
    ]
    if not rows == shown == step_run.exception_count or published != [rows]:
        yield (
            f"has {rows} exceptions, {shown} behind its record, {published} in the artifact, "
            f"and says {step_run.exception_count}"
        )


def _check_lineage(session: Session, step_run: StepRun) -> Iterable[str]:
    read, published = _lineage(session, step_run)
    step = session.get_one(Step, step_run.step_id)
    sides = sorted(str((one.facts or {}).get("side")) for one in read)
    if sides != ["source", "target"] or len(read) != READS:
        yield f"read {sides}, by the lineage"
    for event in read:
        facts = event.facts or {}
        of_step = (step.source_type if facts.get("side") == "source" else step.target_type) != StreamInputType.FILE
        wanted = LineageEventType.ARTIFACT_READ if of_step else LineageEventType.INPUT_READ
        if event.event_type != wanted or of_step != (event.upstream_step_run_id is not None):
            yield f"read its {facts.get('side')} as {event.event_type} from step run {event.upstream_step_run_id}"
        stored = session.get(StoredFile, event.file_id)
        if stored is None or stored.checksum != facts.get("checksum"):
            yield f"read the file {event.file_id} as {facts.get('checksum')}; it is {stored and stored.checksum}"
        if facts.get("attempt") != step_run.attempt_no:
            yield f"was read for by attempt {facts.get('attempt')} and completed by {step_run.attempt_no}"
    artifacts = sorted(artifact.id for artifact, _ in _artifacts(session, step_run))
    if sorted(one.artifact_id or 0 for one in published) != artifacts:
        yield f"published {[one.artifact_id for one in published]} by the lineage and has the artifacts {artifacts}"


def _check_nothing_left(session: Session, step_run: StepRun) -> Iterable[str]:
    """A step that did not complete has left nothing that anyone can see."""
    if artifacts := [artifact.id for artifact, _ in _artifacts(session, step_run)]:
        yield f"is {step_run.status} and has the artifacts {artifacts}"
    breaks = session.execute(select(func.count()).where(col(Break.step_run_id) == step_run.id)).scalar_one()
    if breaks or step_run.exception_count or step_run.matched_records:
        yield f"is {step_run.status} and has {breaks} exceptions"
    read, published = _lineage(session, step_run)
    if read or published:
        yield f"is {step_run.status} and has {len(read) + len(published)} lineage events"


def _differences(reference: StepResult, found: StepResult) -> Iterable[str]:
    for name in ("checksums", "twins", "rows", "breaks"):
        if getattr(reference, name) != getattr(found, name):
            yield f"left other {name} than the undisturbed run: {getattr(found, name)}, not {getattr(reference, name)}"


def _checksum(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
