"""The worker against a real Prefect server: what happens to a flow run, whatever happens around it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelling

from tests.parts.prefect import PrefectServer, prefect_server

LIMIT = 60.0
"""Seconds until a wait is given up; nothing here is measured."""


class WorkerProcess:
    """A started worker, with what it and its runs write in a log."""

    def __init__(self, process: psutil.Popen, home: Path, log: Path) -> None:
        self.process, self.home, self.log = process, home, log

    def family(self) -> list[psutil.Process]:
        """The forkserver and its children."""
        return self.process.children(recursive=True)

    def end(self, number: signal.Signals) -> int:
        """Signals the process and gives its exit code."""
        self.process.send_signal(number)
        return int(self.process.wait(LIMIT))


@contextlib.contextmanager
def started_worker(
    server: PrefectServer,
    home: Path,
    *options: str,
    command: Sequence[str] = ("deployments.worker",),
    ready: str = "started!",
) -> Iterator[WorkerProcess]:
    """A worker that has said `ready`; it ends with the block, and whatever it has started too."""
    log = home / "worker.log"
    with log.open("wb") as sink:
        process = psutil.Popen(
            [sys.executable, "-m", *command, *options],
            cwd=Path(__file__).parents[2],
            env={**server.client_env, "RECON_DATA_DIR": str(home), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    worker = WorkerProcess(process, home, log)
    try:
        until(lambda: ready in log.read_text() or not alive(process))
        assert alive(process), log.read_text()
        yield worker
    finally:
        if alive(process):
            worker.end(signal.SIGTERM)
        process.wait(LIMIT)


class Bench:
    """Creates runs of the sample flows on one pool, and looks at them."""

    def __init__(self, client: SyncPrefectClient, pool: str, home: Path) -> None:
        self.client, self.pool, self.home = client, pool, home
        self.traces: dict[UUID, Path] = {}

    def submit(self, flow: str, env: Mapping[str, str] | None = None, **parameters: object) -> UUID:
        """Creates a run of a sample flow, or of an entrypoint with dots in it."""
        deployment_id = self.client.create_deployment(
            flow_id=self.client.create_flow_from_name(flow),
            name=self.pool,
            entrypoint=flow if "." in flow else f"tests.deployments.sample_flows.{flow}",
            work_pool_name=self.pool,
            enforce_parameter_schema=False,
        )
        trace = self.home / f"{uuid4()}.trace"
        given = {"trace": str(trace), **parameters}
        run_id = self.client.create_flow_run_from_deployment(
            deployment_id, parameters=given, job_variables={"env": dict(env or {})}
        ).id
        self.traces[run_id] = trace
        return run_id

    def trace(self, run_id: UUID) -> list[str]:
        """What the run has told so far."""
        return self.traces[run_id].read_text().splitlines() if self.traces[run_id].exists() else []

    def started(self, run_id: UUID) -> psutil.Process:
        """The process of a run that has reached its own code."""
        until(lambda: bool(self.trace(run_id)))
        return psutil.Process(int(self.trace(run_id)[0].split()[2]))

    def final(self, run_id: UUID) -> State:
        """The run's state once it is final."""

        def reached() -> bool:
            state = self.client.read_flow_run(run_id).state
            return state is not None and state.is_final()

        until(reached)
        state = self.client.read_flow_run(run_id).state
        assert state is not None
        return state

    def states(self, run_id: UUID) -> list[str | None]:
        """The names of all states the run has had."""
        return [state.name for state in self.client.read_flow_run_states(run_id)]

    def cancel(self, run_id: UUID) -> None:
        self.client.set_flow_run_state(run_id, Cancelling())

    def messages(self, run_id: UUID) -> list[str]:
        """The run's log as Prefect's UI shows it."""
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
        return [log.message for log in self.client.read_logs(wanted)]


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not happened():
        assert time.monotonic() < deadline, "It did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PrefectServer, WorkerProcess]]:
    """One server and one worker for most tests, started side by side: the worker has to wait."""
    home = tmp_path_factory.mktemp("worker")
    with (
        prefect_server(wait=False) as server,
        started_worker(server, home, "--pool", "shared", "--limit", "2", ready="Waiting for the Prefect") as worker,
    ):
        server.await_healthy()
        until(lambda: "started!" in worker.log.read_text())
        yield server, worker


@pytest.fixture(scope="module")
def server(early: tuple[PrefectServer, WorkerProcess]) -> PrefectServer:
    return early[0]


@pytest.fixture(scope="module")
def client(server: PrefectServer) -> Iterator[SyncPrefectClient]:
    with SyncPrefectClient(api=server.api_url) as client:
        yield client


@pytest.fixture
def worker(early: tuple[PrefectServer, WorkerProcess]) -> Iterator[WorkerProcess]:
    """The shared worker. Every test finds it alive and has to leave it so."""
    yield early[1]
    assert alive(early[1].process), early[1].log.read_text()


@pytest.fixture
def bench(worker: WorkerProcess, client: SyncPrefectClient) -> Bench:
    return Bench(client, "shared", worker.home)


def test_a_run_completes_and_its_output_reaches_log_and_server(bench: Bench, worker: WorkerProcess) -> None:
    run_id = bench.submit("stamp")
    assert bench.final(run_id).is_completed()
    until(lambda: "a line through the logger" in bench.messages(run_id))
    assert "a line on standard output" in worker.log.read_text()
    assert "a line on standard error" in worker.log.read_text()


def test_a_run_sees_the_worker_s_environment(bench: Bench, server: PrefectServer, worker: WorkerProcess) -> None:
    run_id = bench.submit("environment", names=["RECON_DATA_DIR", "PREFECT_API_URL", "PREFECT__FLOW_RUN_ID"])
    assert bench.final(run_id).is_completed()
    assert bench.trace(run_id) == [
        f"RECON_DATA_DIR={worker.home}",
        f"PREFECT_API_URL={server.api_url}",
        f"PREFECT__FLOW_RUN_ID={run_id}",
        "retries 5",
    ]


def test_a_run_s_own_variables_go_before_the_worker_s(bench: Bench) -> None:
    env = {"RECON_DATA_DIR": "elsewhere", "PREFECT_CLIENT_MAX_RETRIES": "7"}
    run_id = bench.submit("environment", env=env, names=["RECON_DATA_DIR"])
    assert bench.final(run_id).is_completed()
    assert bench.trace(run_id) == ["RECON_DATA_DIR=elsewhere", "retries 7"]


def test_the_worker_sends_the_heartbeats_of_its_runs(bench: Bench, server: PrefectServer) -> None:
    run_id = bench.submit("sleep", seconds=2)
    assert bench.final(run_id).is_completed()
    wanted = {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": {"id": [f"prefect.flow-run.{run_id}"]}}

    def arrived() -> bool:
        answer = httpx.post(f"{server.api_url}/events/filter", json={"filter": wanted}, trust_env=False)
        return bool(answer.raise_for_status().json()["events"])

    until(arrived)


def test_asynchronous_flows_run(bench: Bench) -> None:
    run_id = bench.submit("asynchronous")
    assert bench.final(run_id).is_completed()
    assert bench.trace(run_id) == ["started"]


def test_a_failing_flow_is_failed(bench: Bench) -> None:
    run_id = bench.submit("fail")
    assert bench.final(run_id).is_failed()
    assert "as it should" in str(bench.final(run_id).message)


@pytest.mark.parametrize("entrypoint", ["tests.deployments.sample_flows.missing", "no.such.module.flow"])
def test_a_broken_entrypoint_is_crashed_and_says_why(bench: Bench, entrypoint: str) -> None:
    run_id = bench.submit(entrypoint)
    assert bench.final(run_id).is_crashed()
    until(lambda: any("could not be loaded" in message for message in bench.messages(run_id)))


def test_a_process_that_ends_without_a_word_is_crashed(bench: Bench) -> None:
    run_id = bench.submit("vanish")
    assert bench.final(run_id).is_crashed()


def test_a_killed_process_is_crashed_and_the_flow_s_hook_runs(bench: Bench) -> None:
    run_id = bench.submit("sleep")
    bench.started(run_id).kill()
    state = bench.final(run_id)
    assert state.is_crashed()
    assert "SIGKILL" in str(state.message)
    assert bench.states(run_id).count("Crashed") == 1
    until(lambda: bench.trace(run_id)[1:] == ["hook Crashed"])


@pytest.mark.parametrize("kind", ["sleep", "compute"])
def test_a_cancelled_run_ends_wherever_it_is(bench: Bench, kind: str) -> None:
    run_id = bench.submit(kind)
    process = bench.started(run_id)
    bench.cancel(run_id)
    assert bench.final(run_id).is_cancelled()
    until(lambda: not process.is_running())
    # Prefect's engine calls the hooks itself, one state earlier, where it still can.
    until(lambda: bench.trace(run_id)[1:] == ["hook Cancelling" if kind == "sleep" else "hook Cancelled"])
    assert "Crashed" not in bench.states(run_id)


def test_a_cancelled_run_whose_process_is_killed_is_cancelled(bench: Bench) -> None:
    run_id = bench.submit("sleep")
    process = bench.started(run_id)
    bench.cancel(run_id)
    process.kill()
    assert bench.final(run_id).is_cancelled()
    assert "Crashed" not in bench.states(run_id)


def test_no_more_runs_than_the_limit_at_once(bench: Bench) -> None:
    run_ids = [bench.submit("sleep", seconds=0.7) for _ in range(5)]
    assert all(bench.final(run_id).is_completed() for run_id in run_ids)
    times = [[float(line.split()[1]) for line in bench.trace(run_id)] for run_id in run_ids]
    at_once = [sum(start <= moment < end for start, end in times) for moment, _ in times]
    assert max(at_once) == 2


def test_a_run_cancelled_while_it_waits_never_starts(bench: Bench) -> None:
    blockers = [bench.submit("sleep") for _ in range(2)]
    for blocker in blockers:
        bench.started(blocker)
    waiting = bench.submit("sleep")
    bench.cancel(waiting)
    assert bench.final(waiting).is_cancelled()
    for blocker in blockers:
        bench.cancel(blocker)
    assert all(bench.final(blocker).is_cancelled() for blocker in blockers)
    after = bench.submit("stamp")
    assert bench.final(after).is_completed()
    assert bench.trace(waiting) == []


def test_a_killed_forkserver_costs_its_runs_and_no_more(bench: Bench) -> None:
    lost = bench.submit("sleep")
    process = bench.started(lost)
    forkserver = process.parent()
    assert forkserver is not None
    forkserver.kill()
    assert bench.final(lost).is_crashed()
    until(lambda: not alive(process))
    assert bench.final(bench.submit("stamp")).is_completed()


def test_nothing_outlives_a_killed_worker(server: PrefectServer, client: SyncPrefectClient, tmp_path: Path) -> None:
    with started_worker(server, tmp_path, "--pool", "killed") as worker:
        bench = Bench(client, "killed", tmp_path)
        run_ids = [bench.submit(kind) for kind in ("sleep", "compute")]
        for run_id in run_ids:
            bench.started(run_id)
        family = worker.family()
        assert len(family) >= 3
        worker.end(signal.SIGKILL)
        until(lambda: not any(alive(process) for process in family))
        assert [bench.final(run_id).type for run_id in run_ids] == [StateType.CRASHED] * 2


def test_prefect_s_own_command_starts_a_worker_that_ends_its_runs(
    server: PrefectServer, client: SyncPrefectClient, tmp_path: Path
) -> None:
    command = ("prefect", "worker", "start", "--type", "recon", "--pool", "stopped")
    with started_worker(server, tmp_path, command=command) as worker:
        bench = Bench(client, "stopped", tmp_path)
        run_ids = [bench.submit(kind) for kind in ("sleep", "compute")]
        for run_id in run_ids:
            bench.started(run_id)
        family = worker.family()
        assert worker.end(signal.SIGTERM) == 0
        until(lambda: not any(alive(process) for process in family))
        assert [bench.final(run_id).type for run_id in run_ids] == [StateType.CRASHED] * 2


def test_the_server_may_go_and_come_back(bench: Bench, server: PrefectServer) -> None:
    lasting = bench.submit("sleep", seconds=3)
    bench.started(lasting)
    server.stop(signal.SIGKILL)
    try:
        until(lambda: len(bench.trace(lasting)) == 2)
    finally:
        server.start()
    assert bench.final(lasting).is_completed()
    assert bench.final(bench.submit("stamp")).is_completed()


def test_a_worker_ends_without_its_server(
    early: tuple[PrefectServer, WorkerProcess], client: SyncPrefectClient
) -> None:
    """The last one: it leaves neither server nor worker."""
    server, worker = early
    bench = Bench(client, "shared", worker.home)
    process = bench.started(bench.submit("sleep"))
    server.stop(signal.SIGKILL)
    assert worker.end(signal.SIGINT) == 0
    assert not alive(process)
