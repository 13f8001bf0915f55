"""Streams on work pools of other types than ours."""

from __future__ import annotations

import time
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter, WorkPoolFilterName

from models.settings import Settings
from recon.local import EmbeddedStack, free_port
from tests.parts.rest import Rest, step

POOL = "processes"


def test_streams_run_on_a_pool_of_prefect_s_process_type(stack: EmbeddedStack, tmp_path: Path) -> None:
    """The pool is there and has its type; the worker is Prefect's, and its runs find our settings in their environment."""
    settings = Settings(
        data_dir=tmp_path, api_port=free_port(), prefect_api_url=stack.prefect_api_url, work_pool=POOL, retry_base=0.2
    )
    with SyncPrefectClient(api=stack.prefect_api_url) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        with EmbeddedStack(settings) as own, Rest(own.api_url) as rest:
            files = [rest.upload(f"{name}.csv", f"id,amt\n1,40.00\n{name},5\n")["id"] for name in "ab"]
            stream = rest.stream([step(1, *files, rest.rule_set(["id"]))], name="On processes")["id"]
            run = rest.ended(run_id := rest.run(stream))
            assert run["status"] == "COMPLETED", run
            assert rest.artifacts(rest.steps(run_id)[0]["id"])["MATCHED"]["rowCount"] == 1
            # Our row comes first; the engine's record follows when the run's process shows its results and ends.
            here = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
            deadline = time.monotonic() + 60
            while True:
                (engine_run,) = client.read_flow_runs(work_pool_filter=here, flow_run_filter=FlowRunFilter())
                assert engine_run.state is not None
                if engine_run.state.is_final():
                    break
                assert time.monotonic() < deadline, engine_run.state
                time.sleep(0.2)
            assert engine_run.state.is_completed()
        assert client.read_work_pool(POOL).type == "process"
    assert "ProcessWorker" in (own.log_dir / "worker.log").read_text()
