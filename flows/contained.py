"""Work in a process of its own that can be ended at any moment, also inside a native call.

The process is forked by a forkserver: the worker's, where the caller is one of its children (see `deployments.nursery`), or one
that is started for the purpose.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

from deployments.nursery import without_main_module
from matching.errors import ReconError

PRELOAD = "flows.step"
LONGEST_START = 60.0
"""Seconds until a process has to have begun."""

LAST_STEPS = 5.0
"""Seconds a process may take to leave after it has given its result."""

Result = TypeVar("Result")


class StepTimeout(ReconError):
    """An attempt took longer than its step's `timeoutSeconds`."""

    code = "STEP_TIMEOUT"
    retryable = True


class ProcessLost(ReconError):
    """The process of an attempt ended without a word: it was killed, or took more memory than there is."""

    code = "WORKER_LOST"
    retryable = True


def contained(seconds: float, target: Callable[..., Result], *args: Any) -> Result:
    """What `target(*args)` gives; all of them are pickled. `target` is to return its failures, not to raise them.

    Raises StepTimeout `seconds` after it has begun, and ProcessLost if the process ends without a result; it is gone in both
    cases.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD])
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, os.getpgid(0), target, args), daemon=True)
    try:
        with without_main_module():
            process.start()
        there.close()
        try:
            # A forkserver that is still importing is none of the attempt's time.
            if not wait([here, process.sentinel], LONGEST_START):
                raise ProcessLost(f"The attempt's process did not begin within {LONGEST_START:g} s")
            here.recv()
            if not wait([here, process.sentinel], seconds):
                raise StepTimeout(f"The attempt took longer than {seconds:g} s and was ended", seconds=seconds)
            result = cast(Result, here.recv())
        except EOFError:
            process.join(LAST_STEPS)
            raise ProcessLost(f"The attempt's process ended with exit code {process.exitcode}") from None
        process.join(LAST_STEPS)
        return result
    finally:
        if process.pid is not None:
            if process.exitcode is None:
                process.kill()
                process.join()
            process.close()
        here.close()


def _serve(connection: Connection, group: int, target: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with suppress(OSError):
        # Killed together with the process that it works for.
        os.setpgid(0, group)
    threading.Thread(target=_leave_with, args=(connection,), daemon=True).start()
    status = 1
    try:
        connection.send(None)
        connection.send(target(*args))
        status = 0
    except BaseException:  # noqa: BLE001 - the process ends here, its exit code tells
        traceback.print_exc()
    finally:
        os._exit(status)


def _leave_with(connection: Connection) -> None:
    """Ends this process when the one that it works for is gone."""
    try:
        connection.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
