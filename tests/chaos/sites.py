"""The two set-ups of a sitting: the embedded stack on a disk that can be full, and one on PostgreSQL and S3 behind proxies."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from sqlalchemy.engine import make_url

from models.db import Database
from models.settings import Settings
from models.storage import Storage
from recon.components import MARKER
from recon.local import EmbeddedStack, free_port
from recon.processes import Event
from tests.chaos.disk import Disk, small_disk
from tests.chaos.journal import Journal
from tests.chaos.proxy import Line
from tests.parts.postgres import PostgresServer, can_hold_prefect, new_database, postgres
from tests.parts.s3 import BUCKET, S3Server, s3_server

ORPHAN_GRACE = 60.0
"""Seconds; longer than an attempt takes from its first blob to its commit, whatever happens meanwhile."""

_POLL = 0.1


@dataclass
class Site:
    """A running stack, and the ways to its records and blobs that no fault of ours is on."""

    stack: EmbeddedStack
    database: Database
    storage: Storage
    stamp: Callable[[str], str]
    """When a blob was written."""
    disk: Disk | None = None
    lines: Mapping[str, Line] = field(default_factory=dict[str, Line])
    """By what is reached over them: `database`, `storage`."""
    postgres: PostgresServer | None = None
    s3: S3Server | None = None

    def processes(self) -> list[psutil.Process]:
        """All processes of the stack, wherever they hang in the process tree: their environment tells."""
        return processes_of(self.stack.data_dir)

    def forkservers(self) -> list[psutil.Process]:
        """That of the worker, and of a worker that has died, while it lives."""
        worker = self.stack.pids.get("worker")
        found = [one for one in self.processes() if _is_forkserver(one)]
        return [one for one in found if _parent(one) == worker or not _is_forkserver_of_any(one, found)]

    def children(self) -> list[psutil.Process]:
        """The processes that execute runs."""
        found: list[psutil.Process] = []
        for forkserver in self.forkservers():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += forkserver.children()
        return [one for one in found if one.is_running()]

    def strays(self) -> list[psutil.Process]:
        """Processes of the stack that have no place in it while no run is under way."""
        known = set(self.stack.pids.values())
        found: list[psutil.Process] = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                place = process.pid in known or "recon.supervisor" in words or process.ppid() in known
                if words and not place:
                    found.append(process)
        return found

    def await_healthy(self, seconds: float) -> bool:
        """Whether every part runs and both servers answer within `seconds`."""
        deadline = time.monotonic() + seconds
        while not self._healthy():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    def _healthy(self) -> bool:
        if set(self.stack.pids) != {"prefect", "api", "worker"}:
            return False
        urls = (f"{self.stack.api_url}/api/v1/health", f"{self.stack.prefect_api_url}/health")
        with contextlib.suppress(httpx.HTTPError):
            return all(httpx.get(url, timeout=5, trust_env=False).status_code == 200 for url in urls)
        return False


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """The living processes that work on a data directory."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.environ().get(MARKER) == str(data_dir)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@contextlib.contextmanager
def embedded(journal: Journal) -> Iterator[Site]:
    """The default: SQLite and a local directory, on a small file system."""
    with small_disk() as disk:
        settings = _settings(disk.home / "stack")
        with _stack(settings, journal, "embedded") as stack:
            storage = Storage.from_settings(settings)
            blobs = Path(settings.effective_storage_url)
            yield Site(
                stack,
                Database.from_settings(settings),
                storage,
                lambda path: str((blobs / path).stat().st_mtime_ns),
                disk=disk,
            )


@contextlib.contextmanager
def servers(journal: Journal) -> Iterator[Site]:
    """PostgreSQL and S3, each behind a proxy; the engine's tables are on the same PostgreSQL where that can hold them."""
    shared = can_hold_prefect()
    with (
        postgres(for_prefect=shared) as database,
        s3_server() as s3,
        Line(database.port) as to_database,
        Line(s3.ports[0]) as to_storage,
        contextlib.ExitStack() as temporary,
    ):
        home = temporary.enter_context(small_disk()).home

        def behind(url: str) -> str:
            return make_url(url).set(port=to_database.port).render_as_string(hide_password=False)

        given = s3.settings(
            "chaos",
            home / "stack",
            database_url=behind(database.url),
            prefect_database_url=behind(new_database(database.url, "prefect")) if shared else None,
            storage_endpoint_url=f"http://127.0.0.1:{to_storage.port}",
        )
        settings = _settings(home / "stack", given)
        with _stack(settings, journal, "servers") as stack:
            client = s3.client()
            yield Site(
                stack,
                Database(database.url),
                Storage.from_settings(settings.model_copy(update={"storage_endpoint_url": s3.endpoint_url})),
                lambda path: str(client.info(f"{BUCKET}/chaos/{path}")["LastModified"]),
                lines={"database": to_database, "storage": to_storage},
                postgres=database,
                s3=s3,
            )


SITES: dict[str, Callable[[Journal], AbstractContextManager[Site]]] = {"embedded": embedded, "servers": servers}


def _settings(data_dir: Path, given: Settings | None = None) -> Settings:
    chosen = {
        "data_dir": data_dir,
        "api_port": free_port(),
        "prefect_port": free_port(),
        "retry_base": 0.5,
        "retry_ceiling": 3.0,
        "auth": False,
        # Everything that is waited for is short, and no run is given up because too much happened to it.
        "heartbeat": 1.0,
        "lost_after": 10.0,
        "engine_start": 15.0,
        "run_restarts": 50,
        "orphan_grace": ORPHAN_GRACE,
    }
    return (given or Settings()).model_copy(update=chosen)


@contextlib.contextmanager
def _stack(settings: Settings, journal: Journal, name: str) -> Iterator[EmbeddedStack]:
    def hear(event: Event) -> None:
        journal.note("process", f"{event.name} {event.kind} {event.pid or ''}", quiet=True)

    stack = EmbeddedStack(settings, on_event=hear)
    try:
        with stack:
            yield stack
    finally:
        if stack.log_dir.is_dir():
            shutil.copytree(stack.log_dir, journal.home / f"logs-{name}", dirs_exist_ok=True)


def _is_forkserver(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any("forkserver" in word for word in process.cmdline())
    return False


def _parent(process: psutil.Process) -> int | None:
    with contextlib.suppress(psutil.Error):
        return process.ppid()
    return None


def _is_forkserver_of_any(process: psutil.Process, forkservers: list[psutil.Process]) -> bool:
    """Whether it was forked by one of them: it bears the same command line."""
    return _parent(process) in {one.pid for one in forkservers}
