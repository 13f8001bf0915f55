"""The embedded stack: Prefect server, worker and API in one command, on one data directory.

    with EmbeddedStack(Settings(api_port=free_port(), prefect_port=free_port())) as stack:
        httpx.get(f"{stack.api_url}/api/v1/health")

The processes are kept by `recon.supervisor`; this module says which they are and talks to it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from models.errors import ReconError
from models.settings import Settings
from recon.components import child_environment, own_api_url, stack_components
from recon.guards import end_leftovers, free_port, lock_data_dir, make_data_dir, require_free_ports
from recon.processes import LOG_MARK, Component, Event, Plan

__all__ = ["EmbeddedStack", "StackFailed", "free_port"]

_LOG_TAIL = 25
_LOG_LIMIT = 10 * 1024**2


class StackFailed(ReconError):
    """A part of the stack did not become healthy, or the supervisor itself is gone."""

    code = "STACK_FAILED"


class EmbeddedStack:
    """Starts on `with` or `start()`, returns when all parts are healthy, leaves no process behind.

    `on_event` is called from another thread, once for every `Event`. `grace` (seconds) is how long all parts together
    may take to end before they are killed; `start_limit` (seconds) is how long a part may take to become healthy.
    `components` replaces the stack's own table. Raises `PortInUse` or `DataDirInUse` before anything is started,
    `StackFailed` with the log's tail.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        components: Sequence[Component] | None = None,
        on_event: Callable[[Event], None] | None = None,
        grace: float = 10.0,
        start_limit: float = 120.0,
    ) -> None:
        self.data_dir = settings.data_dir.resolve()
        self.settings = settings.model_copy(update={"data_dir": self.data_dir})
        self.pids: dict[str, int] = {}
        """The process of each part that runs now."""
        self._components = components
        self._on_event = on_event
        self._grace, self._start_limit = grace, start_limit
        self._supervisor: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._lock: IO[str] | None = None
        self._changed = threading.Condition()
        self._names: set[str] = set()
        self._healthy: set[str] = set()
        self._failed: Event | None = None
        self._over = False

    @property
    def api_url(self) -> str:
        return own_api_url(self.settings)

    @property
    def prefect_api_url(self) -> str:
        return self.settings.effective_prefect_api_url

    @property
    def prefect_ui_url(self) -> str:
        return self.prefect_api_url.removesuffix("/api")

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "logs"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        make_data_dir(self.log_dir)
        self._lock = lock_data_dir(self.data_dir, 2 * self._grace)
        try:
            end_leftovers(self.data_dir, self._grace)
            table = self._components
            if table is None:
                require_free_ports(self.settings)
                table = stack_components(self.settings)
            for component in table:
                _rotate(Path(component.log))
            self._names = {component.name for component in table}
            self._launch(Plan(tuple(table), self._grace, self._start_limit))
            self.await_healthy()
        except BaseException:
            self.stop()
            raise

    def await_healthy(self) -> None:
        """Blocks until every part is healthy, at the start or again after one has died. Raises `StackFailed`."""
        with self._changed:
            self._changed.wait_for(lambda: self._healthy >= self._names or self._failed or self._over)
        if self._failed:
            name = self._failed.name
            raise StackFailed(
                f"{name} ended with {self._failed.how} before the stack was ready.\n{self._tail(name)}", component=name
            )
        if self._over:
            raise StackFailed(f"The supervisor ended before the stack was healthy.\n{self._tail('supervisor')}")

    def wait(self) -> None:
        """Blocks until the supervisor ends. Raises `StackFailed` if nobody told it to."""
        with self._changed:
            self._changed.wait_for(lambda: self._over)
        raise StackFailed("The supervisor of the stack ended unexpectedly; its processes have been ended too")

    def stop(self, *, at_once: bool = False) -> None:
        """Ends every process. With `at_once` it only tells the `stop` that is under way to wait no longer."""
        supervisor = self._supervisor
        if supervisor is not None:
            with contextlib.suppress(OSError, ValueError):
                assert supervisor.stdin is not None  # noqa: S101 - it was started with a pipe
                # Not through the buffer: a signal handler may come in between.
                os.write(supervisor.stdin.fileno(), b"kill\n" if at_once else b"stop\n")
            if at_once:
                return
            try:
                supervisor.wait(self._grace * 2 + 10)
            except subprocess.TimeoutExpired:
                supervisor.kill()
                supervisor.wait()
            end_leftovers(self.data_dir, self._grace)
            if self._reader:
                self._reader.join()
            for pipe in (supervisor.stdin, supervisor.stdout):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._supervisor = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def _launch(self, plan: Plan) -> None:
        assert self._lock is not None  # noqa: S101 - start() holds it
        with (self.log_dir / "supervisor.log").open("a") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "recon.supervisor"],
                env=child_environment(self.data_dir),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # a Ctrl-C in the terminal must reach this process alone
                pass_fds=(self._lock.fileno(),),  # held until the last process has ended, whatever happens to this one
            )
        assert self._supervisor.stdin is not None  # noqa: S101 - a pipe was asked for
        self._reader = threading.Thread(target=self._read_events, name="stack-events", daemon=True)
        self._reader.start()
        self._supervisor.stdin.write(plan.to_line())
        self._supervisor.stdin.flush()

    def _read_events(self) -> None:
        assert self._supervisor is not None  # noqa: S101 - the thread starts after it
        assert self._supervisor.stdout is not None  # noqa: S101 - a pipe was asked for
        for line in self._supervisor.stdout:
            event = Event.from_line(line)
            if self._on_event:
                self._on_event(event)
            with self._changed:
                match event.kind:
                    case "started":
                        self.pids[event.name] = event.pid
                    case "healthy":
                        self._healthy.add(event.name)
                    case "exited":
                        self._healthy.discard(event.name)
                        self.pids.pop(event.name, None)
                    case "failed":
                        self._failed = event
                    case "stopped":
                        pass
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self.pids.clear()
            self._changed.notify_all()

    def _tail(self, name: str) -> str:
        path = self.log_dir / f"{name}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        lines = text.rpartition(LOG_MARK)[2].splitlines()
        return "\n".join([f"The end of {path}:", *lines[-_LOG_TAIL:]])


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
