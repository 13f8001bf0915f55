"""An upload's way: bytes to storage while they are hashed, then the Parquet twin, then the record says PROCESSED or FAILED."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import PurePosixPath
from uuid import uuid4

import polars as pl

from models import events
from models.base import utc_now
from models.db import Database
from models.errors import FileUnreadable, ReconError
from models.files import FileKind, FileStatus, StoredFile
from models.storage import Blob, BlobWriter, Storage
from models.tabular import ingest

log = logging.getLogger(__name__)

LONGEST_NAME = 255
MEDIA_TYPE = re.compile(r"(?=.{1,255}$)[\w.+-]+/[\w.+-]+( *;[ -~]*)?", re.ASCII)
"""Type, subtype and parameters in printable ASCII."""


class Incoming:
    """A file that is arriving. Write to it, then `finish`; `abandon` leaves nothing behind, finished or not."""

    def __init__(self, storage: Storage, organization_id: int, filename: str, content_type: str | None) -> None:
        self.filename = plain_name(filename)
        self.content_type = plain_type(content_type)
        self.blob: Blob | None = None
        self._storage = storage
        # The name that people gave never becomes part of a path.
        self.path = f"org-{organization_id}/uploads/{uuid4().hex}/original"
        self._open = ExitStack()
        self._writer: BlobWriter = self._open.enter_context(storage.writer(self.path))

    def write(self, chunk: bytes) -> None:
        self._writer.write(chunk)

    def finish(self) -> None:
        """Publishes the bytes."""
        self._open.close()
        self.blob = self._writer.blob

    def abandon(self) -> None:
        """Discards the bytes."""
        if self.blob is not None:
            self._storage.delete(self.path)
            return
        self._open.__exit__(Abandoned, Abandoned(), None)


class Abandoned(Exception):
    """Tells a writer to discard what it has."""


def plain_name(filename: str) -> str:
    """The last part of a name that a client sent, without control characters; `unnamed` where nothing is left."""
    last = PurePosixPath(filename.replace("\\", "/")).name
    return "".join(one for one in last if one.isprintable())[-LONGEST_NAME:] or "unnamed"


def plain_type(content_type: str | None) -> str | None:
    """The media type that a client sent, where a response header can hold it; None otherwise."""
    return content_type if content_type is not None and MEDIA_TYPE.fullmatch(content_type) else None


def register(database: Database, storage: Storage, organization_id: int, incoming: Incoming) -> StoredFile:
    """Makes an arrived file a record: PROCESSED with its twin and schema, or FAILED with the line and the reason."""
    if incoming.blob is None:
        raise ValueError(f"'{incoming.filename}' has not arrived whole")
    with database.write() as session:
        stored = StoredFile(
            organization_id=organization_id,
            kind=FileKind.UPLOAD,
            original_filename=incoming.filename,
            content_type=incoming.content_type,
            file_size=incoming.blob.size,
            status=FileStatus.PROCESSING,
            storage_path=incoming.path,
            checksum=incoming.blob.checksum,
        )
        session.add(stored)
    process(database, storage, stored)
    return stored


def register_all(
    database: Database, storage: Storage, organization_id: int, arrived: Sequence[Incoming]
) -> list[StoredFile]:
    """Registers files in order, and stops at the first that can't be: the bytes of it and those after it are discarded."""
    stored: list[StoredFile] = []
    try:
        stored.extend(register(database, storage, organization_id, incoming) for incoming in arrived)
    except BaseException:
        for incoming in arrived[len(stored) :]:
            incoming.abandon()
        raise
    return stored


def process(database: Database, storage: Storage, stored: StoredFile) -> None:
    """Writes the twin and what was detected into the record.

    Where something else than the file is at fault (the storage is out of reach), that is raised and nothing stays behind.
    """
    twin_path = str(PurePosixPath(stored.storage_path).with_name("twin.parquet"))
    try:
        with storage.local_copy(stored.storage_path) as original, storage.scratch() as scratch:
            twin = scratch / "twin.parquet"
            ingested = ingest(original, stored.original_filename, twin)
            storage.put_file(twin, twin_path)
    except FileUnreadable as error:
        stored.status = FileStatus.FAILED
        stored.processing_error = error.message
    except ReconError:
        # Nobody can tell whether the file is sound; the client will send it again.
        with database.write() as session:
            session.delete(stored)
        storage.delete(stored.storage_path)
        raise
    except (Exception, pl.exceptions.PanicException) as error:
        # What a library stumbles over is the file, whatever it calls its stumbling.
        log.exception("file %s '%s' can't be read", stored.id, stored.original_filename)
        stored.status = FileStatus.FAILED
        stored.processing_error = f"The file can't be read: {str(error).strip().partition(chr(10))[0]}"
    else:
        stored.status = FileStatus.PROCESSED
        stored.twin_path = twin_path
        stored.headers = ingested.headers
        stored.detected_schema = ingested.schema
        stored.row_count = ingested.row_count
        stored.column_count = ingested.column_count
    stored.updated_at = utc_now()
    with database.write() as session:
        session.add(stored)
        events.uploaded(session, stored)
