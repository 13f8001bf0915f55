"""The whole stack on a real PostgreSQL and a real S3 server."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from models.storage import Storage
from recon.local import EmbeddedStack, free_port
from tests.parts import survival
from tests.parts.postgres import new_database, postgres_server
from tests.parts.rest import Rest, step
from tests.parts.s3 import S3Server, s3_server
from tests.parts.survival import Material

PASSWORD = secrets.token_hex(16)


@dataclass(frozen=True)
class Real:
    """A stack on PostgreSQL (our tables and Prefect's) and S3, whose Prefect server asks for a log-in."""

    stack: EmbeddedStack
    rest: Rest
    s3: S3Server
    every_minute: int
    """A stream that fires every minute from the beginning on, while the other tests run."""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with postgres_server(for_prefect=True) as url, s3_server() as s3:
        settings = s3.settings(
            "streams",
            tmp_path_factory.mktemp("real"),
            database_url=url,
            prefect_database_url=new_database(url, "prefect"),
            prefect_auth=f"recon:{PASSWORD}",
            api_port=free_port(),
            prefect_port=free_port(),
            retry_base=1.5,
            heartbeat=1,
            lost_after=15,
            engine_start=15,
        )
        with EmbeddedStack(settings) as stack, Rest(stack.api_url) as rest:
            files = [rest.upload(f"{name}.csv", "id\n1\n")["id"] for name in "ab"]
            trigger = {"triggerType": "SCHEDULED", "triggerConfig": {"cron": "0 * * * * *", "timezone": "UTC"}}
            steps = [step(1, *files, rest.rule_set(["id"]))]
            yield Real(stack, rest, s3, rest.stream(steps, "Every minute", **trigger)["id"])


@pytest.fixture(scope="module")
def material(real: Real) -> Material:
    return Material(real.rest)


def test_a_stream_runs_and_nothing_is_kept_on_the_machine(real: Real) -> None:
    rest = real.rest
    files = [rest.upload(f"{name}.csv", f"id,amt\n1,40.00\n{name},5\n")["id"] for name in "abc"]
    rules = rest.rule_set(["id"])
    steps = [step(1, files[0], files[1], rules), step(2, ("STEP_OUTPUT_UNMATCHED_SOURCE", 1), files[2], rules)]
    run = rest.ended(run_id := rest.run(rest.stream(steps)["id"]))
    assert run["status"] == "COMPLETED", run
    first, second = rest.steps(run_id)
    left = rest.artifacts(second["id"])["UNMATCHED_SOURCE"]
    content = rest.download(left["downloadUrl"])
    assert content.decode().splitlines()[1:] == [f"a,5,{files[0]},2,MISSING"]
    assert left["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert rest.artifacts(first["id"])["MATCHED"]["rowCount"] == 1
    stored = Storage.from_settings(real.stack.settings)
    assert len([path for path in stored.list("") if f"/run-{run_id}/" in path and "/attempt-1/" in path]) == 2 * 7
    data_dir = real.stack.data_dir
    assert not any((data_dir / name).exists() for name in ("files", "recon.db", "prefect/prefect.db"))


def test_the_storage_may_be_away_when_a_step_begins(real: Real) -> None:
    """It comes back while the step waits for its next attempt."""
    rest, s3 = real.rest, real.s3
    files = [rest.upload(f"{name}.csv", "id\n1\n")["id"] for name in "ab"]
    stream = rest.stream([step(1, *files, rest.rule_set(["id"]), maxRetries=20)])["id"]
    s3.stop()
    run_id = rest.run(stream)
    deadline = time.monotonic() + 60
    while (only := rest.steps(run_id)[0])["status"] != "RETRY_WAIT":
        assert time.monotonic() < deadline, only
        assert only["status"] in ("PENDING", "IN_PROGRESS")
        time.sleep(0.05)
    assert rest.call("GET", f"/stream-runs/{run_id}")["status"] == "RUNNING"
    s3.start()
    run = rest.ended(run_id)
    assert run["status"] == "COMPLETED", run
    (only,) = rest.steps(run_id)
    assert (only["status"], only["progress"]) == ("COMPLETED", 100)
    assert only["attemptNo"] > 1
    assert len(rest.artifacts(only["id"])) == 4


@pytest.mark.parametrize("check", [survival.a_timeout_is_a_retry, survival.a_cancel_ends_a_long_call])
def test_retry_and_cancel(real: Real, material: Material, check: Callable[..., None]) -> None:
    check(real.stack, real.rest, material)


@pytest.mark.parametrize("victim", ["worker", "prefect"])
def test_a_kill_is_survived(real: Real, material: Material, victim: str) -> None:
    survival.a_kill_is_survived(real.stack, real.rest, material, victim)


def test_the_schedule_has_fired(real: Real) -> None:
    rest, path = real.rest, f"/streams/{real.every_minute}/runs"
    survival.until(lambda: any(run["status"] == "COMPLETED" for run in rest.call("GET", path)))
    assert {run["triggerType"] for run in rest.call("GET", path)} == {"SCHEDULED"}


def test_the_engine_refuses_whoever_does_not_log_in(real: Real) -> None:
    """The last one: the secret is in no log either."""
    url = f"{real.stack.prefect_api_url}/flows/count"
    assert httpx.post(url, json={}).status_code == 401
    assert httpx.post(url, json={}, auth=("recon", PASSWORD)).json() >= 1
    for log in real.stack.log_dir.iterdir():
        assert PASSWORD not in log.read_text(errors="replace"), log
