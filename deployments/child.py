"""What runs in the process of one flow run, forked from the preloaded forkserver."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from inspect import iscoroutine
from multiprocessing.connection import Connection
from types import GeneratorType
from typing import Any, cast
from uuid import UUID

import prefect.context
from prefect._internal import control_listener
from prefect.client.orchestration import get_client
from prefect.context import SettingsContext, SyncClientContext, refresh_global_settings_context
from prefect.engine import handle_engine_signals
from prefect.events.worker import EventsWorker
from prefect.flow_engine import load_flow, load_flow_run, run_flow
from prefect.logging.handlers import APILogWorker
from prefect.logging.loggers import flow_run_logger
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY
from prefect.states import Crashed

from deployments.nursery import share_forkserver

CANCEL, STOP = b"cancel", b"stop"
"""The worker's orders: end as cancelled; end."""

_LAST_WORDS = 2.0
"""Seconds a process has for what it still wants to tell the server."""

_inherited: dict[str, str] = {}
"""The settings made in the forkserver. Making them anew takes 80 ms: only where a run's own are different."""


def run(control: Connection, flow_run_id: str, env: Mapping[str, str]) -> None:
    """Executes a flow run with Prefect's engine and ends the process.

    Exit code 0: the engine has reported how the run ended (or that it goes on later). Anything else: it has not.
    """
    _become(control, UUID(flow_run_id), env)
    _leave_after(lambda: _execute(UUID(flow_run_id)))


def run_hooks(control: Connection, flow_run_id: str, env: Mapping[str, str]) -> None:
    """Calls the hooks of a flow run whose own process was killed: `on_cancellation` or `on_crashed`, by its state."""
    _become(control, UUID(flow_run_id), env)
    _leave_after(lambda: _call_hooks(UUID(flow_run_id)))


def settle_in() -> None:
    """Prepares the settings that all children share. Called in the forkserver, by the preloading.

    The engine's heartbeats are off: their thread holds up the end of a run by a second, and the worker sends them.
    """
    given = prefect.context.GLOBAL_SETTINGS_CONTEXT
    _inherited.update(given.settings.to_environment_variables(exclude_unset=True))
    settings = given.settings.copy_with_update(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    SettingsContext(profile=given.profile, settings=settings).__enter__()


def _become(control: Connection, flow_run_id: UUID, env: Mapping[str, str]) -> None:
    share_forkserver()
    os.setpgid(0, 0)  # killed with everything it starts; a Ctrl-C in the terminal is the worker's
    os.environ.update(env)
    if any(_inherited.get(name) != value for name, value in env.items() if _is_setting(name)):
        refresh_global_settings_context()
        settle_in()
    threading.Thread(target=_obey, args=(control, flow_run_id), daemon=True).start()


def _is_setting(name: str) -> bool:
    """Whether a variable is a setting of Prefect's that concerns a run."""
    return name.startswith("PREFECT_") and not name.startswith(("PREFECT__", "PREFECT_WORKER_"))


def _execute(flow_run_id: UUID) -> None:
    # One client for all that is asked before, in and after the flow: making one takes as long as several requests.
    with handle_engine_signals(flow_run_id), SyncClientContext.get_or_create():
        flow_run = load_flow_run(flow_run_id)
        logger = flow_run_logger(flow_run)
        try:
            flow = load_flow(flow_run)
        except Exception:
            logger.exception("The flow of this run could not be loaded")
            raise
        # As a state, a failed run is no exception here; a flow that yields can only give its results.
        returned = "result" if flow.isgenerator else "state"
        outcome: object = run_flow(
            flow, flow_run=flow_run, return_type=returned, error_logger=cast(logging.Logger, logger)
        )
        if iscoroutine(outcome):
            asyncio.run(outcome)
        elif isinstance(outcome, GeneratorType):
            deque(outcome, maxlen=0)


def _call_hooks(flow_run_id: UUID) -> None:
    flow_run = load_flow_run(flow_run_id)
    flow, state, logger = load_flow(flow_run), flow_run.state, flow_run_logger(flow_run)
    if state is None:
        return
    hooks = flow.on_cancellation_hooks if state.is_cancelled() else flow.on_crashed_hooks if state.is_crashed() else []
    for hook in hooks:
        try:
            outcome: Any = hook(flow=flow, flow_run=flow_run, state=state)  # pyright: ignore[reportCallIssue]
            if iscoroutine(outcome):
                asyncio.run(outcome)
        except Exception:
            logger.exception("A hook failed: %r", hook)


def _leave_after(work: Callable[[], None]) -> None:
    """Ends the process after `work`, however it ends, with what is queued for the server sent first.

    A forked process leaves without the interpreter's exit handlers, which would wait for ever for a server that has gone.
    """
    status = 1
    try:
        work()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - the process ends here, its exit code tells
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            APILogWorker.drain_all(timeout=_LAST_WORDS)
            EventsWorker.drain_all(timeout=_LAST_WORDS)
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _obey(control: Connection, flow_run_id: UUID) -> None:
    """Waits for one order of the worker; the worker's death closes the connection."""
    try:
        order = control.recv_bytes()
    except (EOFError, OSError):
        order = None
    if order == CANCEL:
        # With the intent the engine ends the run as Cancelled and runs its hooks; a SIGTERM without one is a crash to it.
        control_listener._set_intent("cancel")  # pyright: ignore[reportPrivateUsage]
    if order is not None:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_LAST_WORDS / 2)  # the engine reports the crash by itself unless it is inside a native call
    reporter = threading.Thread(target=_report_orphan, args=(flow_run_id,), daemon=True)
    reporter.start()
    reporter.join(_LAST_WORDS / 2)
    os.killpg(0, signal.SIGKILL)


def _report_orphan(flow_run_id: UUID) -> None:
    with contextlib.suppress(Exception), get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Crashed(message="The worker of this run has died"))
