"""The examples of docs/examples, run as a newcomer runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from recon.local import EmbeddedStack
from tests.parts.rest import Rest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def run(name: str, cwd: Path, **variables: str) -> str:
    """What an example prints, run in a folder of its own, with nothing of our environment about Prefect or Recon."""
    kept = {one: text for one, text in os.environ.items() if not one.startswith(("PREFECT", "RECON"))}
    env = {**kept, "PREFECT_HOME": str(cwd / "prefect"), "DO_NOT_TRACK": "1", **variables}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_two_frames_without_a_server(tmp_path: Path) -> None:
    printed = run("two_frames.py", tmp_path, PREFECT_API_URL="http://127.0.0.1:1/api")
    assert "Orders: COMPLETED" in printed
    assert "orders vs payments: COMPLETED, 3 matched of 6 and 4, 5 exceptions" in printed
    assert "VALUE_MISMATCH" in printed
    assert pl.read_csv(tmp_path / "result" / "step-1" / "unmatched_source.csv").height == 3
    assert not (tmp_path / "prefect").exists()


def test_a_flow_of_ones_own_at_a_prefect_server(stack: EmbeddedStack, tmp_path: Path) -> None:
    printed = run("own_flow.py", tmp_path, PREFECT_API_URL=stack.prefect_api_url)
    assert "the rest vs the bank: COMPLETED, 2 matched of 3 and 2" in printed
    for step in ("payments", "bank"):
        assert len(list((tmp_path / "result" / step).iterdir())) == 7
    left = pl.read_parquet(tmp_path / "result" / "bank" / "matched.parquet")
    assert left.select("source_file_id", "source_row", "target_file_id").rows() == [(1, 4, 3), (1, 5, 3)]
    with httpx.Client(base_url=stack.prefect_api_url, timeout=30) as prefect:
        (flow_run,) = re.findall(r"/runs/flow-run/([0-9a-f-]{36})", printed)
        mine = {"flow_runs": {"id": {"any_": [flow_run]}}}
        tables = prefect.post("/artifacts/filter", json=mine).json()
        assert sorted(one["key"] for one in tables) == ["orders-vs-payments-result", "the-rest-vs-the-bank-result"]
        assert '"rows": "matched", "count": "3"' in next(
            one["data"] for one in tables if one["key"].startswith("orders")
        )
        deadline, tasks = time.monotonic() + 30, list[dict[str, Any]]()
        while len(tasks) < 2 and time.monotonic() < deadline:  # recorded from events, a little later
            tasks = prefect.post("/task_runs/filter", json=mine).json()
            time.sleep(0.2)
        assert sorted(one["name"] for one in tasks) == ["orders vs payments", "the rest vs the bank"]
        assert not any(one["cache_key"] for one in tasks)
    assert not list((tmp_path / "prefect").glob("storage/*"))


def test_a_stream_as_code_with_a_schedule(stack: EmbeddedStack, rest: Rest, tmp_path: Path) -> None:
    for _ in range(2):  # deploying again changes the same stream
        printed = run("scheduled_stream.py", tmp_path, RECON_API_URL=stack.api_url, RECON_API_TOKEN=rest.token)
        assert "Settlement as code: COMPLETED" in printed
        assert "['O-1006']" in printed
    (stream,) = (one for one in rest.call("GET", "/streams") if one["name"] == "Settlement as code")
    detail = rest.call("GET", f"/streams/{stream['id']}")
    assert detail["triggerConfig"] == {"cron": "0 30 6 * * MON-FRI", "timezone": "Europe/Berlin"}
    assert f"prefect deployment run 'Settlement as code ({stream['id']})/stream-{stream['id']}'" in printed
    assert len(rest.call("GET", f"/streams/{stream['id']}/runs")) == 2


def test_the_rest_api(stack: EmbeddedStack, rest: Rest, tmp_path: Path) -> None:
    printed = run("over_rest.py", tmp_path, RECON_API_URL=stack.api_url, RECON_API_TOKEN=rest.token)
    assert printed.startswith("COMPLETED {'totalSteps': 1, 'completedSteps': 1")
    assert printed.count(" True") == 4
