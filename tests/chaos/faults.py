"""Faults, as a plan names them, done to a site. Nothing but the site's own processes and files is touched."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.chaos.plan import Act, Fault
from tests.chaos.proxy import Trouble
from tests.chaos.sites import Site

PATIENCE = 3.0
"""Seconds until a process that is to be hit has to be there."""

_POLL = 0.02
_BUSY = 60.0

TROUBLES = {
    Act.CUT_DATABASE: ("database", Trouble.CUT),
    Act.DROP_DATABASE: ("database", Trouble.DROP),
    Act.DEAFEN_DATABASE: ("database", Trouble.DEAFEN),
    Act.DELAY_DATABASE: ("database", Trouble.DELAY),
    Act.CUT_STORAGE: ("storage", Trouble.CUT),
    Act.DROP_STORAGE: ("storage", Trouble.DROP),
    Act.DEAFEN_STORAGE: ("storage", Trouble.DEAFEN),
    Act.DELAY_STORAGE: ("storage", Trouble.DELAY),
}
PARTS = {Act.KILL_WORKER: "worker", Act.KILL_API: "api", Act.KILL_PREFECT: "prefect"}


class Injector:
    """Strikes. What lasts goes on while the next fault strikes, one at a time for each thing that is hit."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lasting: list[threading.Thread] = []
        self._busy: dict[str, threading.Lock] = {}
        self.failed: list[Exception] = []
        """What kept a fault from being ended."""

    def strike(self, fault: Fault) -> str | None:
        """Begins the fault and says what it hit; None if there is nothing to hit."""
        act, site = fault.act, self._site
        if act in PARTS:
            return self._kill(self._part(PARTS[act]))
        if act is Act.KILL_CHILD:
            return self._kill(self._one_of(site.children, fault.pick))
        if act is Act.KILL_FORKSERVER:
            return self._kill(self._one_of(site.forkservers, fault.pick))
        if act is Act.FREEZE_CHILD:
            return self._freeze(fault)
        if act in TROUBLES:
            name, trouble = TROUBLES[act]
            line = site.lines[name]
            return self._for_a_while(fault, name, lambda: line.trouble(trouble), line.heal)
        if act is Act.FILL_DISK:
            assert site.disk is not None
            disk = site.disk
            return self._for_a_while(
                fault, "disk", lambda: disk.fill(site.processes()), lambda: disk.free(site.processes())
            )
        if act in (Act.LOCK_DATABASE, Act.LOCK_ENGINE_DATABASE):
            name = "recon.db" if act is Act.LOCK_DATABASE else "prefect/prefect.db"
            return self._lock(fault, site.stack.data_dir / name)
        if act is Act.RESTART_DATABASE:
            assert site.postgres is not None
            return self._for_a_while(fault, "database", site.postgres.crash, site.postgres.start)
        assert act is Act.RESTART_STORAGE
        assert site.s3 is not None
        return self._for_a_while(fault, "storage", site.s3.kill, site.s3.start)

    def settle(self) -> None:
        """Returns when nothing lasts any more."""
        for one in self._lasting:
            one.join()
        self._lasting.clear()

    def _part(self, name: str) -> psutil.Process | None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            pid = self._site.stack.pids.get(name)
            if pid is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    return psutil.Process(pid)
            time.sleep(_POLL)
        return None

    @staticmethod
    def _one_of(candidates: Callable[[], list[psutil.Process]], pick: float) -> psutil.Process | None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := sorted(candidates(), key=lambda one: one.pid):
                return found[int(pick * len(found))]
            time.sleep(_POLL)
        return None

    @staticmethod
    def _kill(process: psutil.Process | None) -> str | None:
        if process is None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            return f"process {process.pid}"
        return None

    def _freeze(self, fault: Fault) -> str | None:
        process = self._one_of(self._site.children, fault.pick)
        if process is None:
            return None

        def thaw() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

        def freeze() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

        return self._for_a_while(fault, f"process {process.pid}", freeze, thaw)

    def _lock(self, fault: Fault, path: Path) -> str:
        # Made here and used in the thread that ends the fault.
        connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)

        def release() -> None:
            connection.execute("ROLLBACK")
            connection.close()

        return self._for_a_while(fault, path.name, lambda: connection.execute("BEGIN IMMEDIATE"), release)

    def _for_a_while(self, fault: Fault, name: str, begin: Callable[[], object], end: Callable[[], object]) -> str:
        turn = self._busy.setdefault(name, threading.Lock())
        turn.acquire()
        try:
            said = begin()
        except BaseException:
            turn.release()
            raise

        def last() -> None:
            try:
                time.sleep(fault.seconds)
                end()
            except Exception as error:  # noqa: BLE001 - told by the sitting
                self.failed.append(error)
            finally:
                turn.release()

        lasting = threading.Thread(target=last, name=f"fault-{fault.number}")
        lasting.start()
        self._lasting.append(lasting)
        return f"{name} for {fault.seconds} s" + (f" ({said})" if isinstance(said, str) else "")
