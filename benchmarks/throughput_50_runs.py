"""50 runs queued at once, with Prefect's server and our tables on PostgreSQL: our worker against Prefect's own process worker.

python benchmarks/throughput_50_runs.py [RUNS]

Both take runs of the same stream of one small step, eight at the same time, one after the other on a stack of their own.
Prints runs per second from the first request to the last end, `lost N` (runs that did not complete, or steps that did not
leave their four artifacts) and `ratio throughput_50_runs OURS/THEIRS`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from models.settings import Settings
from recon.client import Client
from recon.local import EmbeddedStack, free_port
from tests.parts.postgres import new_database, postgres_server

POOLS = ("recon", "process")
AT_ONCE = 8
POLL_SECONDS = 0.2
LIMIT_SECONDS = 900.0
ARTIFACTS = 4


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    rates: dict[str, float] = {}
    lost = 0
    for pool in POOLS:
        with postgres_server(for_prefect=True) as url, TemporaryDirectory(prefix="recon-bench-") as scratch:
            settings = Settings(
                data_dir=Path(scratch) / "stack",
                database_url=new_database(url, "recon"),
                prefect_database_url=new_database(url, "prefect"),
                auth=False,
                api_port=free_port(),
                prefect_port=free_port(),
                work_pool=pool,
                work_pool_type=pool,
                worker_limit=AT_ONCE,
            )
            with EmbeddedStack(settings) as stack, Client(stack.api_url) as client:
                stream = make_stream(client, Path(scratch))
                with httpx.Client(base_url=f"{stack.api_url}/api/v1", timeout=120) as http:
                    measure(http, stream, 1)
                    seconds, missing = measure(http, stream, runs)
        rates[pool] = (runs - missing) / seconds
        lost += missing
        print(f"{pool:8} {runs} runs in {seconds:.1f} s: {rates[pool]:.2f} a second, {missing} lost", flush=True)
    print(f"lost {lost}")
    print(f"ratio throughput_50_runs {rates['recon'] / rates['process']:.3f}")
    if lost:
        raise SystemExit(1)


def make_stream(client: Client, scratch: Path) -> int:
    """A stream of one step that matches two small files; its runs may overlap."""
    files: list[int] = []
    for name, last in (("source", 2), ("target", 3)):
        path = scratch / f"{name}.csv"
        path.write_text(f"id,amount\n1,2.00\n{last},3.00\n")
        files.append(client.upload(path)["id"])
    rules = client.create_rule_set(
        {"name": "by id", "fieldMappings": [{"sourceField": "id", "targetField": "id", "isKey": True}]}
    )["id"]
    source, target = ({"type": "FILE", "id": one} for one in files)
    step = {"stepOrder": 1, "name": "Only", "ruleSetId": rules, "sourceInput": source, "targetInput": target}
    body = {"name": "Many", "domain": "GENERAL", "triggerType": "MANUAL", "triggerConfig": {"concurrency": "ALLOW"}}
    return client.create_stream(body | {"steps": [step]})["id"]


def measure(http: httpx.Client, stream: int, runs: int) -> tuple[float, int]:
    """Seconds from the first request to the end of the last run, and how many runs were lost."""
    began = time.time()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        run_ids = list(threads.map(lambda _: start(http, stream), range(runs)))
    while open_runs(http, run_ids) and time.time() - began < LIMIT_SECONDS:
        time.sleep(POLL_SECONDS)
    taken = time.time() - began
    return taken, sum(not whole(http, run_id) for run_id in run_ids)


def start(http: httpx.Client, stream: int) -> int:
    answer = http.post(f"/streams/{stream}/runs", json={"triggerType": "MANUAL"})
    return int(answer.raise_for_status().json()["data"]["runId"])


def open_runs(http: httpx.Client, run_ids: Sequence[int]) -> bool:
    """Asks from the last one on: most of the time that is enough."""
    return any(look(http, f"/stream-runs/{run_id}")["completedAt"] is None for run_id in reversed(run_ids))


def whole(http: httpx.Client, run_id: int) -> bool:
    if look(http, f"/stream-runs/{run_id}")["status"] != "COMPLETED":
        return False
    (step,) = look(http, f"/stream-runs/{run_id}/steps")
    artifacts = look(http, f"/step-runs/{step['id']}/artifacts")
    return step["attemptNo"] == 1 and len(artifacts) == ARTIFACTS


def look(http: httpx.Client, path: str) -> Any:
    return http.get(path).raise_for_status().json()["data"]


if __name__ == "__main__":
    main()
