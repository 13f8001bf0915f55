"""`python -m deployments.worker`: takes runs from a work pool until SIGTERM or SIGINT.

Runs of a pool of type `recon` are executed by our worker; for one of another type, Prefect's own command takes this process over.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from prefect.settings import PREFECT_WORKER_QUERY_SECONDS, get_current_settings, temporary_settings

from deployments.engine import engine_settings
from deployments.preforking import ReconWorker
from deployments.steady import PoolOfAnotherType
from models.settings import Settings

__all__ = ["ReconWorker", "main", "work"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a worker. Options left out are taken from the settings."""
    parser = argparse.ArgumentParser(prog="python -m deployments.worker", description="Run flow runs of a work pool.")
    parser.add_argument("--pool", help="work pool, created if missing (RECON_WORK_POOL)")
    parser.add_argument("--limit", type=int, help="flow runs at the same time (RECON_WORKER_LIMIT)")
    parser.add_argument("--query-seconds", type=float, help="how often to ask for runs (RECON_WORKER_QUERY)")
    given = parser.parse_args(arguments)
    chosen = {"work_pool": given.pool, "worker_limit": given.limit, "worker_query": given.query_seconds}
    work(Settings(**{name: value for name, value in chosen.items() if value is not None}))


def work(settings: Settings) -> None:
    """Runs a worker in this process, or turns it into one of Prefect's."""
    pool_type = settings.work_pool_type
    if pool_type == ReconWorker.type:
        try:
            asyncio.run(_serve(ReconWorker(settings.work_pool, settings=settings)))
        except PoolOfAnotherType as other:
            pool_type = other.pool_type
        else:
            return
    _become_prefect_worker(settings, pool_type)


def _become_prefect_worker(settings: Settings, pool_type: str) -> NoReturn:
    """The environment is passed on: runs find `RECON_*` in it where they are processes of the worker's machine."""
    with temporary_settings(engine_settings(settings) | {PREFECT_WORKER_QUERY_SECONDS: settings.worker_query}):
        prefect = get_current_settings().to_environment_variables(exclude_unset=True)
    limit = str(settings.worker_limit)
    options = ["--pool", settings.work_pool, "--type", pool_type, "--limit", limit, "--install-policy", "never"]
    sys.stdout.flush()
    os.execve(  # noqa: S606 - Prefect's command, in this interpreter
        sys.executable, [sys.executable, "-m", "prefect", "worker", "start", *options], {**os.environ, **prefect}
    )


async def _serve(worker: ReconWorker) -> None:
    working = asyncio.create_task(worker.start())

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([working, stop], return_when=asyncio.FIRST_COMPLETED)
    if stopping.is_set():
        working.cancel()  # once: another signal must not disturb the end
    stop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


if __name__ == "__main__":
    main()
