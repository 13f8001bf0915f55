"""A directory whose disk can be full: a small file system of its own where the machine allows one, a write fault otherwise."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

SIZE = 1 << 30
"""Bytes of the small file system. All of them are memory while it is full."""


class Disk:
    """`fill` makes writes below `home` fail until `free`; `processes` are those that write there."""

    def __init__(self, home: Path, *, mounted: bool) -> None:
        self.home = home
        self.mounted = mounted
        self._ballast = home / "ballast"
        self._limited: dict[psutil.Process, tuple[int, int]] = {}

    def fill(self, processes: Iterable[psutil.Process]) -> str:
        """Says what was done."""
        if self.mounted:
            with self._ballast.open("wb", buffering=0) as ballast:
                with contextlib.suppress(OSError):
                    os.posix_fallocate(ballast.fileno(), 0, shutil.disk_usage(self.home).free)
                ballast.seek(0, os.SEEK_END)
                with contextlib.suppress(OSError):
                    while ballast.write(bytes(4096)):
                        pass
            return f"{shutil.disk_usage(self.home).free} bytes left"
        for process in processes:
            with contextlib.suppress(psutil.Error):
                # No process can write to a file any more; pipes and sockets go on.
                self._limited[process] = process.rlimit(resource.RLIMIT_FSIZE)
                process.rlimit(resource.RLIMIT_FSIZE, (0, self._limited[process][1]))
        return f"{len(self._limited)} processes can't write to files"

    def free(self, processes: Iterable[psutil.Process]) -> None:
        """`processes` are those of now: what was forked while the disk was full has inherited the limit."""
        self._ballast.unlink(missing_ok=True)
        if not self._limited:
            return
        given = next(iter(self._limited.values()))
        for process in {*self._limited, *processes}:
            with contextlib.suppress(psutil.Error):
                process.rlimit(resource.RLIMIT_FSIZE, self._limited.get(process, given))
        self._limited.clear()


@contextlib.contextmanager
def small_disk() -> Iterator[Disk]:
    """A new directory on such a disk, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="recon-chaos-"))
    mounted = _mount(home)
    disk = Disk(home, mounted=mounted)
    try:
        yield disk
    finally:
        disk.free(())
        if mounted:
            # Lazily: a process that was left behind is reported elsewhere and must not keep the mount.
            subprocess.run(["umount", "--lazy", str(home)], check=True)
        shutil.rmtree(home, ignore_errors=True)


def _mount(home: Path) -> bool:
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "recon-chaos", str(home)]
        return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False
