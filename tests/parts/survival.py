"""Checks of what a run survives, for any stack: functions of (stack, rest). Nothing here is measured."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx
import psutil

from models.base import utc_now
from recon.components import stack_components
from recon.local import EmbeddedStack, free_port
from tests.flows.slow import SLOW_PASS, slow_rows
from tests.parts.rest import Rest, step

PATIENCE = 240
QUICK = "k,name\nx,one\ny,two\n"


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "It did not happen in time"
        time.sleep(0.05)


class Material:
    """Files and rules: a quick step, one that takes some seconds, and one that takes far longer than a test waits."""

    def __init__(self, rest: Rest) -> None:
        self.quick = [rest.upload(f"{side}.csv", QUICK + f"{side},three\n")["id"] for side in "ab"]
        self.some = [rest.upload(f"some-{seed}.csv", slow_rows(seed, 900, 120))["id"] for seed in (1, 2)]
        self.long = [rest.upload(f"long-{seed}.csv", slow_rows(seed, 2500, 300))["id"] for seed in (1, 2)]
        self.by_key = rest.rule_set(["k"])
        slow = {"name": "slow", "passes": SLOW_PASS}
        self.slowly = rest.call("POST", "/rules", status=201, json=slow)["id"]

    def quick_step(self, order: int, **config: Any) -> dict[str, Any]:
        return step(order, *self.quick, self.by_key, **config)

    def some_step(self, order: int, **config: Any) -> dict[str, Any]:
        return step(order, *self.some, self.slowly, **config)

    def long_step(self, order: int, **config: Any) -> dict[str, Any]:
        return step(order, *self.long, self.slowly, **config)


def under_way(rest: Rest, run_id: int, order: int = 1) -> None:
    """Returns when the step is being matched."""
    until(lambda: (one := rest.steps(run_id)[order - 1])["status"] == "IN_PROGRESS" and one["progress"] >= 40)


def run_processes(stack: EmbeddedStack) -> list[psutil.Process]:
    """The processes that execute runs: each leads a process group of its own."""
    family = psutil.Process(stack.pids["worker"]).children(recursive=True)
    return [one for one in family if os.getpgid(one.pid) == one.pid and one.pid != stack.pids["worker"]]


def ask_prefect(stack: EmbeddedStack, path: str, body: dict[str, Any]) -> Any:
    """The JSON of a POST to Prefect's API, asked again while it is busy: on SQLite it answers 503 when two writers meet."""
    secret = stack.settings.prefect_auth
    auth = None if secret is None else httpx.BasicAuth(*secret.get_secret_value().split(":", maxsplit=1))
    answers: list[httpx.Response] = []

    def given() -> bool:
        answers.append(httpx.post(f"{stack.prefect_api_url}{path}", json=body, timeout=60, auth=auth))
        return answers[-1].status_code != 503

    until(given)
    assert answers[-1].is_success, f"{path}: {answers[-1].status_code} {answers[-1].text[:500]}"
    return answers[-1].json()


def engine_runs(stack: EmbeddedStack, stream_id: int) -> list[dict[str, Any]]:
    chosen = {"deployments": {"name": {"any_": [f"stream-{stream_id}"]}}, "sort": "START_TIME_ASC"}
    return ask_prefect(stack, "/flow_runs/filter", chosen)


def whole(rest: Rest, run_id: int) -> None:
    """Each step was completed once: four artifacts, and as many exceptions as the run counts."""
    steps = rest.steps(run_id)
    assert [len(rest.artifacts(one["id"])) for one in steps] == [4] * len(steps)
    counted = [
        rest.call("GET", f"/reconciliations/{one['reconciliationId']}/exceptions")["totalElements"] for one in steps
    ]
    assert sum(counted) == rest.call("GET", f"/stream-runs/{run_id}")["metrics"]["exceptionCount"]


def a_timeout_is_a_retry(stack: EmbeddedStack, rest: Rest, material: Material) -> None:
    """A step inside a long call is ended; RETRY_WAIT shows, and the attempt's number rises."""
    stream = rest.stream(
        [material.long_step(1, timeoutSeconds=2.5, maxRetries=1, continueOnFailure=True), material.quick_step(2)]
    )["id"]
    run_id = rest.run(stream)
    seen: list[tuple[str, int]] = []

    def ended() -> bool:
        first = rest.steps(run_id)[0]
        if (first["status"], first["attemptNo"]) not in seen:
            seen.append((first["status"], first["attemptNo"]))
        return first["status"] == "FAILED"

    until(ended)
    wanted = [("IN_PROGRESS", 1), ("RETRY_WAIT", 1), ("IN_PROGRESS", 2), ("FAILED", 2)]
    assert [one for one in seen if one[0] != "PENDING"] == wanted
    run = rest.ended(run_id, PATIENCE)
    assert (run["status"], run["currentStepOrder"], run["metrics"]["completedSteps"]) == ("PARTIAL_FAILED", 2, 1)
    assert "STEP_TIMEOUT" in run["errorMessage"]
    assert rest.artifacts(rest.steps(run_id)[0]["id"]) == {}
    until(lambda: engine_runs(stack, stream)[0]["state_name"] == "PartialFailed")


def a_cancel_ends_a_long_call(stack: EmbeddedStack, rest: Rest, material: Material) -> None:
    stream = rest.stream([material.quick_step(1), material.long_step(2), material.quick_step(3)])["id"]
    run_id = rest.run(stream)
    under_way(rest, run_id, 2)
    processes = run_processes(stack)
    assert processes
    assert rest.call("POST", f"/stream-runs/{run_id}/cancel")["status"] == "CANCELED"
    assert rest.steps(run_id)[1]["status"] == "CANCELED"
    until(lambda: not any(one.is_running() for one in processes))
    assert rest.artifacts(rest.steps(run_id)[1]["id"]) == {}
    until(lambda: engine_runs(stack, stream)[0]["state_type"] == "CANCELLED")


def runs_queue_up(stack: EmbeddedStack, rest: Rest, material: Material) -> None:
    """Three runs, and one that Prefect starts, execute one after another; a cancelled one makes room."""
    stream = rest.stream([material.some_step(1)])["id"]
    first, second, third = (rest.run(stream) for _ in range(3))
    under_way(rest, first)
    (engine,) = engine_runs(stack, stream)
    ask_prefect(stack, f"/deployments/{engine['deployment_id']}/create_flow_run", {})
    until(lambda: len(rest.call("GET", f"/streams/{stream}/runs")) == 4)
    fourth = rest.call("GET", f"/streams/{stream}/runs")[0]["id"]
    assert [rest.call("GET", f"/stream-runs/{one}")["status"] for one in (second, third, fourth)] == ["PENDING"] * 3
    rest.call("POST", f"/stream-runs/{second}/cancel")
    ended = [rest.ended(one, PATIENCE) for one in (first, third, fourth)]
    assert [one["status"] for one in ended] == ["COMPLETED"] * 3
    for before, after in pairwise(ended):
        assert after["startedAt"] >= before["completedAt"]
    assert "Queued" in [one["state_name"] for one in engine_runs(stack, stream)]


def the_engine_s_own_run_may_be_lost_before_it_begins(stack: EmbeddedStack, rest: Rest, material: Material) -> None:
    """A run that Prefect starts by itself is Crashed before it has a row of ours: it is begun again."""
    stream = rest.stream([material.quick_step(1)])["id"]
    named = {"deployments": {"name": {"any_": [f"stream-{stream}"]}}}
    (deployment,) = ask_prefect(stack, "/deployments/filter", named)
    # Due in a moment: no worker has taken it before it is Crashed.
    due = (utc_now() + timedelta(seconds=3)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
    made = ask_prefect(stack, f"/deployments/{deployment['id']}/create_flow_run", {"state": state})
    crashed = {"state": {"type": "CRASHED"}, "force": True}
    ask_prefect(stack, f"/flow_runs/{made['id']}/set_state", crashed)
    until(lambda: rest.call("GET", f"/streams/{stream}/runs"))
    (run,) = rest.call("GET", f"/streams/{stream}/runs")
    assert rest.ended(run["id"], PATIENCE)["status"] == "COMPLETED"
    assert len(rest.call("GET", f"/streams/{stream}/runs")) == 1


def a_second_run_is_skipped(stack: EmbeddedStack, rest: Rest, material: Material) -> None:
    stream = rest.stream([material.long_step(1)], triggerConfig={"concurrency": "SKIP"})["id"]
    run_id = rest.run(stream)
    refused = rest.call("POST", f"/streams/{stream}/runs", status=409, json={})
    assert (refused["error"], f"Run {run_id} " in refused["message"]) == ("RUN_ACTIVE", True)
    rest.call("POST", f"/stream-runs/{run_id}/cancel")
    rest.call("POST", f"/stream-runs/{rest.run(stream)}/cancel")


def runs_are_resumed(stack: EmbeddedStack, rest: Rest, material: Material) -> None:
    wrong = rest.rule_set(["no_such_column"])
    stream = rest.stream(
        [
            material.quick_step(1),
            step(2, ("STEP_OUTPUT_UNMATCHED_SOURCE", 1), material.quick[1], wrong),
        ]
    )["id"]
    failed = rest.ended(rest.run(stream), PATIENCE)
    assert failed["status"] == "FAILED"
    mapping = {"sourceField": "k", "targetField": "k", "isKey": True}
    rest.call("PUT", f"/rules/{wrong}", json={"name": "mended", "fieldMappings": [mapping]})
    resumed = rest.call("POST", f"/stream-runs/{failed['id']}/resume", status=201)
    assert (resumed["resumedFrom"], resumed["streamId"]) == (failed["id"], stream)
    run = rest.ended(resumed["runId"], PATIENCE)
    assert (run["status"], run["resumedFrom"]) == ("COMPLETED", failed["id"])
    before, after = rest.steps(failed["id"]), rest.steps(run["id"])
    assert rest.artifacts(after[0]["id"]) == rest.artifacts(before[0]["id"])
    assert after[0]["reconciliationId"] == before[0]["reconciliationId"]
    whole(rest, run["id"])
    for one, code in ((failed["id"], "RUN_ALREADY_RESUMED"), (run["id"], "RUN_NOT_RESUMABLE")):
        assert rest.call("POST", f"/stream-runs/{one}/resume", status=409)["error"] == code


def a_kill_is_survived(stack: EmbeddedStack, rest: Rest, material: Material, victim: str) -> None:
    """`victim` is a part of the stack, `child` (a run's process), or `executors`: the worker and all that it has started."""
    steps = [
        material.quick_step(1),
        material.some_step(2),
        step(3, ("STEP_OUTPUT_UNMATCHED_SOURCE", 1), material.quick[1], material.by_key),
    ]
    run_id = rest.run(rest.stream(steps, f"kill {victim}")["id"])
    under_way(rest, run_id, 2)
    if victim == "child":
        for process in run_processes(stack):
            process.kill()
    else:
        killed = stack.pids[victim if victim != "executors" else "worker"]
        family = psutil.Process(killed).children(recursive=True) if victim == "executors" else []
        for process in [*family, psutil.Process(killed)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        until(lambda: stack.pids.get("worker" if victim == "executors" else victim) not in (None, killed))
        stack.await_healthy()
    run = rest.ended(run_id, PATIENCE)
    assert run["status"] == "COMPLETED", run
    whole(rest, run_id)
    attempts = [one["attemptNo"] for one in rest.steps(run_id)]
    # An executor takes its attempt with it; a server that dies costs none.
    assert attempts[1] == (2 if victim in ("child", "worker", "executors") else 1), (victim, attempts)


def a_database_may_go(
    stack: EmbeddedStack, rest: Rest, material: Material, crash: Callable[[], object], start: Callable[[], object]
) -> None:
    """Our tables are away for longer than a step needs, while it is matched: it commits when they are back."""
    stream = rest.stream([material.quick_step(1), material.some_step(2), material.quick_step(3)], "no database")["id"]
    run_id = rest.run(stream)
    under_way(rest, run_id, 2)
    crash()
    time.sleep(20)
    start()
    until(lambda: rest.http.get(f"/stream-runs/{run_id}").status_code == 200)
    run = rest.ended(run_id, PATIENCE)
    assert run["status"] == "COMPLETED", run
    whole(rest, run_id)
    assert [one["attemptNo"] for one in rest.steps(run_id)] == [1, 1, 1]
    assert len(engine_runs(stack, stream)) == 1


@contextlib.contextmanager
def second_api(stack: EmbeddedStack) -> Iterator[Rest]:
    """Another API process on the same records and the same engine."""
    port = free_port()
    settings = stack.settings.model_copy(update={"api_port": port})
    api = next(one for one in stack_components(settings) if one.name == "api")
    log = stack.log_dir / "second-api.log"
    with log.open("wb") as sink, subprocess.Popen(api.argv, env=api.env, stdout=sink, stderr=sink) as process:
        try:

            def up() -> bool:
                assert process.poll() is None, log.read_text()[-2000:]
                with contextlib.suppress(httpx.TransportError):
                    return httpx.get(api.check.url, timeout=2).status_code == 200
                return False

            until(up)
            with Rest(f"http://127.0.0.1:{port}") as rest:
                yield rest
        finally:
            process.terminate()


def two_apis_make_one_run_of_a_key(stack: EmbeddedStack, rest: Rest, material: Material) -> None:
    stream = rest.stream([material.quick_step(1)])["id"]
    body = {"triggerMetadata": {"reason": "twice"}}
    made: list[int] = []

    def ask(one: Rest) -> None:
        answer = one.call("POST", f"/streams/{stream}/runs", status=201, json=body, headers={"Idempotency-Key": "k"})
        made.append(answer["runId"])

    with second_api(stack) as other:
        threads = [threading.Thread(target=ask, args=(one,)) for one in (rest, other) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(made), len(set(made))) == (8, 1)
        for one in (rest, other):
            assert one.ended(made[0], PATIENCE)["status"] == "COMPLETED"
            refused = one.call("POST", f"/streams/{stream}/runs", status=409, json={}, headers={"Idempotency-Key": "k"})
            assert refused["error"] == "IDEMPOTENCY_KEY_REUSED"
        # A queue that both of them sweep.
        run_ids = [(rest, other)[number % 2].run(stream) for number in range(4)]
        assert [other.ended(one, PATIENCE)["status"] for one in run_ids] == ["COMPLETED"] * 4
    whole(rest, made[0])
    assert len(engine_runs(stack, stream)) == 5
