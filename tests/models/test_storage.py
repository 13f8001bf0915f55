"""The same assertions for a local directory, a real S3 server, and a file system that fsspec brings."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from pydantic import SecretStr

from models.errors import FileVanished, StorageRefused, StorageUnavailable
from models.settings import Settings
from models.storage import Storage
from models.tabular import write_csv, write_parquet
from tests.chaos.disk import Disk, small_disk
from tests.parts.s3 import S3Server, s3_server

TALL = pl.DataFrame({"text": ["twenty characters at" for _ in range(50_000)], "number": range(50_000)})


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["local", "s3", "memory"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "local":
        return Settings(data_dir=tmp_path / "data")
    if request.param == "memory":
        return Settings(data_dir=tmp_path, storage_url=f"memory://{uuid4().hex}")
    server: S3Server = request.getfixturevalue("s3")
    return server.settings(uuid4().hex, tmp_path)


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return Storage.from_settings(settings)


class Crash(Exception):
    """What a writer's own code raises."""


def crash_while_writing(storage: Storage, path: str, size: int, then: Callable[[], object] = lambda: None) -> None:
    with pytest.raises(Crash), storage.writer(path) as blob:  # noqa: PT012 - what is tested is how the block ends
        blob.write(bytes(size))
        then()
        raise Crash


def put(storage: Storage, path: str, content: bytes) -> None:
    with storage.writer(path) as blob:
        blob.write(content)


def read(storage: Storage, path: str) -> bytes:
    return b"".join(storage.chunks(path))


def test_a_blob_comes_back_with_its_size_and_checksum(storage: Storage) -> None:
    content = os.urandom(3_000_000)
    with storage.writer("files/7/upload.bin") as blob:
        assert blob.write(content[:1_000_001]) == 1_000_001
        blob.write(content[1_000_001:])
        assert blob.size == len(content)
    assert blob.sha256 == hashlib.sha256(content).hexdigest()
    assert blob.blob.checksum == f"sha256:{blob.sha256}"
    assert read(storage, "files/7/upload.bin") == content
    assert storage.size("files/7/upload.bin") == len(content)
    assert storage.exists("files/7/upload.bin")


@pytest.mark.parametrize("size", [0, 1, 8 << 20, (8 << 20) + 1, 20_000_000])
def test_every_size_round_trips(storage: Storage, tmp_path: Path, size: int) -> None:
    local = tmp_path / "local.bin"
    local.write_bytes(os.urandom(size))
    blob = storage.put_file(local, "a/b")
    assert (blob.path, blob.size) == ("a/b", size)
    assert blob.checksum == "sha256:" + hashlib.sha256(local.read_bytes()).hexdigest()
    assert read(storage, "a/b") == local.read_bytes()
    assert local.exists()


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_a_writer_that_fails_publishes_nothing(storage: Storage, size: int) -> None:
    crash_while_writing(storage, "a/b", size)
    assert not storage.exists("a/b")
    assert storage.list() == []


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_a_writer_that_fails_leaves_the_older_blob(storage: Storage, size: int) -> None:
    put(storage, "a/b", b"older")
    crash_while_writing(storage, "a/b", size)
    assert read(storage, "a/b") == b"older"
    assert storage.list() == ["a/b"]


def test_a_blob_is_not_seen_before_it_is_whole(storage: Storage) -> None:
    with storage.writer("a/b") as blob:
        blob.write(bytes(20_000_000))
        assert not storage.exists("a/b")
        assert storage.list() == []
    assert storage.list() == ["a/b"]


def test_a_failed_upload_leaves_no_parts(s3: S3Server, tmp_path: Path) -> None:
    storage = Storage.from_settings(s3.settings("parts", tmp_path))
    uploads: list[object] = []
    crash_while_writing(storage, "a/b", 20_000_000, lambda: uploads.extend(s3.client().list_multipart_uploads("recon")))
    assert uploads
    assert not s3.client().list_multipart_uploads("recon")


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    crash_while_writing(storage, "a/b", 1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_writer_replaces_an_older_blob(storage: Storage) -> None:
    put(storage, "a/b", b"older")
    put(storage, "a/b", b"newer")
    assert read(storage, "a/b") == b"newer"


def test_reading_seeks(storage: Storage) -> None:
    put(storage, "a/b", bytes(range(200)) * 100_000)
    with storage.open("a/b") as blob:
        assert blob.seek(-3, os.SEEK_END) == 19_999_997
        assert blob.read() == bytes([197, 198, 199])
        assert blob.seek(201) == 201
        assert blob.read(2) == bytes([1, 2])
        assert blob.tell() == 203


@pytest.mark.parametrize(
    "ask",
    [
        lambda storage: storage.open("a/none"),
        lambda storage: storage.chunks("a/none"),
        lambda storage: storage.size("a/none"),
        lambda storage: storage.scan_parquet("a/none"),
        lambda storage: storage.local_copy("a/none").__enter__(),
    ],
)
def test_a_missing_blob_is_named(storage: Storage, ask: Callable[[Storage], object]) -> None:
    put(storage, "a/other", b"x")
    with pytest.raises(FileVanished, match="'a/none'") as raised:
        ask(storage)
    assert raised.value.attributes["path"] == "a/none"


def test_a_directory_is_no_blob(storage: Storage) -> None:
    put(storage, "a/b/c", b"x")
    assert not storage.exists("a/b")
    assert not storage.delete("a/b")
    assert storage.exists("a/b/c")


def test_lists_and_deletes_by_directory(storage: Storage) -> None:
    for path in ("runs/1/a", "runs/1/deep/b", "runs/10/a", "files/1"):
        put(storage, path, b"x")
    assert storage.list() == ["files/1", "runs/1/a", "runs/1/deep/b", "runs/10/a"]
    assert storage.list("runs/1") == ["runs/1/a", "runs/1/deep/b"]
    assert storage.list("none") == []
    assert storage.delete_prefix("runs/1") == 2
    assert storage.delete_prefix("runs/1") == 0
    assert storage.list() == ["files/1", "runs/10/a"]
    assert storage.delete("files/1")
    assert not storage.delete("files/1")
    assert storage.list() == ["runs/10/a"]


def test_lists_and_deletes_more_than_a_page(s3: S3Server, tmp_path: Path) -> None:
    storage = Storage.from_settings(s3.settings("pages", tmp_path))
    s3.client().pipe({f"recon/pages/many/{number:04}": b"x" for number in range(1_100)})
    assert storage.list("many") == [f"many/{number:04}" for number in range(1_100)]
    assert storage.delete_prefix("many") == 1_100
    assert storage.list() == []


def test_threads_share_a_storage(storage: Storage) -> None:
    def put_and_read(number: int) -> bool:
        content = bytes([number]) * 300_000
        put(storage, f"a/{number}", content)
        return read(storage, f"a/{number}") == content

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(put_and_read, range(24)))
    assert len(storage.list("a")) == 24


@pytest.mark.parametrize("path", ["", "/etc/passwd", "..", "a/../../b", "a/./b", "a//b", "a/", "a\\..\\b", "a\0b"])
def test_no_path_leads_out_of_the_root(storage: Storage, path: str) -> None:
    for ask in (storage.open, storage.exists, storage.delete, storage.delete_prefix, storage.scan_parquet):
        with pytest.raises(ValueError, match="relative"):
            ask(path)
    with pytest.raises(ValueError, match="relative"), storage.writer(path):
        pass


def test_a_local_copy_has_the_bytes(storage: Storage) -> None:
    content = os.urandom(10_000_000)
    put(storage, "a/b.parquet", content)
    with storage.local_copy("a/b.parquet") as path:
        assert path.read_bytes() == content
        assert path.suffix == ".parquet"
    assert read(storage, "a/b.parquet") == content


def test_scratch_is_gone_afterwards_and_no_blob(storage: Storage) -> None:
    with storage.scratch() as directory:
        (directory / "work").write_bytes(b"x")
        assert storage.list() == []
    assert not directory.exists()


def test_scratch_is_on_the_volume_of_local_blobs(tmp_path: Path) -> None:
    with Storage(str(tmp_path / "root")).scratch() as directory:
        assert (tmp_path / "root") in directory.parents


WORK = {
    "Parquet by Polars": lambda path: write_parquet(TALL, path),
    "Parquet of a lazy frame": lambda path: write_parquet(TALL.lazy(), path),
    "CSV by Polars": lambda path: write_csv(TALL, path),
    "bytes": lambda path: path.write_bytes(bytes(1_000_000)),
}


def work_on_a_full_disk(storage: Storage, disk: Disk, work: Callable[[Path], object]) -> None:
    with storage.scratch() as scratch:
        disk.fill(())
        work(scratch / "work")


@pytest.mark.parametrize("kind", WORK)
def test_work_files_on_a_full_disk_are_worth_another_attempt(kind: str) -> None:
    with small_disk() as disk:
        if not disk.mounted:
            pytest.skip("the machine allows no file system of its own")
        storage = Storage(str(disk.home / "files"))
        with pytest.raises(StorageUnavailable, match="No space left on device") as full:
            work_on_a_full_disk(storage, disk, WORK[kind])
        assert full.value.retryable
        disk.free(())
        put(storage, "a/b", b"room again")
        assert read(storage, "a/b") == b"room again"


def test_what_else_fails_beside_work_files_stays_what_it_is(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError), storage.scratch() as scratch:
        (scratch / "missing").read_bytes()
    with pytest.raises(pl.exceptions.ComputeError), storage.scratch():
        raise pl.exceptions.ComputeError("of another kind (os error 2)")


def test_scans_parquet_where_it_is(storage: Storage, tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": range(50_000), "b": [f"text {n}" for n in range(50_000)], "c": [None] * 50_000})
    frame.write_parquet(tmp_path / "x.parquet", row_group_size=10_000)
    storage.put_file(tmp_path / "x.parquet", "twins/1.parquet")
    scanned = storage.scan_parquet("twins/1.parquet")
    assert scanned.filter(pl.col("a") == 40_001).select("b").collect().item() == "text 40001"
    assert scanned.collect().equals(frame)


def test_a_blob_that_vanished_after_the_scan_is_named(storage: Storage, tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "x.parquet")
    storage.put_file(tmp_path / "x.parquet", "x.parquet")
    scanned = storage.scan_parquet("x.parquet")
    storage.delete("x.parquet")
    with pytest.raises(FileVanished, match=r"'x\.parquet'"), storage.guard("x.parquet"):
        scanned.collect()


def test_a_wrong_secret_is_refused_and_never_shown(s3: S3Server, tmp_path: Path) -> None:
    wrong = "very-secret-and-wrong"
    settings = s3.settings("any", tmp_path, storage_secret_key=SecretStr(wrong))
    storage = Storage.from_settings(settings)
    texts = [repr(storage), storage.display_url]
    for ask in (storage.size, storage.open, storage.exists, storage.list, storage.delete):
        with pytest.raises(StorageRefused) as refused:
            ask("a/b")
        texts += [str(refused.value), repr(refused.value), repr(refused.value.attributes)]
    with pytest.raises(StorageRefused) as refused, storage.writer("a/b") as blob:
        blob.write(b"x")
    texts += [str(refused.value), repr(refused.value)]
    assert not any(wrong in text or s3.access_key in text for text in texts)
    assert not StorageRefused.retryable


@pytest.mark.parametrize("bucket", ["recon", "no-such-bucket"])
def test_who_may_not_write_is_refused(s3: S3Server, tmp_path: Path, bucket: str) -> None:
    settings = s3.settings(
        "any", tmp_path, storage_url=f"s3://{bucket}/any", storage_access_key=SecretStr(s3.guest_key)
    )
    with pytest.raises(StorageRefused, match=f"s3://{bucket}/any") as refused:
        put(Storage.from_settings(settings), "a/b", b"x")
    assert s3.secret_key not in str(refused.value)


def test_a_root_that_can_be_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageRefused, match="file"):
        put(Storage(str(tmp_path / "file")), "a/b", b"x")


def test_credentials_in_a_url_are_not_shown() -> None:
    storage = Storage("ftp://someone:hidden@example.org/files")
    assert "hidden" not in repr(storage)
    assert repr(storage) == "Storage('ftp://example.org/files')"


def test_a_server_that_is_gone_is_worth_another_attempt(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1, 2]}).write_parquet(tmp_path / "x.parquet")
    with s3_server() as server:
        storage = Storage.from_settings(server.settings("x", tmp_path))
        storage.put_file(tmp_path / "x.parquet", "a/x.parquet")
        put(storage, "a/large", bytes(30_000_000))
        scanned = storage.scan_parquet("a/x.parquet")
        reader = storage.open("a/large")
        reader.read(10)
        with pytest.raises(StorageUnavailable) as raised, storage.writer("a/c"):
            server.kill()
        assert raised.value.retryable
        assert server.secret_key not in str(raised.value)
        for ask in (
            lambda: storage.open("a/x.parquet"),
            lambda: storage.exists("a/x.parquet"),
            storage.list,
            lambda: reader.seek(20_000_000) and reader.read(),
        ):
            with pytest.raises(StorageUnavailable):
                ask()
        with pytest.raises(StorageUnavailable), storage.guard("a/x.parquet"):
            scanned.collect()
        server.start()
        assert storage.list() == ["a/large", "a/x.parquet"]
        assert storage.scan_parquet("a/x.parquet").collect().height == 2
        reader.close()


def test_survives_pickling_and_a_fork(storage: Storage) -> None:
    put(storage, "a/b", b"x")
    copy: Storage = pickle.loads(pickle.dumps(storage))  # noqa: S301
    assert read(copy, "a/b") == b"x"
    if storage.protocol == "memory":
        return
    child = os.fork()
    if not child:
        try:
            os._exit(0 if read(storage, "a/b") == b"x" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


STREAM = """
import sys
from models.storage import Storage
def peak():
    # Not ru_maxrss, which a new process takes over from the one that started it.
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))
root, endpoint, key, secret, megabytes = sys.argv[1:]
storage = Storage(root, endpoint_url=endpoint or None, access_key=key or None, secret_key=secret or None)
storage.list()
before = peak()
piece = bytes(range(256)) * 4096
with storage.writer("large") as blob:
    for _ in range(int(megabytes)):
        blob.write(piece)
seen = sum(len(chunk) for chunk in storage.chunks("large"))
assert seen == blob.size == len(piece) * int(megabytes)
print((peak() - before) // 1024)
"""


@pytest.mark.parametrize("where", ["local", "s3"])
def test_streams_with_bounded_memory(where: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    arguments = [str(tmp_path / "root"), "", "", ""]
    if where == "s3":
        server: S3Server = request.getfixturevalue("s3")
        arguments = ["s3://recon/stream", server.endpoint_url, server.access_key, server.secret_key]
    command = [sys.executable, "-c", STREAM, *arguments, "200"]
    grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(grown) < 100
