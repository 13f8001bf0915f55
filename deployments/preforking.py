"""The worker type `recon`: each flow run gets a process of its own, forked from an interpreter that has loaded everything."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events import emit_event
from prefect.exceptions import Abort
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY
from prefect.states import Cancelled, Crashed
from prefect.utilities.engine import propose_state
from prefect.workers.base import BaseWorkerResult

from deployments import child as in_child
from deployments.engine import asking_once
from deployments.nursery import Child, Nursery
from deployments.steady import ReconJobConfiguration, SteadyWorker

_CANCEL_POLL = 0.5
_CANCEL_ANSWER = 5.0
_SETTLE_LIMIT = 1.0
_HOOKS_LIMIT = 60.0
_EXIT_LIMIT = 1.0
_STOP_LIMIT = 5.0
"""Seconds from a signal to the end of the process, whatever is in the way: of Prefect's own command, too."""


class ReconWorkerResult(BaseWorkerResult):
    """`status_code`: the exit code of the run's process, negative for a signal; 0 too if the run was cancelled."""


@dataclass
class _Running:
    """A flow run and the process that executes it."""

    flow_run: FlowRun
    configuration: ReconJobConfiguration
    child: Child
    cancelled: bool = False
    last_heartbeat: float = float("-inf")


class ReconWorker(SteadyWorker):
    """Runs flow runs as children of a preloaded forkserver.

    Every child is watched: one that dies is reported as Crashed at once, one whose run is cancelled is ended, and all of
    them end when the worker does, however it does. Their output goes where the worker's goes.
    """

    type = "recon"
    job_configuration = ReconJobConfiguration
    _description = "Execute flow runs in processes forked from a preloaded interpreter."
    _display_name = "Recon"

    def __init__(self, work_pool_name: str, **options: Any) -> None:
        # No run is fetched before it is due: it would hold one of the limited places until then.
        options["prefetch_seconds"] = 0
        super().__init__(work_pool_name, **options)
        self._nursery = Nursery()
        self._running: dict[UUID, _Running] = {}
        self._reported: set[UUID] = set()
        self._stopping = False

    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        template = super().get_default_base_job_template()
        for meaningless in ("command", "name", "labels"):
            del template["job_configuration"][meaningless], template["variables"]["properties"][meaningless]
        return template

    async def setup(self) -> None:
        _bound_stop(_STOP_LIMIT)
        self._nursery.open()  # it imports while the server is waited for
        await super().setup()
        await self._nursery.ready()
        assert self._runs_task_group is not None  # noqa: S101 - made by super().setup()
        self._runs_task_group.start_soon(self._watch)

    async def teardown(self, *exc_info: Any) -> None:
        try:
            with anyio.CancelScope(shield=True):
                if any(exc_info):
                    await self._end_all()
                while self._running and not self._stopping:
                    await anyio.sleep(_CANCEL_POLL)
            self._stopping = True
            await super().teardown(*exc_info)
        finally:
            failed = any(isinstance(error, Exception) for error in exc_info)
            _bound_exit(_EXIT_LIMIT, code=int(failed))

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ReconJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ReconWorkerResult:
        child = await self._nursery.start(in_child.run, str(flow_run.id), configuration.env)
        running = self._running[flow_run.id] = _Running(flow_run, configuration, child)
        try:
            if task_status is not None:
                task_status.started(child.pid)
            code = await self._settle(running, await child.wait())
        finally:
            child.kill()
            del self._running[flow_run.id]
        return ReconWorkerResult(identifier=str(child.pid), status_code=code)

    async def _settle(self, running: _Running, code: int) -> int:
        """Tells the server how a run ended if its process has not, and gives the exit code that counts."""
        flow_run = running.flow_run
        found = await self._insist(partial(self.client.read_flow_run, flow_run.id))
        state = found.state
        if found.infrastructure_pid not in (None, flow_run.infrastructure_pid, str(running.child.pid)):
            return code  # it runs elsewhere by now
        if running.cancelled or (state is not None and state.is_cancelling()):
            # The engine may have come to an end of its own in time; a crash is what it takes a kill for.
            if state is None or not state.is_final() or state.is_crashed():
                cancelled = Cancelled(message="Cancelled by the worker")
                await self._insist(partial(self.client.set_flow_run_state, flow_run.id, cancelled, force=True))
                await self._call_hooks(running)
            return 0
        if code == 0 and not (state is None or state.is_running() or state.is_pending()):
            return code
        ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        crashed = Crashed(message=f"The process of this run {ended}")
        self._reported.add(flow_run.id)
        with contextlib.suppress(Abort):  # it has told after all
            now = await self._insist(partial(propose_state, self.client, crashed, flow_run_id=flow_run.id))
            if now.is_crashed() and now.message == crashed.message:
                await self._call_hooks(running)
        return code

    async def _call_hooks(self, running: _Running) -> None:
        """A killed process can't call its flow's hooks; another one does."""
        if self._stopping:
            return
        child = await self._nursery.start(in_child.run_hooks, str(running.flow_run.id), running.configuration.env)
        with anyio.move_on_after(_HOOKS_LIMIT):
            await child.wait()
        child.kill()

    async def _setup_cancellation_observer(self) -> None:
        """Not Prefect's: it lets go of a run as soon as that has started. See `_watch`."""

    async def _propose_crashed_state(
        self, flow_run: FlowRun, message: str, client: PrefectClient | None = None
    ) -> None:
        if flow_run.id not in self._reported:
            await super()._propose_crashed_state(flow_run, message, client)
        self._reported.discard(flow_run.id)

    async def _watch(self) -> None:
        """Ends cancelled runs and sends the heartbeats of the living ones."""
        while not self._stopping:
            await anyio.sleep(_CANCEL_POLL)
            try:
                self._send_heartbeats()
                await self._end_cancelled()
            except Exception:
                self._logger.debug("Could not ask for cancelled runs", exc_info=True)

    async def _end_cancelled(self) -> None:
        ids = [flow_run_id for flow_run_id, running in self._running.items() if not running.cancelled]
        if not ids:
            return
        cancelling = FlowRunFilter(
            id=FlowRunFilterId(any_=ids),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])),
        )
        with asking_once(), anyio.fail_after(_CANCEL_ANSWER):
            found = await self.client.read_flow_runs(flow_run_filter=cancelling)
        for flow_run in found:
            if (running := self._running.get(flow_run.id)) and self._runs_task_group:
                running.cancelled = True
                self._runs_task_group.start_soon(self._end, running.child, in_child.CANCEL)

    async def _end(self, child: Child, order: bytes) -> None:
        child.order(order)
        with anyio.move_on_after(self._settings.worker_grace):
            await child.ended.wait()
            return
        child.kill()

    async def _end_all(self) -> None:
        self._stopping = True
        async with anyio.create_task_group() as ending:
            for running in self._running.values():
                ending.start_soon(self._end, running.child, in_child.STOP)
        with anyio.move_on_after(_SETTLE_LIMIT):
            while self._running:
                await anyio.sleep(_CANCEL_POLL / 10)

    def _send_heartbeats(self) -> None:
        """Prefect's zombie detection waits for these; the engine sends none here."""
        frequency, now = PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value(), time.monotonic()
        for running in self._running.values():
            if frequency is not None and now - running.last_heartbeat >= frequency:
                running.last_heartbeat = now
                emit_event(
                    "prefect.flow-run.heartbeat",
                    resource={
                        "prefect.resource.id": f"prefect.flow-run.{running.flow_run.id}",
                        "prefect.resource.name": running.flow_run.name,
                    },
                    related=self._event_related_resources(running.configuration, include_self=True),
                )


def _bound_stop(seconds: float) -> None:
    """Has SIGTERM and SIGINT end the process in time; what they do by themselves, they still do first."""
    if threading.current_thread() is not threading.main_thread():
        return

    def leave() -> None:
        time.sleep(seconds)
        sys.stdout.flush()
        os._exit(0)

    def bound(handler: Callable[[int, FrameType | None], object], number: int, frame: FrameType | None) -> None:
        threading.Thread(target=leave, daemon=True).start()
        handler(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        given = signal.getsignal(number)
        if callable(given):
            signal.signal(number, partial(bound, given))


def _bound_exit(seconds: float, code: int) -> None:
    """Bounds the interpreter's exit, where Prefect's services wait for a server that may have gone."""
    leaving = threading.Event()

    def leave() -> None:
        leaving.wait()
        time.sleep(seconds)
        sys.stdout.flush()
        os._exit(code)

    threading.Thread(target=leave, daemon=True).start()
    threading._register_atexit(leaving.set)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
