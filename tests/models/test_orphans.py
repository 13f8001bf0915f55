"""Blobs without a record, and uploads whose reading was interrupted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from models import orphans, runs, uploads
from models.base import utc_now
from models.db import Database, migrate
from models.files import FileStatus, StoredFile
from models.lifecycle import StepRunStatus
from models.settings import Settings
from models.storage import Storage
from tests.models.test_db import stream_run
from tests.parts.s3 import s3_server

HOUR = timedelta(hours=1)


@pytest.fixture(params=["local", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Database, Storage]]:
    settings = Settings(data_dir=tmp_path)
    migrate(settings)
    database = Database.from_settings(settings)
    if request.param == "local":
        yield database, Storage.from_settings(settings)
    else:
        with s3_server() as s3:
            yield database, Storage.from_settings(s3.settings("orphans", tmp_path))
    database.dispose()


def put(storage: Storage, path: str) -> str:
    with storage.writer(path) as blob:
        blob.write(b"bytes")
    return path


def test_what_no_record_names_is_deleted_after_the_grace(stored: tuple[Database, Storage]) -> None:
    database, storage = stored
    incoming = uploads.Incoming(storage, 1, "a.csv", None)
    incoming.write(b"a,b\n1,2\n")
    incoming.finish()
    kept = uploads.register(database, storage, 1, incoming)
    foreign = put(storage, "elsewhere/kept")
    orphaned = sorted(
        put(storage, path) for path in ("org-1/uploads/abc/original", "org-1/stream-1/run-2/step-3/attempt-1/x.parquet")
    )
    assert orphans.sweep(database, storage, HOUR) == []
    assert sorted(orphans.sweep(database, storage, HOUR, now=utc_now() + 2 * HOUR)) == orphaned
    assert storage.list() == sorted([foreign, kept.storage_path, str(kept.twin_path)])


def test_what_an_attempt_under_way_published_is_kept_however_long_its_commit_takes(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    migrate(settings)
    database, storage = Database.from_settings(settings), Storage.from_settings(settings)
    run, (first, second) = stream_run(database)
    with database.write() as session:
        runs.move_step(session, first.id, StepRunStatus.IN_PROGRESS, attempt_no=2)
        runs.move_step(session, second.id, StepRunStatus.IN_PROGRESS, attempt_no=1)
        runs.move_step(session, second.id, StepRunStatus.RETRY_WAIT)
    places = [
        f"org-1/stream-{run.stream_id}/run-{run.id}/step-{order}/attempt-{attempt}/x.parquet"
        for order, attempt in ((1, 1), (1, 2), (2, 1))
    ]
    earlier, held, lost = (put(storage, place) for place in places)
    assert sorted(orphans.sweep(database, storage, HOUR, now=utc_now() + 2 * HOUR)) == sorted([earlier, lost])
    assert storage.list() == [held]
    database.dispose()


def test_half_written_files_and_work_files_are_deleted_too(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    migrate(settings)
    database, storage = Database.from_settings(settings), Storage.from_settings(settings)
    root = tmp_path / "files"
    for path in (root / ".scratch" / "tmp1" / "spill.parquet", root / "org-1" / "uploads" / "a" / ".original.part-1"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    assert len(orphans.sweep(database, storage, HOUR)) == 2
    assert not [path for path in root.rglob("*") if path.is_file()]
    database.dispose()


def test_work_files_are_kept_as_long_as_their_process_lives(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    migrate(settings)
    database, storage = Database.from_settings(settings), Storage.from_settings(settings)
    with storage.scratch() as here:
        spilled = here / "spill.parquet"
        ended = subprocess.Popen(["true"])
        ended.wait()
        lost = here.parent / here.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-") / "spill.parquet"
        elsewhere = here.parent / f"recon-another-host-{ended.pid}-x" / "spill.parquet"
        for path in (spilled, lost, elsewhere):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"rows")
        assert orphans.sweep(database, storage, HOUR, now=utc_now() + 2 * HOUR) == [
            str(lost.relative_to(tmp_path / "files"))
        ]
        assert [path.exists() for path in (spilled, lost, elsewhere)] == [True, False, True]
        orphans.sweep(database, storage, HOUR, now=utc_now() + 8 * 24 * HOUR)
        assert [path.exists() for path in (spilled, elsewhere)] == [True, False]
    database.dispose()


def test_an_upload_whose_reading_was_interrupted_is_read(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    migrate(settings)
    database, storage = Database.from_settings(settings), Storage.from_settings(settings)
    incoming = uploads.Incoming(storage, 1, "a.csv", None)
    incoming.write(b"a,b\n1,2\n")
    incoming.finish()
    made = uploads.register(database, storage, 1, incoming)
    with database.write() as session:
        again = session.get_one(StoredFile, made.id)
        again.status, again.twin_path, again.row_count = FileStatus.PROCESSING, None, None
    orphans.finish_uploads(database, storage, HOUR)
    with database.read() as session:
        assert session.get_one(StoredFile, made.id).status == "PROCESSING"
    orphans.finish_uploads(database, storage, timedelta(0))
    with database.read() as session:
        now = session.get_one(StoredFile, made.id)
    assert (now.status, now.row_count) == ("PROCESSED", 1)
    assert storage.exists(str(now.twin_path))
    database.dispose()
