"""Keeps the processes of one embedded stack running: `python -m recon.supervisor`, driven by `recon.local`.

A process of its own, so that the stack is taken down in order even when whoever started it is killed: its standard
input carries a `Plan` and then commands, and the end of that input means the same as `stop`. Its standard output
carries an `Event` a line. It adopts orphans (Linux), so that no grandchild is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from recon.processes import LOG_MARK, Component, Event, Plan

if TYPE_CHECKING:
    import httpx

_PR_SET_CHILD_SUBREAPER = 36
_POLL = 0.15
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
_STEADY_AFTER = 30.0
_TETHER = Path(__file__).with_name("tether.py")


class _Member:
    """The life of one component: at most one process at a time."""

    def __init__(self, spec: Component) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.since: datetime | None = None
        self.started_at = 0.0
        self.healthy_at: float | None = None
        self.failures = 0
        self.gone = asyncio.Event()
        self.gone.set()
        self.tasks: set[asyncio.Task[None]] = set()


class Supervisor:
    """Runs a plan until told to stop, or until a component fails before all have been healthy once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._members = {spec.name: _Member(spec) for spec in plan.components}
        self._all_healthy_once = False
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._client: httpx.AsyncClient | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        for member in self._members.values():
            if not member.spec.after:
                self._spawn(member)
        import httpx  # after the first processes are on their way: it takes a third of a second

        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as self._client:
            await self._stop.wait()
            await self._take_down()
        _say(Event("stopped"))

    def command(self, line: str) -> None:
        """`stop`, `kill` (don't wait for anyone), or the empty line that the end of the input gives (`stop`)."""
        self._stop.set()
        if line.strip() == "kill":
            self._hurry.set()

    def _spawn(self, member: _Member) -> None:
        if self._stop.is_set():
            return
        spec = member.spec
        with Path(spec.log).open("ab") as log:
            log.write(f"{LOG_MARK} {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode())
            log.flush()
            member.process = subprocess.Popen(  # noqa: S603 - the stack's own table of commands
                [sys.executable, "-S", "-E", str(_TETHER), str(os.getpid()), *spec.argv],
                env=spec.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal must reach recon up alone
            )
        member.since, member.started_at, member.healthy_at = datetime.now(UTC), time.monotonic(), None
        member.gone.clear()
        _say(Event("started", spec.name, member.process.pid))
        self._background(member, self._watch(member))

    def _background(self, member: _Member, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        member.tasks.add(task)
        task.add_done_callback(member.tasks.discard)

    async def _watch(self, member: _Member) -> None:
        """Polls until healthy. A process that isn't after the plan's limit is killed, which counts as its end."""
        process = member.process
        while process and member.process is process and not self._stop.is_set():
            healthy = self._client is not None and await self._is_healthy(self._client, member)
            if member.process is not process:
                return
            if healthy:
                member.healthy_at = time.monotonic()
                _say(Event("healthy", member.spec.name, process.pid, member.healthy_at - member.started_at))
                self._start_dependants()
                return
            if time.monotonic() - member.started_at > self._plan.start_limit:
                _signal_tree(process.pid, signal.SIGKILL)
                return
            await asyncio.sleep(_POLL)

    def _start_dependants(self) -> None:
        healthy = {name for name, member in self._members.items() if member.healthy_at is not None}
        self._all_healthy_once = self._all_healthy_once or len(healthy) == len(self._members)
        for member in self._members.values():
            if member.since is None and healthy.issuperset(member.spec.after):
                self._spawn(member)

    @staticmethod
    async def _is_healthy(client: httpx.AsyncClient, member: _Member) -> bool:
        import httpx

        check = member.spec.check
        try:
            method = "GET" if check.body is None else "POST"
            response = await client.request(method, check.url, json=check.body, headers=check.headers)
        except httpx.HTTPError:
            return False
        if response.status_code != 200 or not re.search(check.pattern, response.text):
            return False
        if not check.fresh:
            return True
        beats = [item.get("last_heartbeat_time") for item in response.json()]
        return member.since is not None and any(beat and datetime.fromisoformat(beat) > member.since for beat in beats)

    def _reap(self) -> None:
        """Collects every ended child, the adopted ones too; `Popen.wait` would only see its own."""
        by_pid = {m.process.pid: m for m in self._members.values() if m.process}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (member := by_pid.get(pid)) and member.process:
                member.process.returncode = os.waitstatus_to_exitcode(status)
                member.process = None
                self._ended(member, pid, os.waitstatus_to_exitcode(status))

    def _ended(self, member: _Member, pid: int, code: int) -> None:
        member.gone.set()
        if self._stop.is_set():
            return
        if not self._all_healthy_once:
            _say(Event("failed", member.spec.name, pid, code=code))
            self._stop.set()
            return
        if member.healthy_at is not None and time.monotonic() - member.healthy_at > _STEADY_AFTER:
            member.failures = 0
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2**member.failures)
        member.failures += 1
        member.healthy_at = None
        _say(Event("exited", member.spec.name, pid, delay, code))
        self._background(member, self._kill_orphans(self._orphans()))
        self._background(member, self._restart(member, delay))

    async def _restart(self, member: _Member, delay: float) -> None:
        await asyncio.sleep(delay)
        self._spawn(member)

    def _orphans(self) -> list[psutil.Process]:
        """Adopted processes: children of ours that are no component."""
        own = {m.process.pid for m in self._members.values() if m.process}
        return [child for child in psutil.Process().children() if child.pid not in own]

    async def _kill_orphans(self, orphans: list[psutil.Process]) -> None:
        """Ends what a dead component left, not before the grace: it may have something to report and end by itself."""
        await asyncio.sleep(self._plan.grace)
        for orphan in orphans:
            if orphan.is_running():
                _signal_tree(orphan.pid, signal.SIGKILL)

    async def _take_down(self) -> None:
        """Ends the components, the last of the table first, then whatever is left of their descendants."""
        deadline = time.monotonic() + self._plan.grace
        for member in reversed(self._members.values()):
            if member.process and not self._hurry.is_set():
                _signal(member.process.pid, signal.SIGTERM)
                # Half of what is left, so that one which hangs doesn't take the others' chance to end by themselves.
                await self._gone_within((deadline - time.monotonic()) / 2, member)
        for member in self._members.values():
            if member.process:
                _signal_tree(member.process.pid, signal.SIGKILL)
                await member.gone.wait()
        while left := psutil.Process().children(recursive=True):
            hard = self._hurry.is_set() or time.monotonic() > deadline
            for process in left:
                _signal(process.pid, signal.SIGKILL if hard else signal.SIGTERM)
            await asyncio.sleep(_POLL)

    async def _gone_within(self, seconds: float, member: _Member) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (member.gone, self._hurry)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_tree(pid: int, number: signal.Signals) -> None:
    try:
        tree: Iterable[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        tree = ()
    for number_of_process in (pid, *(process.pid for process in tree)):
        _signal(number_of_process, number)


def _say(event: Event) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more; the end of the input says so too
        sys.stdout.write(event.to_line())
        sys.stdout.flush()


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


async def _supervise() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    supervisor = Supervisor(Plan.from_line((await commands.readline()).decode()))

    async def obey() -> None:
        while line := await commands.readline():
            supervisor.command(line.decode())
        supervisor.command("")

    obeying = asyncio.create_task(obey())
    await supervisor.run()
    obeying.cancel()


if __name__ == "__main__":
    _adopt_orphans()
    asyncio.run(_supervise())
