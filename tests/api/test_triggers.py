"""Schedules, events and edits on the real engine: what fires, what does not any more, and what the run knows of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from recon.local import EmbeddedStack
from tests.parts.rest import Rest, step

SOURCE = "id,amt\n1,40.00\n2,5.00\n"


@pytest.fixture(scope="module")
def steps(rest: Rest) -> list[dict[str, Any]]:
    source, target = (rest.upload(f"{name}.csv", SOURCE)["id"] for name in ("triggers-a", "triggers-b"))
    return [step(1, source, target, rest.rule_set(["id"]))]


class Engine:
    """What Prefect has of a stream."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, path: str, body: Any) -> Any:
        # Prefect's server on SQLite answers 503 when two writers meet, and has done nothing then.
        deadline = time.monotonic() + 60
        while (answer := self.http.post(path, json=body)).status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def deployments(self, stream_id: int) -> list[dict[str, Any]]:
        return self.post("/deployments/filter", {"deployments": {"name": {"any_": [f"stream-{stream_id}"]}}})

    def planned(self, stream_id: int) -> list[dict[str, Any]]:
        named = {"name": {"any_": [f"stream-{stream_id}"]}}
        scheduled = {"state": {"type": {"any_": ["SCHEDULED"]}}}
        return self.post("/flow_runs/filter", {"deployments": named, "flow_runs": scheduled})

    def automations(self, stream_id: int) -> list[dict[str, Any]]:
        tagged = {"tags": {"all_": [f"recon-stream-{stream_id}"]}}
        return self.post("/automations/filter", {"automations": tagged})

    def happens(self, name: str, payload: dict[str, Any], **labels: str) -> str:
        event_id = str(uuid4())
        event = {
            "id": event_id,
            "event": name,
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": "test.thing", **labels},
            "payload": payload,
        }
        self.post("/events", [event])
        return event_id


@pytest.fixture(scope="module")
def engine(stack: EmbeddedStack) -> Iterator[Engine]:
    with httpx.Client(base_url=stack.prefect_api_url, timeout=60) as http:
        yield Engine(http)


def runs_of(rest: Rest, stream_id: int) -> list[dict[str, Any]]:
    return rest.call("GET", f"/streams/{stream_id}/runs")


def awaited(look: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def soon(seconds: int = 8) -> dict[str, str]:
    """A schedule of every minute that fires in some seconds."""
    return {"cron": f"{(datetime.now(UTC) + timedelta(seconds=seconds)).second} * * * * *", "timezone": "Asia/Kolkata"}


def test_a_schedule_fires_until_it_is_paused(rest: Rest, engine: Engine, steps: list[dict[str, Any]]) -> None:
    config = soon()
    stream = rest.stream(steps, "Every minute", triggerType="SCHEDULED", triggerConfig=config)["id"]
    (run, *_) = awaited(lambda: runs_of(rest, stream))
    assert run["triggerType"] == "SCHEDULED"
    due = datetime.fromisoformat(run["triggerMetadata"]["scheduledTime"])
    assert (due.second, due.utcoffset()) == (int(config["cron"].split()[0]), timedelta(0))
    assert rest.ended(run["id"])["status"] == "COMPLETED"
    assert awaited(lambda: engine.planned(stream))

    rest.call("POST", f"/streams/{stream}/pause")
    assert rest.call("GET", f"/streams/{stream}")["status"] == "PAUSED"
    awaited(lambda: not engine.planned(stream))
    assert [one["paused"] for one in engine.deployments(stream)] == [True]
    refused = rest.call("POST", f"/streams/{stream}/runs", status=409, json={})
    assert refused["error"] == "STREAM_NOT_ACTIVE"
    # The engine lets people start a paused deployment; the stream does not.
    deployment = engine.deployments(stream)[0]["id"]
    started = engine.post(f"/deployments/{deployment}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    ended = awaited(
        lambda: (
            (one := engine.http.get(f"/flow_runs/{started['id']}").json())["state_type"] in ("FAILED", "COMPLETED")
            and one
        )
    )
    assert ended["state_type"] == "FAILED"
    assert "PAUSED" in ended["state"]["message"]
    before = len(runs_of(rest, stream))

    rest.call("POST", f"/streams/{stream}/resume")
    assert awaited(lambda: engine.planned(stream))
    changed = rest.call("PATCH", f"/streams/{stream}", json={"triggerConfig": soon(6)})
    assert changed["triggerConfig"] != config
    awaited(lambda: len(runs_of(rest, stream)) > before)

    rest.call("DELETE", f"/streams/{stream}")
    assert rest.call("GET", f"/streams/{stream}")["status"] == "ARCHIVED"
    awaited(lambda: not engine.planned(stream))
    for method, path in (
        ("POST", "/runs"), ("POST", "/resume"), ("POST", "/pause"), ("DELETE", ""), ("PATCH", ""), ("POST", "/events"),
    ):  # fmt: skip
        rest.call(method, f"/streams/{stream}{path}", status=409, json={})


def test_a_renamed_stream_leaves_no_deployment_behind(rest: Rest, engine: Engine, steps: list[dict[str, Any]]) -> None:
    nightly = {"cron": "0 30 2 * * *", "timezone": "Europe/Berlin"}
    stream = rest.stream(steps, "First name", triggerType="SCHEDULED", triggerConfig=nightly)["id"]
    awaited(lambda: engine.planned(stream))
    (old,) = engine.deployments(stream)
    rest.call("PATCH", f"/streams/{stream}", json={"name": "Second name"})
    (new,) = engine.deployments(stream)
    assert new["id"] != old["id"]
    assert [one["schedule"]["cron"] for one in new["schedules"] if "cron" in one["schedule"]] == ["30 2 * * *"]
    awaited(lambda: engine.planned(stream))
    assert {one["deployment_id"] for one in engine.planned(stream)} == {new["id"]}
    assert rest.ended(rest.run(stream))["status"] == "COMPLETED"
    rest.call("PATCH", f"/streams/{stream}", json={"triggerType": "MANUAL"})
    assert engine.planned(stream) == []
    assert rest.ended(rest.run(stream))["status"] == "COMPLETED"


def test_an_event_of_the_engine_starts_one_run(rest: Rest, engine: Engine, steps: list[dict[str, Any]]) -> None:
    config = {"event": "bank.statement.*", "filter": {"account.bank": ["DE*", "FR*"], "resource.kind": "daily"}}
    stream = rest.stream(steps, "On a statement", triggerType="EVENT", triggerConfig=config)["id"]
    assert len(engine.automations(stream)) == 1
    payload = {"account": {"bank": "DE12"}, "text": 'ünï "quoted" {{ x }}', "n": 1.5}
    engine.happens("bank.statement.made", {"account": {"bank": "IT1"}}, kind="daily")
    engine.happens("bank.statement.made", payload, kind="weekly")
    event_id = engine.happens("bank.statement.made", payload, kind="daily")
    (run,) = awaited(lambda: runs_of(rest, stream))
    assert run["triggerType"] == "EVENT"
    metadata = run["triggerMetadata"]
    assert (metadata["event"], metadata["eventId"], metadata["payload"]) == ("bank.statement.made", event_id, payload)
    assert metadata["resource"]["kind"] == "daily"
    # Sent to the stream as well, it is the same event.
    again = {"event": "bank.statement.made", "id": event_id, "payload": payload}
    assert rest.ended(run["id"])["status"] == "COMPLETED"
    rest.call("PATCH", f"/streams/{stream}", json={"triggerConfig": {"event": "bank.statement.made"}})
    (automation,) = engine.automations(stream)
    assert automation["trigger"]["expect"] == ["bank.statement.made"]
    taken = rest.call("POST", f"/streams/{stream}/events", json=again)
    assert (taken["matched"], taken["runId"]) == (True, run["id"])
    rest.call("POST", f"/streams/{stream}/pause")
    assert engine.automations(stream) == []
    assert len(runs_of(rest, stream)) == 1


def test_an_upload_starts_the_streams_that_wait_for_it(rest: Rest, engine: Engine, steps: list[dict[str, Any]]) -> None:
    config = {"event": "file.uploaded", "filter": {"filename": "bank_*.csv", "status": "PROCESSED"}}
    reading = [{**steps[0], "config": {"sourceFrom": "event.fileId"}}]
    stream = rest.stream(reading, "On a file", triggerType="EVENT", triggerConfig=config)["id"]
    rest.upload("orders.csv", SOURCE)
    rest.upload("bank_broken.csv", "a,b\n1,2\n3\n")
    stored = rest.upload("bank_1.csv", "id,amt\n1,40.00\n3,5.00\n")
    (run,) = awaited(lambda: runs_of(rest, stream))
    assert run["triggerMetadata"]["payload"] == {
        "fileId": stored["id"],
        "filename": "bank_1.csv",
        "rowCount": 2,
        "status": "PROCESSED",
        "checksum": stored["checksum"],
    }
    assert rest.ended(run["id"])["status"] == "COMPLETED"
    left = rest.artifacts(rest.steps(run["id"])[0]["id"])["UNMATCHED_SOURCE"]
    assert f"3,5.00,{stored['id']},2," in rest.download(left["downloadUrl"]).decode()
    # By hand: the input's own file, or the one named as an event would name it.
    assert rest.ended(rest.run(stream))["metrics"]["exceptionCount"] == 0
    assert rest.ended(rest.run(stream, payload={"fileId": stored["id"]}))["metrics"]["exceptionCount"] == 2
    failed = rest.ended(rest.run(stream, payload={"fileId": None}))
    assert failed["status"] == "FAILED"
    assert "EVENT_FILE_MISSING" in failed["errorMessage"]
    kept = {"filter": {"event": {"name": ["file.uploaded"]}, "resource": {"id": [f"recon.file.{stored['id']}"]}}}
    (sent,) = awaited(lambda: engine.post("/events/filter", kept)["events"])
    assert sent["id"] == run["triggerMetadata"]["eventId"]
    assert sent["payload"] == run["triggerMetadata"]["payload"]
    assert [one["triggerType"] for one in runs_of(rest, stream)] == ["MANUAL", "MANUAL", "MANUAL", "EVENT"]


def test_a_burst_of_events_is_neither_lost_nor_doubled(rest: Rest, steps: list[dict[str, Any]]) -> None:
    """Each of 100 events is delivered twice; all runs are there at once, and the first of them are carried out."""
    stream = rest.stream(steps, "A burst", triggerType="EVENT", triggerConfig={"event": "order.paid"})["id"]
    taken: dict[str, int] = {}
    for delivery in (201, 200):
        for number in range(100):
            body = {"id": f"order-{number}", "payload": {"number": number}}
            answer = rest.call("POST", f"/streams/{stream}/events", status=delivery, json=body)
            assert taken.setdefault(answer["eventId"], answer["runId"]) == answer["runId"]
    runs = runs_of(rest, stream)
    assert {one["triggerMetadata"]["eventId"]: one["id"] for one in runs} == taken
    assert sorted(one["triggerMetadata"]["payload"]["number"] for one in runs) == list(range(100))
    assert rest.ended(min(taken.values()))["status"] == "COMPLETED"
    rest.call("DELETE", f"/streams/{stream}")
    for run_id in sorted(taken.values(), reverse=True):
        rest.http.post(f"/stream-runs/{run_id}/cancel")
