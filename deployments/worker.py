"""`python -m deployments.worker`: takes runs from a work pool of type `recon` until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Sequence

from deployments.preforking import ReconWorker
from models.settings import Settings

__all__ = ["ReconWorker", "main"]

_STOP_LIMIT = 5.0
"""Seconds from the signal to the end of the process, whatever is in the way."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a worker. Options left out are taken from the settings."""
    parser = argparse.ArgumentParser(prog="python -m deployments.worker", description="Run flow runs of a work pool.")
    parser.add_argument("--pool", help="work pool of type recon, created if missing (RECON_WORK_POOL)")
    parser.add_argument("--limit", type=int, help="flow runs at the same time (RECON_WORKER_LIMIT)")
    parser.add_argument("--query-seconds", type=float, help="how often to ask for runs (RECON_WORKER_QUERY)")
    given = parser.parse_args(arguments)
    chosen = {"work_pool": given.pool, "worker_limit": given.limit, "worker_query": given.query_seconds}
    settings = Settings(**{name: value for name, value in chosen.items() if value is not None})
    # No run is fetched before it is due: it would hold one of the limited places until then.
    asyncio.run(_serve(ReconWorker(settings.work_pool, settings=settings, prefetch_seconds=0)))


async def _serve(worker: ReconWorker) -> None:
    working = asyncio.create_task(worker.start())

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([working, stop], return_when=asyncio.FIRST_COMPLETED)
    if stopping.is_set():
        threading.Thread(target=_leave, daemon=True).start()
        working.cancel()  # once: another signal must not disturb the end
    stop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


def _leave() -> None:
    time.sleep(_STOP_LIMIT)
    os._exit(0)


if __name__ == "__main__":
    main()
