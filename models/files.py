"""Files: uploads, and the files that artifacts own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, or_
from sqlmodel import Field, Session, SQLModel, col, select

from models.base import NEVER_REUSED, big_integer, json_column, primary_key, reference, time_column
from models.errors import Conflict, NotFound


class FileStatus(StrEnum):
    UPLOADING = "UPLOADING"
    UPLOADED = "UPLOADED"
    PROCESSING = "PROCESSING"
    PROCESSED = "PROCESSED"
    FAILED = "FAILED"


class FileKind(StrEnum):
    UPLOAD = "UPLOAD"
    ARTIFACT = "ARTIFACT"


class StoredFile(SQLModel, table=True):
    """One file. `storage_path` holds the bytes that a download gives by default, `twin_path` the Parquet that everything reads."""

    __tablename__ = "files"  # pyright: ignore[reportAssignmentType]
    __table_args__ = NEVER_REUSED

    id: int = primary_key()
    organization_id: int = reference("organizations.id")
    kind: str = Field(default=FileKind.UPLOAD, index=True)
    original_filename: str
    content_type: str | None = None
    file_size: int = big_integer()
    status: str = Field(default=FileStatus.UPLOADING)
    detected_schema: list[dict[str, Any]] | None = json_column()
    headers: list[str] | None = json_column()
    row_count: int | None = big_integer(None)
    column_count: int | None = None
    processing_error: str | None = None
    storage_path: str = ""
    twin_path: str | None = None
    checksum: str | None = None
    created_at: datetime = time_column()
    updated_at: datetime = time_column()

    @property
    def columns(self) -> list[str]:
        """The names that rules may use: each header once, in order."""
        return list(dict.fromkeys(self.headers or []))


def get(session: Session, organization_id: int, file_id: int) -> StoredFile:
    """The file; raises NotFound where it is not the organization's."""
    found = session.get(StoredFile, file_id)
    if found is None or found.organization_id != organization_id:
        raise NotFound("UploadedFile", file_id)
    return found


def uploads(
    session: Session, organization_id: int, *, offset: int = 0, limit: int | None = None
) -> tuple[Sequence[StoredFile], int]:
    """The organization's uploads, oldest first, and how many there are."""
    mine = (col(StoredFile.organization_id) == organization_id, col(StoredFile.kind) == FileKind.UPLOAD)
    total = session.exec(select(func.count()).select_from(StoredFile).where(*mine)).one()
    rows = session.exec(select(StoredFile).where(*mine).order_by(col(StoredFile.id)).offset(offset).limit(limit)).all()
    return rows, total


def remove(session: Session, organization_id: int, file_id: int) -> StoredFile:
    """Deletes the record of a file that nothing refers to; the caller deletes the bytes after the commit.

    Raises NotFound, or Conflict (FILE_IN_USE) naming what refers to it.
    """
    from models.artifacts import Artifact
    from models.reconciliations import Reconciliation
    from models.streams import Step, Stream, StreamInputType

    found = get(session, organization_id, file_id)
    users: list[str] = []
    reads_it = or_(
        (col(Step.source_type) == StreamInputType.FILE) & (col(Step.source_id) == file_id),
        (col(Step.target_type) == StreamInputType.FILE) & (col(Step.target_id) == file_id),
    )
    streams = (
        select(Stream.id)
        .join(Step, col(Step.stream_id) == col(Stream.id))
        .where(reads_it, col(Stream.implicit).is_(False))
    )
    users += [f"stream {stream_id}" for stream_id in session.exec(streams.distinct().limit(5)).all()]
    compared = select(Reconciliation.id).where(
        or_(col(Reconciliation.source_file_id) == file_id, col(Reconciliation.target_file_id) == file_id),
        col(Reconciliation.deleted_at).is_(None),
    )
    users += [f"reconciliation {one}" for one in session.exec(compared.limit(5)).all()]
    owners = select(Artifact.id).where(col(Artifact.file_id) == file_id)
    users += [f"artifact {one}" for one in session.exec(owners.limit(5)).all()]
    if users:
        raise Conflict(
            f"File {file_id} '{found.original_filename}' is in use by {', '.join(users)}",
            code="FILE_IN_USE",
            file_id=file_id,
            used_by=users,
        )
    session.delete(found)
    return found
