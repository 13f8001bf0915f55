"""From the creation of a flow run to its first line of code: our worker against Prefect's own process worker.

python benchmarks/start_latency.py [RUNS]

Both poll one server every 0.3 s and take turns; every run is of the same flow. Prints the median seconds of each (to the
first line, and to the final state) and `ratio start_latency OURS/THEIRS` of the first lines.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate

from tests.parts.prefect import PrefectServer, prefect_server

ROOT = Path(__file__).parents[1]
QUERY_SECONDS = "0.3"
COMMANDS = {
    "recon": ["deployments.worker", "--pool", "recon", "--query-seconds", QUERY_SECONDS],
    "process": ["prefect", "worker", "start", "--type", "process", "--pool", "process"],
}
SETTLE = 1.0
"""Seconds between two runs, for the process of the one before to be gone."""


@flow
def stamped(path: str) -> None:
    """Does nothing but say when it reached its own code."""
    reached = time.time()
    Path(path).write_text(str(reached))


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    taken: dict[str, list[tuple[float, float]]] = {pool: [] for pool in COMMANDS}
    with (
        TemporaryDirectory() as home,
        prefect_server() as server,
        SyncPrefectClient(api=server.api_url) as client,
        contextlib.ExitStack() as workers,
    ):
        deployments = {pool: deploy(client, pool) for pool in COMMANDS}
        for pool, command in COMMANDS.items():
            workers.enter_context(started(server, command, Path(home) / f"{pool}.log"))
        for turn in range(runs + 1):
            for pool, deployment_id in deployments.items():
                seconds = measure(client, deployment_id, Path(home) / f"{pool}-{turn}")
                if turn:
                    taken[pool].append(seconds)
    for pool, pairs in taken.items():
        first, final = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{pool:8} first line {first:.2f} s  final state {final:.2f} s  (median of {runs})")
    ours, theirs = (statistics.median(first for first, _ in taken[pool]) for pool in COMMANDS)
    print(f"ratio start_latency {ours / theirs:.3f}")


def deploy(client: SyncPrefectClient, pool: str) -> UUID:
    client.create_work_pool(WorkPoolCreate(name=pool, type=pool))
    return client.create_deployment(
        flow_id=client.create_flow_from_name("stamped"),
        name=pool,
        entrypoint="benchmarks.start_latency.stamped",
        work_pool_name=pool,
        enforce_parameter_schema=False,
    )


@contextlib.contextmanager
def started(server: PrefectServer, command: list[str], log: Path) -> Iterator[None]:
    env = {**server.client_env, "PYTHONPATH": str(ROOT), "PREFECT_WORKER_QUERY_SECONDS": QUERY_SECONDS}
    with log.open("wb") as sink:
        process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=env, stdout=sink, stderr=sink)
    try:
        while "started!" not in log.read_text():
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def measure(client: SyncPrefectClient, deployment_id: UUID, path: Path) -> tuple[float, float]:
    """Seconds from the request for a run to its first line, and to its final state."""
    begun = time.time()
    run = client.create_flow_run_from_deployment(deployment_id, parameters={"path": str(path)})
    while (state := client.read_flow_run(run.id).state) is None or not state.is_final():
        time.sleep(0.02)
    ended = time.time()
    if not state.is_completed():
        raise RuntimeError(f"{state.name}: {state.message}")
    time.sleep(SETTLE)
    return float(path.read_text()) - begun, ended - begun


if __name__ == "__main__":
    main()
