"""Artifacts that step runs leave, and the append-only lineage between inputs, step runs and artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import UniqueConstraint, func
from sqlmodel import Session, SQLModel, col, select

from models.base import big_integer, json_column, primary_key, reference, time_column
from models.files import StoredFile
from models.streams import StreamInputType


class ArtifactType(StrEnum):
    MATCHED = "MATCHED"
    UNMATCHED_SOURCE = "UNMATCHED_SOURCE"
    UNMATCHED_TARGET = "UNMATCHED_TARGET"
    EXCEPTIONS = "EXCEPTIONS"


OUTPUT_ARTIFACTS = {
    StreamInputType.STEP_OUTPUT_UNMATCHED_SOURCE: ArtifactType.UNMATCHED_SOURCE,
    StreamInputType.STEP_OUTPUT_UNMATCHED_TARGET: ArtifactType.UNMATCHED_TARGET,
}
"""Which artifact of an earlier step an input type reads."""


class LineageEventType(StrEnum):
    INPUT_READ = "INPUT_READ"
    ARTIFACT_PUBLISHED = "ARTIFACT_PUBLISHED"
    ARTIFACT_READ = "ARTIFACT_READ"
    STEP_CARRIED = "STEP_CARRIED"


class Artifact(SQLModel, table=True):
    """One artifact of one completed step run; `checksum` is over the bytes at `storage_path`, which a download gives by default."""

    __tablename__ = "artifacts"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("step_run_id", "artifact_type"),)

    id: int = primary_key()
    step_run_id: int = reference("step_runs.id")
    artifact_type: str
    file_id: int = reference("files.id")
    storage_path: str
    checksum: str
    row_count: int = big_integer()
    schema_snapshot: list[dict[str, Any]] = json_column(nullable=False)
    retention_policy: dict[str, Any] | None = json_column()
    created_at: datetime = time_column()
    expires_at: datetime | None = time_column(nullable=True)


class LineageEvent(SQLModel, table=True):
    """One fact: an input read by a step run, an artifact published by one, an artifact of one read by another, or a step run
    that stands for one of an earlier run, which the run continues.
    """

    __tablename__ = "lineage_events"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    run_id: int = reference("runs.id")
    event_type: str
    file_id: int | None = big_integer(None)
    artifact_id: int | None = big_integer(None)
    upstream_step_run_id: int | None = big_integer(None)
    downstream_step_run_id: int | None = big_integer(None)
    facts: dict[str, Any] | None = json_column()
    created_at: datetime = time_column()


def of_step_run(
    session: Session, step_run_id: int, *, offset: int = 0, limit: int | None = None
) -> tuple[Sequence[tuple[Artifact, StoredFile]], int]:
    """The artifacts of a step run with their files, oldest first, and how many there are."""
    mine = col(Artifact.step_run_id) == step_run_id
    total = session.exec(select(func.count()).select_from(Artifact).where(mine)).one()
    page = (
        select(Artifact, StoredFile)
        .join(StoredFile, col(Artifact.file_id) == col(StoredFile.id))
        .where(mine)
        .order_by(col(Artifact.id))
        .offset(offset)
        .limit(limit)
    )
    return session.exec(page).all(), total


def one_of(session: Session, step_run_id: int, artifact_type: ArtifactType) -> tuple[Artifact, StoredFile] | None:
    """A step run's artifact of one type with its file, if it was published."""
    chosen = (col(Artifact.step_run_id) == step_run_id, col(Artifact.artifact_type) == artifact_type)
    joined = select(Artifact, StoredFile).join(StoredFile, col(Artifact.file_id) == col(StoredFile.id)).where(*chosen)
    return session.exec(joined).one_or_none()


def lineage(session: Session, run_id: int) -> Sequence[LineageEvent]:
    """The lineage of a run in the order it was written."""
    return session.exec(
        select(LineageEvent).where(col(LineageEvent.run_id) == run_id).order_by(col(LineageEvent.id))
    ).all()
