"""What a blob is, how its bytes are read, and how they wait aside until it may be seen."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

ASIDE = ".part-"
"""What is being written has this in its name, and is no blob yet."""

Guard = Callable[[], AbstractContextManager[None]]
"""Makes storage errors of what a file system raises inside."""


@dataclass(frozen=True)
class Blob:
    """A published blob; `size` in bytes, `checksum` as `sha256:<hex>`."""

    path: str
    size: int
    checksum: str


class BlobWriter:
    """What `Storage.writer` yields. `size` and `sha256` count what has been written so far."""

    def __init__(self, path: str, aside: Aside, guard: Guard) -> None:
        self.path = path
        self.size = 0
        self._aside = aside
        self._guard = guard
        self._hash = hashlib.sha256()

    def write(self, chunk: bytes) -> int:
        """Raises StorageUnavailable, StorageRefused."""
        with self._guard():
            self._aside.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)
        return len(chunk)

    @property
    def sha256(self) -> str:
        """Hex digits."""
        return self._hash.hexdigest()

    @property
    def blob(self) -> Blob:
        return Blob(self.path, self.size, f"sha256:{self.sha256}")


class Aside(Protocol):
    """`write` as often as it takes; then `publish`, or `discard`, also when publishing failed."""

    def write(self, chunk: bytes) -> None: ...
    def publish(self) -> None: ...
    def discard(self) -> None: ...


class LocalAside:
    """A file beside the target, synced to disk and renamed."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._aside = target.with_name(f".{target.name}{ASIDE}{uuid4().hex}")
        target.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._aside.open("xb", buffering=0)

    def write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._file.write(rest) :]

    def publish(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        self._aside.replace(self._target)
        directory = os.open(self._target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def discard(self) -> None:
        self._file.close()
        self._aside.unlink(missing_ok=True)


class S3Aside:
    """One put, or the parts of a multipart upload: S3 shows nothing before it is completed."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def write(self, chunk: bytes) -> None:
        self._handle.write(chunk)

    def publish(self) -> None:
        self._handle.close()

    def discard(self) -> None:
        # Marked as closed first: closing is what publishes, and the collector closes what is left open.
        self._handle.closed = True
        self._handle.discard()


class CopiedAside:
    """Another name, moved to the right one at the end: the best that an unknown file system offers."""

    def __init__(self, files: Any, key: str) -> None:
        self._files = files
        self._key = key
        parent, _, name = key.rpartition("/")
        self._aside = f"{parent}/.{name}{ASIDE}{uuid4().hex}"
        files.makedirs(parent, exist_ok=True)
        self._handle = files.open(self._aside, "wb")

    def write(self, chunk: bytes) -> None:
        self._handle.write(chunk)

    def publish(self) -> None:
        self._handle.close()
        self._files.mv(self._aside, self._key)

    def discard(self) -> None:
        self._handle.close()
        self._files.rm_file(self._aside)


class GuardedReader(io.RawIOBase):
    """A remote file handle whose failures are ours."""

    def __init__(self, handle: Any, guard: Guard) -> None:
        super().__init__()
        self._handle = handle
        self._guard = guard

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._handle.tell())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._handle.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        with self._guard():
            return int(self._handle.readinto(buffer))

    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()
