"""What must hold before a stack starts: its data directory to itself, free ports, no leftovers of an earlier stack."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import time
from pathlib import Path
from typing import IO

import psutil

from models.errors import ReconError
from models.settings import Settings
from recon.components import MARKER

_POLL = 0.05


class PortInUse(ReconError):
    """Something else listens where a part of the stack should."""

    code = "PORT_IN_USE"

    def __init__(self, host: str, port: int, option: str) -> None:
        setting = "RECON_" + option.removeprefix("--").replace("-", "_").upper()
        super().__init__(
            f"Port {port} on {host} is already in use; choose another one with {option} or {setting}",
            host=host,
            port=port,
            option=option,
        )


class DataDirInUse(ReconError):
    """Another stack runs on this data directory."""

    code = "DATA_DIR_IN_USE"

    def __init__(self, data_dir: Path, holder: str) -> None:
        super().__init__(
            f"Data directory {data_dir} is in use by another stack{f' (process {holder})' if holder else ''}; "
            "stop that one or choose another directory with --data-dir or RECON_DATA_DIR",
            data_dir=str(data_dir),
        )


class DataDirUnusable(ReconError):
    """No directory of that name can be made or written to."""

    code = "DATA_DIR_UNUSABLE"


class HostUnusable(ReconError):
    """Not a name or address of this machine."""

    code = "HOST_UNUSABLE"


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def require_free_ports(settings: Settings) -> None:
    """Raises `PortInUse` for the first port of the stack that can't be listened on."""
    wanted = [("--api-port", settings.api_port)]
    if settings.prefect_api_url is None:
        wanted.insert(0, ("--prefect-port", settings.prefect_port))
    seen: set[int] = set()
    for option, port in wanted:
        if port in seen or not _is_free(settings.host, port):
            raise PortInUse(settings.host, port, option)
        seen.add(port)


def _is_free(host: str, port: int) -> bool:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise HostUnusable(f"Can't listen on host {host!r}: {error}", host=host) from error
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that is closing is nobody listening
        try:
            probe.bind(address)
        except OSError:
            return False
    return True


def make_data_dir(directory: Path) -> None:
    """Makes the directory where it isn't there yet. Raises `DataDirUnusable`."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirUnusable(f"Can't use {directory} for data: {error.strerror}", directory=str(directory)) from error


def lock_data_dir(data_dir: Path, patience: float) -> IO[str]:
    """Holds the directory until this file and its descriptor's copies in children are closed. Raises `DataDirInUse`.

    Where the owner of the lock has died, its supervisor is ending what is left: that is waited for, `patience` seconds
    at most.
    """
    lock = (data_dir / "stack.lock").open("a+")
    deadline = time.monotonic() + patience
    while not _locks(lock):
        lock.seek(0)
        holder = lock.read().strip()
        if time.monotonic() > deadline or (holder.isdigit() and psutil.pid_exists(int(holder))):
            lock.close()
            raise DataDirInUse(data_dir, holder)
        time.sleep(_POLL)
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _locks(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_leftovers(data_dir: Path, grace: float) -> None:
    """Ends processes of a stack on this directory wherever they hang in the process tree: their environment tells.

    SIGTERM at first, SIGKILL after `grace` seconds; returns when none is left.
    """
    deadline = time.monotonic() + grace
    asked: set[psutil.Process] = set()
    while left := {process for process in psutil.process_iter() if _belongs(process, data_dir)}:
        late = time.monotonic() > deadline
        for process in left if late else left - asked:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL if late else signal.SIGTERM)
        asked |= left
        time.sleep(_POLL)


def _belongs(process: psutil.Process, data_dir: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARKER) == str(data_dir)
    except psutil.Error:
        return False
