"""A stream of 20 steps that have next to nothing to match, against the same flow written by hand in Prefect.

python benchmarks/overhead_20_steps.py [RUNS]

Both run on one embedded stack, in children of the same worker, and take turns. By hand, each step is a task that reads the same
two files, joins them with Polars and writes the same seven files with their checksums; it keeps no records and no lineage.
Prints median seconds from the creation of the engine's run to its end, and `ratio overhead_20_steps OURS/BY HAND`.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import httpx
import polars as pl
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from models.settings import Settings
from recon.client import Client
from recon.local import EmbeddedStack, free_port

STEPS = 20
SOURCE, TARGET = "id,amount\n1,2.00\n2,3.00\n", "id,amount\n1,2.00\n3,4.00\n"
POLL_SECONDS = 0.02
SETTLE = 1.0
"""Seconds between two runs, for the process of the one before to be gone."""


@task(cache_policy=NO_CACHE, persist_result=False)
def match(order: int, source_path: str, target_path: str, out: str) -> list[str]:
    """Seven files, as a step of a stream leaves them; their checksums."""
    source, target = pl.read_parquet(source_path), pl.read_parquet(target_path)
    frames = {
        "matched": source.join(target, on="id", suffix="_target"),
        "unmatched_source": source.join(target, on="id", how="anti"),
        "unmatched_target": target.join(source, on="id", how="anti"),
    }
    frames["exceptions"] = pl.concat([frames["unmatched_source"], frames["unmatched_target"]])
    directory = Path(out) / str(order)
    directory.mkdir(parents=True)
    for name, frame in frames.items():
        frame.write_parquet(directory / f"{name}.parquet")
        if name != "matched":
            frame.write_csv(directory / f"{name}.csv")
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())]


@flow
def by_hand(source_path: str, target_path: str, out: str) -> None:
    """What somebody would write who needs the files alone."""
    for order in range(1, STEPS + 1):
        match(order, source_path, target_path, out)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory(prefix="recon-bench-") as scratch:
        work = Path(scratch)
        settings = Settings(data_dir=work / "stack", api_port=free_port(), prefect_port=free_port(), auth=False)
        with (
            EmbeddedStack(settings) as stack,
            Client(stack.api_url) as client,
            SyncPrefectClient(api=stack.prefect_api_url) as engine,
        ):
            stream = make_stream(client, work)
            deployment = deploy(engine, settings.work_pool)
            paths = {"source_path": work / "source.parquet", "target_path": work / "target.parquet"}
            for name, path in paths.items():
                pl.read_csv(work / f"{name.partition('_')[0]}.csv", infer_schema=False).write_parquet(path)
            taken: dict[str, list[float]] = {"stream": [], "by hand": []}
            for turn in range(runs + 1):
                ours = run_stream(stack.api_url, stream, engine)
                given = {name: str(path) for name, path in paths.items()} | {"out": str(work / f"out-{turn}")}
                theirs = ended(engine, engine.create_flow_run_from_deployment(deployment, parameters=given).id)
                if turn:
                    taken["stream"].append(seconds(ours))
                    taken["by hand"].append(seconds(theirs))
    for name, values in taken.items():
        print(f"{name:8} {median(values):.2f} s  (median of {runs}; {', '.join(f'{one:.2f}' for one in values)})")
    print(f"ratio overhead_20_steps {median(taken['stream']) / median(taken['by hand']):.3f}")


def make_stream(client: Client, work: Path) -> int:
    """A stream whose steps all match the same two files."""
    files: list[int] = []
    for name, content in (("source", SOURCE), ("target", TARGET)):
        path = work / f"{name}.csv"
        path.write_text(content)
        files.append(client.upload(path)["id"])
    rules = client.create_rule_set(
        {"name": "by id", "fieldMappings": [{"sourceField": "id", "targetField": "id", "isKey": True}]}
    )["id"]
    source, target = ({"type": "FILE", "id": one} for one in files)
    steps: list[dict[str, Any]] = [
        {"stepOrder": order, "name": f"Step {order}", "ruleSetId": rules, "sourceInput": source, "targetInput": target}
        for order in range(1, STEPS + 1)
    ]
    return client.create_stream({"name": "Twenty", "domain": "GENERAL", "triggerType": "MANUAL", "steps": steps})["id"]


def deploy(engine: SyncPrefectClient, pool: str) -> UUID:
    return engine.create_deployment(
        flow_id=engine.create_flow_from_name("by hand"),
        name="by-hand",
        entrypoint="benchmarks.overhead_20_steps.by_hand",
        work_pool_name=pool,
        enforce_parameter_schema=False,
    )


def run_stream(api_url: str, stream: int, engine: SyncPrefectClient) -> FlowRun:
    """One run of the stream, as the engine saw it."""
    with httpx.Client(base_url=f"{api_url}/api/v1", timeout=60) as http:
        run_id = http.post(f"/streams/{stream}/runs", json={"triggerType": "MANUAL"}).json()["data"]["runId"]
        while (run := http.get(f"/stream-runs/{run_id}").json()["data"])["completedAt"] is None:
            time.sleep(POLL_SECONDS)
    if run["status"] != "COMPLETED":
        raise SystemExit(f"the run ended {run['status']}: {run['errorMessage']}")
    (latest, *_) = sorted(engine.read_flow_runs(), key=lambda one: str(one.created), reverse=True)
    return ended(engine, latest.id)


def ended(engine: SyncPrefectClient, flow_run_id: UUID) -> FlowRun:
    while (found := engine.read_flow_run(flow_run_id)).state is None or not found.state.is_final():
        time.sleep(POLL_SECONDS)
    if not found.state.is_completed():
        raise SystemExit(f"{found.name}: {found.state.name}: {found.state.message}")
    time.sleep(SETTLE)
    return found


def seconds(flow_run: FlowRun) -> float:
    """From the creation of the engine's run to its end."""
    if flow_run.created is None or flow_run.end_time is None:
        raise ValueError(f"{flow_run.name} has no times")
    return (flow_run.end_time - flow_run.created).total_seconds()


if __name__ == "__main__":
    main()
