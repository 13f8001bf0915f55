"""POST …/runs to COMPLETED for the demo's three steps, and where the time goes. Absolute seconds, median of several runs.

python benchmarks/stream_run.py [RUNS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

import httpx

from models.settings import Settings
from recon import template
from recon.client import Client
from recon.ecommerce import generate
from recon.local import EmbeddedStack, free_port

TARGETS = ("marketplace_orders.csv", "gateway_settlements.csv", "bank_credits.csv")
POLL_SECONDS = 0.02


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(prefix="recon-bench-") as scratch:
        work = Path(scratch)
        generate(work)
        settings = Settings(data_dir=work / "stack", api_port=free_port(), prefect_port=free_port(), auth=False)
        began = time.perf_counter()
        with EmbeddedStack(settings) as stack, Client(stack.api_url) as client:
            print(f"stack ready after {time.perf_counter() - began:.1f} s")
            source = client.upload(work / "oms_orders.csv")["id"]
            targets = [client.upload(work / name)["id"] for name in TARGETS]
            rule_sets = [client.create_rule_set(body)["id"] for body in template.rule_sets()]
            stream = client.create_stream(template.stream("Settlement", source, targets, rule_sets))["id"]
            parts = [measure(stack.api_url, stream) for _ in range(runs + 1)][1:]
        medians = {name: median(part[name] for part in parts) for name in parts[0]}
        for name, seconds in medians.items():
            print(f"{name:<40}{seconds:8.3f} s")
        print(f"ratio stream_run_seconds {medians['POST to COMPLETED']:.3f}")


def measure(api_url: str, stream: int) -> dict[str, float]:
    """One run: seconds of each part, by the server's own times where it has them."""
    with httpx.Client(base_url=f"{api_url}/api/v1", timeout=60) as http:
        began = time.time()
        created = http.post(f"/streams/{stream}/runs", json={"triggerType": "MANUAL"}).json()["data"]
        answered = time.time()
        while True:
            run = http.get(f"/stream-runs/{created['runId']}").json()["data"]
            if run["completedAt"] is not None:
                break
            time.sleep(POLL_SECONDS)
        seen = time.time()
        steps = http.get(f"/stream-runs/{created['runId']}/steps").json()["data"]
    if run["status"] != "COMPLETED":
        raise SystemExit(f"the run ended {run['status']}: {run['errorMessage']}")
    times = {"started": seconds(run["startedAt"]), "completed": seconds(run["completedAt"])}
    parts = {"POST answered": answered - began, "POST to RUNNING": times["started"] - began}
    parts["RUNNING to first step IN_PROGRESS"] = seconds(steps[0]["startedAt"]) - times["started"]
    for step in steps:
        parts[f"step {step['stepOrder']}"] = seconds(step["completedAt"]) - seconds(step["startedAt"])
    working = sum(parts[f"step {step['stepOrder']}"] for step in steps)
    between = times["completed"] - seconds(steps[0]["startedAt"]) - working
    parts["between and after steps"] = between
    parts["POST to COMPLETED"] = seen - began
    return parts


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
