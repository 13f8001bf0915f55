"""Says that the process of a run lives, and notices that it should not any more."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import TracebackType
from typing import Self

from flows.workplace import Workplace
from models import recovery
from models.errors import ReconError

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the process looks whether the run is still its own: a cancelled one must end soon."""

OWN_PROCESS = "PREFECT__FLOW_RUN_ID"
"""Set by workers in the processes that they start for a run."""


class Pulse:
    """Beats while the block lasts.

    A run that was cancelled or taken away is ended by the worker, or by the next look of its own at the rows. A process that is
    there for nothing else, and is still at it after a worker's grace, ends itself: the worker may not have been told.
    """

    def __init__(self, place: Workplace, run_id: int, engine_run_id: str) -> None:
        self._place = place
        self._run_id, self._engine_run_id = run_id, engine_run_id
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="pulse", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def _go_on(self) -> None:
        last = time.monotonic()
        while not self._over.wait(min(LOOK_SECONDS, self._place.settings.heartbeat)):
            try:
                if time.monotonic() - last < self._place.settings.heartbeat:
                    with self._place.database.read() as session:
                        held = recovery.holds(session, self._run_id, self._engine_run_id)
                else:
                    last = time.monotonic()
                    with self._place.database.write() as session:
                        held = recovery.beat(session, self._run_id, self._engine_run_id)
            except ReconError as failure:
                log.warning("no sign of life could be given: %s", failure.message)
                continue
            if not held:
                self._end()
                return

    def _end(self) -> None:
        # The worker's way is the better one: the engine then knows how the run ended.
        if self._over.wait(self._place.settings.worker_grace) or OWN_PROCESS not in os.environ:
            return
        log.warning("run %s has ended or goes on elsewhere; this process ends", self._run_id)
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
