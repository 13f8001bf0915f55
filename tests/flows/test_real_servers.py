"""The whole stack on a real PostgreSQL and a real S3 server."""

from __future__ import annotations

import hashlib
import secrets
import time
from pathlib import Path

from models.settings import Settings
from models.storage import Storage
from recon.local import EmbeddedStack, free_port
from tests.parts.postgres import new_database, postgres_server
from tests.parts.rest import Rest, step
from tests.parts.s3 import S3Server, s3_server

PASSWORD = secrets.token_hex(16)


def retried(rest: Rest, s3: S3Server, files: list[int], rules: int) -> None:
    """The storage is away when a step begins and comes back while it waits for its next attempt."""
    stream = rest.stream([step(1, files[0], files[1], rules, maxRetries=20)])["id"]
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


def test_a_stream_runs_on_postgresql_and_s3(tmp_path: Path) -> None:
    with postgres_server(for_prefect=True) as url, s3_server() as s3:
        settings: Settings = s3.settings(
            "streams",
            tmp_path,
            database_url=url,
            prefect_database_url=new_database(url, "prefect"),
            prefect_auth=f"recon:{PASSWORD}",
            api_port=free_port(),
            prefect_port=free_port(),
        )
        with EmbeddedStack(settings) as stack, Rest(stack.api_url) as rest:
            files = [rest.upload(f"{name}.csv", f"id,amt\n1,40.00\n{name},5\n")["id"] for name in "abc"]
            rules = rest.rule_set(["id"])
            stream = rest.stream(
                [
                    step(1, files[0], files[1], rules),
                    step(2, ("STEP_OUTPUT_UNMATCHED_SOURCE", 1), files[2], rules),
                ]
            )["id"]
            run = rest.ended(run_id := rest.run(stream))
            assert run["status"] == "COMPLETED", run
            first, second = rest.steps(run_id)
            left = rest.artifacts(second["id"])["UNMATCHED_SOURCE"]
            content = rest.download(left["downloadUrl"])
            assert content.decode().splitlines()[1:] == [f"a,5,{files[0]},2,MISSING"]
            assert left["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
            assert rest.artifacts(first["id"])["MATCHED"]["rowCount"] == 1
            stored = Storage.from_settings(settings)
            blobs = len([path for path in stored.list("") if "/attempt-1/" in path])
            retried(rest, s3, files, rules)
            assert blobs == 2 * 7
        assert not (tmp_path / "files").exists()
        assert not (tmp_path / "recon.db").exists()
