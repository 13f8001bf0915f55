"""Blobs and work files that nobody owns: what was published by an attempt or an upload that came to nothing."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import psutil
from sqlmodel import col, or_, select

from models import uploads
from models.base import utc_now
from models.db import Database
from models.errors import ReconError
from models.files import FileStatus, StoredFile
from models.lifecycle import StepRunStatus
from models.runs import StepRun
from models.storage import Storage

log = logging.getLogger(__name__)

AT_ONCE = 500

OURS = re.compile(r"^\.scratch/|^org-\d+/(uploads/|stream-\d+/run-\d+/step-\d+/attempt-\d+/)")
"""What runs, uploads and their work leave; nothing else is judged."""

OF_ATTEMPT = re.compile(r"^org-\d+/stream-\d+/run-(\d+)/step-(\d+)/attempt-(\d+)/")

OF_PROCESS = re.compile(r"^\.scratch/recon-(?P<host>.+)-(?P<pid>\d+)-[^/-]+/")
FOREIGN_GRACE = timedelta(days=7)
"""How old work files of another machine have to be: whether their process lives can't be seen from here."""


def sweep(database: Database, storage: Storage, grace: timedelta, *, now: datetime | None = None) -> list[str]:
    """Deletes blobs older than `grace` that no file's record names, half-written ones and work files too; gives their paths.

    What belongs to an attempt under way is kept, and work files whose process lives: a match and its commit may take as long as
    they like. An upload has `grace` from its blob to its record.
    """
    at = now or utc_now()
    old = [
        path
        for path, written in storage.ages().items()
        if written < at - grace and OURS.search(path) and not _in_work(path, at - written)
    ]
    deleted: list[str] = []
    for start in range(0, len(old), AT_ONCE):
        part = old[start : start + AT_ONCE]
        # In this order: an attempt that commits in between is found in the second place.
        kept = _under_way(database, part) | _named(database, part)
        for path in part:
            if path not in kept and storage.delete(path):
                deleted.append(path)
    if deleted:
        log.info("%s blobs without a record were deleted, the first one was %s", len(deleted), deleted[0])
    return deleted


def _in_work(path: str, age: timedelta) -> bool:
    found = OF_PROCESS.match(path)
    if found is None:
        return False
    if found["host"] != socket.gethostname():
        return age < FOREIGN_GRACE
    return psutil.pid_exists(int(found["pid"]))


def finish_uploads(database: Database, storage: Storage, grace: timedelta) -> None:
    """Reads those uploads whose reading was interrupted: their records would say PROCESSING for ever."""
    with database.read() as session:
        left = session.exec(
            select(StoredFile).where(
                col(StoredFile.status) == FileStatus.PROCESSING, col(StoredFile.updated_at) < utc_now() - grace
            )
        ).all()
    for stored in left:
        try:
            uploads.process(database, storage, stored)
        except ReconError as error:
            log.warning("file %s could not be read yet: %s", stored.id, error.message)


def _under_way(database: Database, paths: Sequence[str]) -> set[str]:
    attempts = {path: tuple(map(int, found.groups())) for path in paths if (found := OF_ATTEMPT.match(path))}
    run_ids = {run_id for run_id, _, _ in attempts.values()}
    with database.read() as session:
        rows = session.exec(
            select(StepRun.run_id, StepRun.step_order, StepRun.attempt_no).where(
                col(StepRun.run_id).in_(run_ids), col(StepRun.status) == StepRunStatus.IN_PROGRESS
            )
        ).all()
    held = set(rows)
    return {path for path, attempt in attempts.items() if attempt in held}


def _named(database: Database, paths: Sequence[str]) -> set[str]:
    with database.read() as session:
        rows = session.exec(
            select(StoredFile.storage_path, StoredFile.twin_path).where(
                or_(col(StoredFile.storage_path).in_(paths), col(StoredFile.twin_path).in_(paths))
            )
        ).all()
    return {path for row in rows for path in row if path is not None}


class Sweep:
    """Sweeps at most once in a while, whatever `run` is called how often."""

    def __init__(self, database: Database, storage: Storage, grace: timedelta) -> None:
        self._database, self._storage, self._grace = database, storage, grace
        self._next = time.monotonic()

    def run(self) -> None:
        """Raises DependencyDown, StorageUnavailable."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._grace.total_seconds() / 4
        finish_uploads(self._database, self._storage, self._grace)
        sweep(self._database, self._storage, self._grace)
