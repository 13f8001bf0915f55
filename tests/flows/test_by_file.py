"""What prefect.yaml deploys, at a real Prefect server: every deployment runs, with what people may give it by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from recon.local import EmbeddedStack
from tests.parts.rest import Rest, step

ROOT = Path(__file__).parents[2]
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
LISTED = {
    "recon-stream/any-stream": [],
    "recon-recover/every-minute": ["* * * * *"],
    "recon-tidy/hourly": ["17 * * * *"],
    "settle-orders/example": ["30 6 * * 1-5"],
}


@pytest.fixture(scope="module")
def prefect(stack: EmbeddedStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.prefect_api_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def deployed(
    stack: EmbeddedStack, prefect: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What the file deploys, by flow and deployment name; gone at the end, for its schedules would go on."""
    kept = {one: text for one, text in os.environ.items() if not one.startswith("PREFECT")}
    home = {"PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")), "DO_NOT_TRACK": "1"}
    command = [str(Path(sys.executable).with_name("prefect")), "--no-prompt", "deploy", "--all"]
    env = {**kept, **home, "PREFECT_API_URL": stack.prefect_api_url}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {name: prefect.get(f"/deployments/name/{name}").raise_for_status().json() for name in LISTED}
    yield found
    for one in found.values():
        # A connection of its own: the server may have closed one that was idle for a while.
        httpx.delete(f"{stack.prefect_api_url}/deployments/{one['id']}", timeout=30)


def ended(prefect: httpx.Client, deployment: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    """A run of a deployment, started as the Prefect UI starts one, once it has ended."""
    deadline = time.monotonic() + 90
    while (
        made := prefect.post(f"/deployments/{deployment['id']}/create_flow_run", json={"parameters": parameters})
    ).status_code == 503:
        assert time.monotonic() < deadline, made.text  # busy: on SQLite two writers have met
        time.sleep(0.2)
    assert made.is_success, made.text
    while True:
        run = prefect.get(f"/flow_runs/{made.json()['id']}").json()
        if run["state_type"] in OVER:
            return run
        assert time.monotonic() < deadline, run["state"]
        time.sleep(0.2)


def test_schedules_are_those_of_the_file(deployed: dict[str, Any]) -> None:
    assert {name: [one["schedule"]["cron"] for one in found["schedules"]] for name, found in deployed.items()} == LISTED
    assert deployed["settle-orders/example"]["schedules"][0]["schedule"]["day_or"] is False
    assert deployed["recon-recover/every-minute"]["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"


@pytest.mark.parametrize("name", ["recon-recover/every-minute", "recon-tidy/hourly", "settle-orders/example"])
def test_what_is_listed_runs(prefect: httpx.Client, deployed: dict[str, Any], name: str) -> None:
    run = ended(prefect, deployed[name])
    assert run["state_type"] == "COMPLETED", run["state"]


def test_a_run_started_in_prefect_is_one_of_ours(rest: Rest, prefect: httpx.Client, deployed: dict[str, Any]) -> None:
    files = [rest.upload(name, text)["id"] for name, text in (("a.csv", "id\n1\n2\n"), ("b.csv", "id\n1\n"))]
    stream = rest.stream([step(1, *files, rest.rule_set(["id"]))], "From the Prefect UI")["id"]
    own = prefect.get(f"/deployments/name/From the Prefect UI ({stream})/stream-{stream}").json()
    for number, (deployment, given) in enumerate(
        ((own, {}), (deployed["recon-stream/any-stream"], {"stream_id": stream})), start=1
    ):
        assert ended(prefect, deployment, **given)["state_type"] == "COMPLETED"
        runs = rest.call("GET", f"/streams/{stream}/runs")
        assert len(runs) == number
        assert (runs[0]["status"], runs[0]["metrics"]["matchedRecords"]) == ("COMPLETED", 1)
        assert rest.artifacts(rest.steps(runs[0]["id"])[0]["id"])["UNMATCHED_SOURCE"]["rowCount"] == 1


def test_what_can_not_run_says_why(rest: Rest, prefect: httpx.Client, deployed: dict[str, Any]) -> None:
    any_stream = deployed["recon-stream/any-stream"]
    files = [rest.upload(name, "id\n1\n")["id"] for name in ("a.csv", "b.csv")]
    stream = rest.stream([step(1, *files, rest.rule_set(["id"]))], "Paused")["id"]
    rest.call("POST", f"/streams/{stream}/pause")
    expected = {
        "STREAM_NOT_FOUND: Stream not found with id: 987654": {"stream_id": 987654},
        "RUN_NOT_FOUND: StreamRun not found with id: 987654": {"stream_id": stream, "run_id": 987654},
        "RUN_PARAMETERS_MISSING: The flow needs a stream_id or a run_id": {},
        f"STREAM_NOT_ACTIVE: Stream {stream} 'Paused' is PAUSED; only an ACTIVE stream takes runs": {
            "stream_id": stream
        },
    }
    for message, parameters in expected.items():
        run = ended(prefect, any_stream, **parameters)
        assert (run["state_type"], run["state"]["message"]) == ("FAILED", message)
    assert rest.call("GET", f"/streams/{stream}/runs") == []
