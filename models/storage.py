"""Blobs over fsspec: a local directory, an S3 bucket, or any other fsspec URL.

A blob becomes visible whole or not at all, and is hashed while it is written. Paths are relative, with `/`; none leads out of
the root. Nothing here logs, shows or raises a secret.
"""

from __future__ import annotations

import builtins
import io
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import fsspec
import polars as pl
from fsspec.core import split_protocol, url_to_fs

from models.blobs import ASIDE, Aside, Blob, BlobWriter, CopiedAside, GuardedReader, LocalAside, S3Aside
from models.disk import disk_fault
from models.errors import FileVanished, StorageRefused, StorageUnavailable
from models.settings import Settings

__all__ = ["Blob", "BlobWriter", "Storage", "checked_path"]

CHUNK = 1 << 20
BLOCK = 8 << 20
"""Bytes of one part of an S3 upload, and of one read ahead: 10,000 parts make 78 GiB."""

SCRATCH = ".scratch"


class Storage:
    """One root that holds blobs. Safe to share between threads and across a fork."""

    def __init__(
        self,
        url: str,
        *,
        endpoint_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        region: str = "us-east-1",
    ) -> None:
        protocol, rest = split_protocol(url)
        self.protocol: str = "file" if protocol in (None, "file", "local") else str(protocol)
        self.is_local = self.protocol == "file"
        self._directory = Path(rest).absolute() if self.is_local else None
        self._url = url.rstrip("/")
        self._endpoint_url = endpoint_url
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._opened: tuple[int, Any, str] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Storage:
        secrets = (settings.storage_access_key, settings.storage_secret_key)
        access_key, secret_key = (secret.get_secret_value() if secret else None for secret in secrets)
        return cls(
            settings.effective_storage_url,
            endpoint_url=settings.storage_endpoint_url,
            access_key=access_key,
            secret_key=secret_key,
            region=settings.storage_region,
        )

    def __repr__(self) -> str:
        return f"Storage({self.display_url!r})"

    @property
    def display_url(self) -> str:
        """The root's URL without credentials."""
        return re.sub(r"(?<=://)[^/@]*@", "", self._url)

    # -- writing

    @contextmanager
    def writer(self, path: str) -> Iterator[BlobWriter]:
        """The blob appears, or replaces an older one, when the block ends; an exception leaves everything as it was.

        Raises ValueError on a path that is not plainly relative; StorageUnavailable, StorageRefused.
        """
        checked = checked_path(path)
        with self.guard(path, writing=True):
            aside = self._aside(checked)
        try:
            yield BlobWriter(path, aside, partial(self.guard, path, writing=True))
            with self.guard(path, writing=True):
                aside.publish()
        except BaseException:
            with suppress(Exception):
                aside.discard()
            raise

    def put_file(self, local: Path, path: str) -> Blob:
        """Publishes a copy of a file on disk."""
        with local.open("rb") as source, self.writer(path) as blob:
            while chunk := source.read(CHUNK):
                blob.write(chunk)
        return blob.blob

    def delete(self, path: str) -> bool:
        """Whether there was such a blob."""
        key = self._key(path)
        with self.guard(path):
            if self._size(key) is None:
                return False
            with suppress(FileNotFoundError):
                self._filesystem().rm_file(key)
        return True

    def delete_prefix(self, prefix: str) -> int:
        """Deletes every blob below the directory `prefix`, half-written ones too, and says how many. The root is refused."""
        key = self._key(prefix)
        with self.guard(prefix):
            below = self._below(key)
            if self.is_local:
                with suppress(FileNotFoundError):
                    shutil.rmtree(key)
            elif below:
                self._filesystem().rm(below)
        return len(below)

    # -- reading

    def open(self, path: str) -> BinaryIO:
        """A seekable reader. Raises FileVanished, here or while reading; StorageUnavailable, StorageRefused."""
        key = self._key(path)
        with self.guard(path):
            if self.is_local:
                return Path(key).open("rb")
            handle = self._filesystem().open(key, "rb", **self._block_options())
            return cast(BinaryIO, io.BufferedReader(GuardedReader(handle, partial(self.guard, path)), CHUNK))

    def chunks(self, path: str, size: int = CHUNK) -> Iterator[bytes]:
        """The blob's bytes in pieces of `size`; a missing blob raises FileVanished before the first one is asked for."""
        self.size(path)
        return self._pieces(path, size)

    def _pieces(self, path: str, size: int) -> Iterator[bytes]:
        with self.open(path) as source:
            while piece := source.read(size):
                yield piece

    def exists(self, path: str) -> bool:
        key = self._key(path)
        with self.guard(path):
            return self._size(key) is not None

    def size(self, path: str) -> int:
        """Bytes. Raises FileVanished."""
        key = self._key(path)
        with self.guard(path):
            size = self._size(key)
        if size is None:
            raise self._vanished(path)
        return size

    def list(self, prefix: str = "") -> builtins.list[str]:
        """The paths of all blobs below the directory `prefix` (all there are, if empty), sorted."""
        key = self._key(prefix) if prefix else self._root()
        with self.guard(prefix):
            found = self._below(key)
        start = len(self._root()) + 1
        paths = (name[start:] for name in found)
        return sorted(
            path for path in paths if not path.startswith(f"{SCRATCH}/") and ASIDE not in PurePosixPath(path).name
        )

    def ages(self) -> dict[str, datetime]:
        """When each blob was last written, by path; half-written ones and work files too."""
        root = self._root()
        with self.guard(""):
            found = cast("dict[str, dict[str, Any]]", self._filesystem().find(root, detail=True))
        start = len(root) + 1
        return {name[start:]: _written(entry) for name, entry in found.items() if entry["type"] == "file"}

    @contextmanager
    def local_copy(self, path: str) -> Iterator[Path]:
        """A file on this machine with the blob's bytes: the blob itself where storage is local, so not to be changed."""
        if self.is_local:
            key = Path(self._key(path))
            if not key.is_file():
                raise self._vanished(path)
            yield key
            return
        with self.scratch() as directory:
            copy = directory / PurePosixPath(path).name
            with copy.open("wb") as target:
                for chunk in self.chunks(path, BLOCK):
                    target.write(chunk)
            yield copy

    def scan_parquet(self, path: str) -> pl.LazyFrame:
        """A lazy frame that reads from storage what a query needs, when it is collected: do that under `guard(path)`."""
        self.size(path)
        key = self._key(path)
        if self.is_local:
            return pl.scan_parquet(key, glob=False)
        if self.protocol in ("s3", "s3a"):
            return pl.scan_parquet(f"s3://{key}", glob=False, storage_options=self._polars_options())
        import pyarrow.dataset as dataset

        source = dataset.dataset(key, filesystem=self._filesystem(), format="parquet")  # pyright: ignore[reportArgumentType]
        return pl.scan_pyarrow_dataset(source)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory for work files, removed afterwards; on the same volume as the blobs where these are local.

        Raises StorageUnavailable where a full or failing disk is what the block fails on.
        """
        base = None if self._directory is None else self._directory / SCRATCH
        with self.guard(SCRATCH, writing=True):
            if base is not None:
                base.mkdir(parents=True, exist_ok=True)
            made = tempfile.mkdtemp(prefix=f"recon-{socket.gethostname()}-{os.getpid()}-", dir=base)
        try:
            yield Path(made)
        except Exception as error:
            fault = disk_fault(error)
            if fault is None:
                raise
            raise StorageUnavailable(f"The disk takes no work files beside '{self.display_url}': {fault}") from error
        finally:
            shutil.rmtree(made, ignore_errors=True)

    # -- inside

    @contextmanager
    def guard(self, path: str, *, writing: bool = False) -> Iterator[None]:
        """Turns what a file system or Polars raises about the blob `path` into FileVanished, StorageUnavailable, StorageRefused."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            if writing:
                raise StorageRefused(f"Storage {self.display_url} has no place for '{path}'", path=path) from error
            raise self._vanished(path) from error
        except PermissionError as error:
            raise StorageRefused(f"Storage {self.display_url} refuses access to '{path}'", path=path) from error
        except Exception as error:
            reason = _reason(error)
            if reason is None:
                raise
            raise StorageUnavailable(
                f"Storage {self.display_url} does not answer for '{path}': {reason}", path=path
            ) from error

    def _size(self, key: str) -> int | None:
        """None if there is no such blob. (`isfile` of fsspec says so when it could not ask, too.)"""
        try:
            entry = self._filesystem().info(key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return int(entry["size"]) if entry["type"] == "file" else None

    def _below(self, key: str) -> builtins.list[str]:
        found = cast("dict[str, dict[str, Any]]", self._filesystem().find(key + "/", detail=True))
        # An S3 server may show a directory that has lost its last blob.
        return [name for name, entry in found.items() if entry["type"] == "file" and name.startswith(key + "/")]

    def _vanished(self, path: str) -> FileVanished:
        return FileVanished(f"'{path}' is missing in storage {self.display_url}", path=path)

    def _key(self, path: str) -> str:
        return f"{self._root()}/{checked_path(path)}"

    def _root(self) -> str:
        return str(self._directory) if self._directory else self._open_filesystem()[1]

    def _filesystem(self) -> Any:
        return self._open_filesystem()[0]

    def _open_filesystem(self) -> tuple[Any, str]:
        # A forked child may not use the sockets and the event loop of its parent.
        if self._opened is None or self._opened[0] != os.getpid():
            if self._directory is not None:
                files, root = fsspec.filesystem("file"), str(self._directory)
            else:
                files, root = url_to_fs(self._url, **self._fsspec_options())
            self._opened = (os.getpid(), files, str(root).rstrip("/"))
        return self._opened[1], self._opened[2]

    def _fsspec_options(self) -> dict[str, Any]:
        if self.protocol not in ("s3", "s3a"):
            return {}
        return {
            "key": self._access_key,
            "secret": self._secret_key,
            "endpoint_url": self._endpoint_url,
            "client_kwargs": {"region_name": self._region},
            "config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 3}},
            "default_block_size": BLOCK,
            # Another process may have written since the last look.
            "use_listings_cache": False,
        }

    def _polars_options(self) -> dict[str, Any]:
        options = {
            "aws_access_key_id": self._access_key,
            "aws_secret_access_key": self._secret_key,
            "aws_endpoint_url": self._endpoint_url,
            "aws_region": self._region,
            "aws_allow_http": "true",
            "max_retries": 3,
        }
        return {name: setting for name, setting in options.items() if setting is not None}

    def _block_options(self) -> dict[str, int]:
        return {"block_size": BLOCK} if self.protocol in ("s3", "s3a") else {}

    def _aside(self, path: str) -> Aside:
        if self._directory is not None:
            return LocalAside(self._directory / path)
        if self.protocol in ("s3", "s3a"):
            return S3Aside(self._filesystem().open(self._key(path), "wb", **self._block_options()))
        return CopiedAside(self._filesystem(), self._key(path))


def _written(entry: dict[str, Any]) -> datetime:
    """Local directories and object stores name it differently; one that does not know is taken for new."""
    known = (entry.get(name) for name in ("LastModified", "last_modified", "mtime"))
    given = next((one for one in known if one is not None), datetime.now(UTC))
    return given if isinstance(given, datetime) else datetime.fromtimestamp(float(given), UTC)


def checked_path(path: str) -> str:
    """`path`, if it is plainly relative. Raises ValueError."""
    parts = path.split("/")
    if not path or "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"a blob's path is relative, without empty, '.' or '..' parts; got '{path}'")
    return path


def _reason(error: Exception) -> str | None:
    """Why storage failed, in words without secrets; None if the error is not about storage."""
    if isinstance(error, pl.exceptions.ComputeError):
        return "object store" if "object-store error" in str(error) else None
    if isinstance(error, OSError):
        return (
            error.strerror if error.errno and error.strerror and "://" not in error.strerror else type(error).__name__
        )
    module = type(error).__module__.partition(".")[0]
    return type(error).__name__ if module in ("botocore", "aiobotocore", "aiohttp", "fsspec", "s3fs") else None
