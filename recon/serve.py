"""Runs one web server: `python -m recon.serve prefect|api HOST PORT`, or `recon api`.

Prefect's own `prefect server start` does the same after asking about profiles, which are the user's business.
"""

from __future__ import annotations

import gc
import importlib
import sys
import threading
import time

import uvicorn

_FACTORIES = {"prefect": "prefect.server.api.server", "api": "api.app"}
_GRACE = 3
_COLLECT_SECONDS = 5


def _collect_elsewhere() -> None:
    """Collects garbage outside the event loop's thread, for good.

    Prefect's database connections each work in a thread of their own. A collection in the loop's thread that frees a SQLite
    cursor waits for that cursor's connection; if the connection waits for the write lock, and whoever holds the lock waits
    for the loop, all of them wait until SQLite gives up, which is a minute.
    """
    while True:
        time.sleep(_COLLECT_SECONDS)
        gc.collect()


def serve(name: str, host: str, port: int) -> None:
    """Serves `prefect` or `api` until SIGTERM or SIGINT, in the main thread."""
    # Imports make hundreds of thousands of objects that stay for good: the collector need not go through them.
    gc.disable()
    module = importlib.import_module(_FACTORIES[name])
    gc.freeze()
    if name == "prefect":
        threading.Thread(target=_collect_elsewhere, name="collector", daemon=True).start()
    else:
        gc.enable()
    uvicorn.run(
        module.create_app,
        factory=True,
        host=host,
        port=port,
        log_level="warning" if name == "prefect" else "info",
        access_log=False,
        timeout_graceful_shutdown=_GRACE,  # event streams of clients stay open for ever
    )


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
