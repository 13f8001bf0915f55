"""What an upload leaves behind when something fails on its way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from sqlmodel import select

from models import uploads
from models.db import Database, migrate
from models.errors import StorageUnavailable
from models.files import FileStatus, StoredFile
from models.people import DEFAULT_ORGANIZATION
from models.settings import Settings
from models.storage import Blob, Storage
from models.uploads import Incoming


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data_dir=tmp_path)
    migrate(made)
    return made


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    made = Database.from_settings(settings)
    yield made
    made.dispose()


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return Storage.from_settings(settings)


def arrived(storage: Storage) -> Incoming:
    incoming = Incoming(storage, DEFAULT_ORGANIZATION, "a.csv", "text/csv")
    incoming.write(b"a,b\n1,2\n")
    incoming.finish()
    return incoming


def records_of(database: Database) -> list[StoredFile]:
    with database.read() as session:
        return list(session.exec(select(StoredFile)).all())


def blobs(settings: Settings) -> list[Path]:
    return [path for path in (settings.data_dir / "files").rglob("*") if path.is_file()]


def test_storage_that_goes_away_leaves_nothing_half_made(
    settings: Settings, database: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_storage: Storage, _path: Path, _name: str) -> None:
        raise StorageUnavailable("no answer")

    incoming = arrived(storage)
    monkeypatch.setattr(Storage, "put_file", gone)
    with pytest.raises(StorageUnavailable):
        uploads.register(database, storage, DEFAULT_ORGANIZATION, incoming)
    assert records_of(database) == []
    assert blobs(settings) == []


def test_several_files_stop_at_the_first_that_can_not_be_kept(
    settings: Settings, database: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = [arrived(storage) for _ in range(3)]
    put, calls = Storage.put_file, [0]

    def goes_away(self: Storage, local: Path, path: str) -> Blob:
        calls[0] += 1
        if calls[0] == 2:
            raise StorageUnavailable("no answer")
        return put(self, local, path)

    monkeypatch.setattr(Storage, "put_file", goes_away)
    with pytest.raises(StorageUnavailable):
        uploads.register_all(database, storage, DEFAULT_ORGANIZATION, arrivals)
    (kept,) = records_of(database)
    assert kept.status == FileStatus.PROCESSED
    assert {path.parent.name for path in blobs(settings)} == {Path(arrivals[0].path).parent.name}


@pytest.mark.parametrize(
    "fault", [RuntimeError("out of luck\nat /some/place"), pl.exceptions.PanicException("out of luck")]
)
def test_a_file_that_a_library_stumbles_over_is_failed(
    fault: BaseException, database: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_given: object) -> None:
        raise fault

    monkeypatch.setattr(uploads, "ingest", stumble)
    stored = uploads.register(database, storage, DEFAULT_ORGANIZATION, arrived(storage))
    assert stored.status == FileStatus.FAILED
    assert stored.processing_error == "The file can't be read: out of luck"
    assert [one.status for one in records_of(database)] == [FileStatus.FAILED]
    assert storage.exists(stored.storage_path)
