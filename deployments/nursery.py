"""Child processes of a preloaded forkserver, one for each flow run."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any, cast

import anyio
import anyio.to_thread
import psutil

PRELOAD = "deployments.preload"
_FORKSERVER_DIED = 255


class Child:
    """A process of its own with a connection to it; when this side of the connection closes, the process ends itself."""

    def __init__(self, process: ForkServerProcess, control: Connection) -> None:
        assert process.pid is not None  # noqa: S101 - it has been started
        self.pid = process.pid
        self.ended = anyio.Event()
        self._process = process
        self._control = control
        try:
            self._handle = psutil.Process(self.pid)
        except psutil.NoSuchProcess:
            self._handle = None

    async def wait(self) -> int:
        """The exit code; negative for a signal. If the forkserver has died, the child is killed: nobody can wait for it."""
        await anyio.wait_readable(self._process.sentinel)
        code = self._process.exitcode
        if code == _FORKSERVER_DIED:
            self.kill()
            code = -signal.SIGKILL
        self._process.close()
        self._control.close()
        self.ended.set()
        return -signal.SIGKILL if code is None else code

    def order(self, word: bytes) -> None:
        """Sends one of the orders that the child's main module knows."""
        with contextlib.suppress(OSError):
            self._control.send_bytes(word)

    def kill(self) -> None:
        """Ends the process and what it has started, at once."""
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if self._handle is not None and self._handle.is_running():
                self._handle.kill()
            os.killpg(self.pid, signal.SIGKILL)


class Nursery:
    """Starts children in some milliseconds each: the forkserver has already imported what they need."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([PRELOAD])
        self._opening = anyio.Lock()
        self._proven: psutil.Process | None = None

    def open(self) -> psutil.Process:
        """Starts the forkserver, which imports on its own while the caller goes on."""
        with without_main_module():
            forkserver.ensure_running()
        return psutil.Process(forkserver._forkserver._forkserver_pid)  # pyright: ignore

    async def ready(self) -> None:
        """Waits until the forkserver has loaded everything; starts another one if it has died."""
        async with self._opening:
            if self._proven is None or not _alive(self._proven):
                started = self.open()
                await anyio.to_thread.run_sync(self._prove, abandon_on_cancel=True)
                self._proven = started

    async def start(self, target: Callable[..., None], *args: Any) -> Child:
        """Starts `target(connection, *args)`."""
        await self.ready()
        here, there = self._context.Pipe()
        process = self._context.Process(target=target, args=(there, *args))
        try:
            with without_main_module():
                process.start()
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
        return Child(process, cast(Connection, here))

    def _prove(self) -> None:
        """A first child can't be forked before everything is loaded."""
        process = self._context.Process(target=os.getpid)
        with without_main_module():
            process.start()
        process.join()


def share_forkserver() -> None:
    """Lets a child of the forkserver have processes forked by it, too; the standard library would start another one for it."""
    forkserver._forkserver.ensure_running = resource_tracker.ensure_running  # pyright: ignore


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def without_main_module() -> Iterator[None]:
    """Keeps multiprocessing from importing our `__main__` again in every child: it is a command (`prefect`, or pytest)."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
