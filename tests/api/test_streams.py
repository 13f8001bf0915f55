"""The streams contract, word for word, and what it refuses."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from tests.parts.rest import Rest, step

UTC_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")

SOURCE = "id,amt,city\n1,40.00,Rome\n2,5.00,Oslo\n3,7.00,Bern\n"
TARGET = "id,amt,city\n1,40.00,Rome\n2,5.01,Oslo\n4,9.00,Kyiv\n"
REST = "id,amt,city\n3,7.00,Bern\n9,1.00,Lima\n"


@pytest.fixture(scope="module")
def files(rest: Rest) -> list[int]:
    named = {"source.csv": SOURCE, "target.csv": TARGET, "rest.csv": REST}
    return [rest.upload(name, text)["id"] for name, text in named.items()]


@pytest.fixture(scope="module")
def rules(rest: Rest) -> int:
    return rest.rule_set(["id"], {"amt": ("RANGE", "0.005"), "city": ("EXACT", None)})


def two_steps(files: list[int], rules: int) -> list[dict[str, Any]]:
    return [
        step(1, files[0], files[1], rules, continueOnFailure=False, maxRetries=1),
        step(2, ("STEP_OUTPUT_UNMATCHED_SOURCE", 1), files[2], rules, continueOnFailure=True, maxRetries=2),
    ]


def test_create_and_get_come_back_as_given(rest: Rest, files: list[int], rules: int) -> None:
    trigger = {"cron": "0 30 2 * * *", "timezone": "UTC"}
    steps = two_steps(files, rules)
    made = rest.stream(
        steps, "E-commerce Settlement Stream", description="OMS to bank", domain="ECOMMERCE", triggerType="SCHEDULED",
        triggerConfig=trigger,
    )  # fmt: skip
    assert set(made) == {"id", "name", "status", "domain", "stepCount", "createdAt", "updatedAt"}
    assert (made["status"], made["domain"], made["stepCount"]) == ("ACTIVE", "ECOMMERCE", 2)
    assert UTC_TIME.match(made["createdAt"])
    got = rest.call("GET", f"/streams/{made['id']}")
    assert set(got) == {
        "id", "name", "description", "status", "domain", "triggerType", "triggerConfig", "steps", "createdAt", "updatedAt",
    }  # fmt: skip
    assert got["triggerConfig"] == trigger
    assert got["description"] == "OMS to bank"
    assert [{key: value for key, value in one.items() if key != "id"} for one in got["steps"]] == steps
    assert made["id"] in [one["id"] for one in rest.call("GET", "/streams")]


def test_run_to_the_end_and_download(rest: Rest, files: list[int], rules: int) -> None:
    stream = rest.stream(two_steps(files, rules), "Chained")["id"]
    created = rest.call(
        "POST", f"/streams/{stream}/runs", status=201,
        json={"triggerType": "MANUAL", "triggerMetadata": {"requestedBy": "amit@company.com"}},
    )  # fmt: skip
    assert set(created) == {"runId", "streamId", "status", "currentStepOrder", "startedAt", "createdAt"}
    assert (created["status"], created["currentStepOrder"], created["startedAt"]) == ("PENDING", 0, None)
    run_id = created["runId"]
    run = rest.ended(run_id)
    assert set(run) == {
        "id", "streamId", "status", "currentStepOrder", "metrics", "errorMessage", "resumedFrom", "startedAt", "completedAt",
        "createdAt", "updatedAt",
    }  # fmt: skip
    assert run["status"] == "COMPLETED", run
    assert run["currentStepOrder"] == 2
    # Step 1: ids 1 and 2 are found, 2 differs by a cent; 3 and 4 are missing. Step 2: id 3 is found, 9 is missing.
    assert run["metrics"] == {
        "totalSteps": 2, "completedSteps": 2, "failedSteps": 0, "matchedRecords": 3, "exceptionCount": 4,
    }  # fmt: skip
    steps = rest.steps(run_id)
    assert [set(one) for one in steps] == [
        {
            "id",
            "runId",
            "stepId",
            "stepOrder",
            "status",
            "attemptNo",
            "progress",
            "reconciliationId",
            "startedAt",
            "completedAt",
        }
    ] * 2
    assert [(one["status"], one["attemptNo"], one["progress"]) for one in steps] == [("COMPLETED", 1, 100)] * 2
    artifacts = rest.artifacts(steps[0]["id"])
    assert set(artifacts) == {"MATCHED", "UNMATCHED_SOURCE", "UNMATCHED_TARGET", "EXCEPTIONS"}
    left = artifacts["UNMATCHED_SOURCE"]
    assert set(left) == {
        "id", "artifactType", "fileId", "filename", "rowCount", "checksum", "downloadUrl", "createdAt",
    }  # fmt: skip
    assert left["filename"] == f"stream_{run_id}_step_1_unmatched_source.csv"
    assert left["downloadUrl"] == f"/api/v1/files/{left['fileId']}/download"
    for one in artifacts.values():
        content = rest.download(one["downloadUrl"])
        assert one["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert rest.download(left["downloadUrl"]).decode() == (
        f"id,amt,city,_recon_file_id,_recon_row,_recon_reason\n3,7.00,Bern,{files[0]},3,MISSING\n"
    )
    for kind, magic in {"parquet": b"PAR1", "xlsx": b"PK", "arrow": b"\xff\xff\xff\xff", "csv": b"id,amt"}.items():
        assert rest.download(left["downloadUrl"], format=kind).startswith(magic)


def test_pages(rest: Rest, files: list[int], rules: int) -> None:
    stream = rest.stream(two_steps(files, rules), "Paged")["id"]
    run_id = rest.run(stream)
    rest.ended(run_id)
    page = rest.call("GET", f"/stream-runs/{run_id}/steps", params={"page": 1, "size": 1})
    assert [one["stepOrder"] for one in page["content"]] == [2]
    assert (page["totalElements"], page["totalPages"], page["size"], page["number"]) == (2, 2, 1, 1)
    runs = rest.call("GET", f"/streams/{stream}/runs")
    assert [one["id"] for one in runs] == [run_id]
    assert rest.call("GET", "/streams", params={"size": 1})["content"][0]["id"] >= stream
    rest.call("GET", "/streams", params={"size": 501}, status=400)
    rest.call("GET", "/streams", params={"page": -1}, status=400)


def test_an_artifact_is_an_input_like_any_file(rest: Rest, files: list[int], rules: int) -> None:
    first = rest.run(rest.stream(two_steps(files, rules), "Leaves something")["id"])
    rest.ended(first)
    left = rest.artifacts(rest.steps(first)[0]["id"])["UNMATCHED_SOURCE"]["fileId"]
    second = rest.run(rest.stream([step(1, left, files[2], rules)], "Takes it")["id"])
    assert rest.ended(second)["metrics"]["matchedRecords"] == 1
    rest.call("DELETE", f"/files/{left}", status=409)


def test_idempotency_key(rest: Rest, files: list[int], rules: int) -> None:
    stream = rest.stream(two_steps(files, rules), "Once")["id"]
    body = {"triggerType": "MANUAL", "triggerMetadata": {"day": 1}}
    headers = {"Idempotency-Key": "month-end"}
    path = f"/streams/{stream}/runs"
    first = rest.call("POST", path, status=201, json=body, headers=headers)
    again = rest.call("POST", path, status=201, json=body, headers=headers)
    assert again["runId"] == first["runId"]
    other = rest.call("POST", path, status=409, json={"triggerMetadata": {"day": 2}}, headers=headers)
    assert other["error"] == "IDEMPOTENCY_KEY_REUSED"
    rest.ended(first["runId"])
    assert len(rest.call("GET", path)) == 1


def test_unknown_ids_are_404(rest: Rest, files: list[int], rules: int) -> None:
    for path in ("/streams/999999", "/streams/999999/runs", "/stream-runs/999999", "/step-runs/999999/artifacts"):
        rest.call("GET", path, status=404)
    answer = rest.call("GET", "/streams/999999", status=404)
    assert (answer["message"], answer["error"]) == ("Stream not found with id: 999999", "STREAM_NOT_FOUND")
    for number in (0, -1, 2**63 - 1, -(2**63)):
        for entity in ("streams", "files", "rules", "reconciliations", "stream-runs"):
            rest.call("GET", f"/{entity}/{number}", status=404)
    assert rest.call("POST", "/stream-runs/999999/cancel", status=404)["error"] == "RUN_NOT_FOUND"
    assert rest.stream([step(1, 999999, files[1], rules)], status=404)["error"] == "FILE_NOT_FOUND"
    assert rest.stream([step(1, files[0], files[1], 999999)], status=404)["error"] == "RULE_SET_NOT_FOUND"
    snapshot = ("DATA_SOURCE_SNAPSHOT", 5)
    assert rest.stream([step(1, snapshot, files[1], rules)], status=404)["error"] == "DATA_SOURCE_NOT_FOUND"


def change(steps: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    return [steps[0], {**steps[1], **values}]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"sourceInput": {"type": "STEP_OUTPUT_UNMATCHED_SOURCE", "id": 2}}, "steps[1].sourceInput.id"),
        ({"sourceInput": {"type": "STEP_OUTPUT_UNMATCHED_SOURCE", "id": 3}}, "steps[1].sourceInput.id"),
        ({"targetInput": {"type": "STEP_OUTPUT_UNMATCHED_TARGET", "id": 7}}, "steps[1].targetInput.id"),
        ({"sourceInput": {"type": "TAPE", "id": 1}}, "steps[1].sourceInput.type"),
        ({"sourceInput": {"type": "FILE", "id": "one"}}, "steps[1].sourceInput.id"),
        ({"sourceInput": {"type": "FILE"}}, "steps[1].sourceInput.id"),
        ({"stepOrder": 1, "sourceInput": {"type": "FILE", "id": 1}}, "steps[1].stepOrder"),
        ({"stepOrder": "second"}, "steps[1].stepOrder"),
        ({"name": " "}, "steps[1].name"),
        ({"ruleSetId": None}, "steps[1].ruleSetId"),
        ({"config": {"continueOnFailure": "yes"}}, "steps[1].config.continueOnFailure"),
        ({"config": {"maxRetries": -1}}, "steps[1].config.maxRetries"),
        ({"config": {"retries": 3}}, "steps[1].config.retries"),
        ({"config": {"max_retries": 3}}, "steps[1].config.max_retries"),
        ({"config": {"severities": {"MISSING": "HIGH"}}}, "steps[1].config.severities"),
        ({"config": {"sourceFrom": "event.fileId"}}, "steps[1].config.sourceFrom"),
        ({"config": {"targetFrom": "fileId"}}, "steps[1].config.targetFrom"),
    ],
)
def test_a_wrong_step_is_400_with_its_field(
    rest: Rest, files: list[int], rules: int, values: dict[str, Any], field: str
) -> None:
    before = len(rest.call("GET", "/streams"))
    answer = rest.stream(change(two_steps(files, rules), **values), status=400)
    assert answer["error"] == "VALIDATION_FAILED"
    assert list(answer["data"]) == [field]
    assert answer["data"][field]
    assert len(rest.call("GET", "/streams")) == before


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"steps": []}, "steps"),
        ({"triggerType": "SCHEDULED"}, "triggerConfig.cron"),
        ({"triggerType": "SCHEDULED", "triggerConfig": {"cron": "0 0 0 30 2 *"}}, "triggerConfig.cron"),
        (
            {"triggerType": "SCHEDULED", "triggerConfig": {"cron": "0 0 2 * * *", "timezone": "X"}},
            "triggerConfig.timezone",
        ),
        ({"triggerType": "EVENT"}, "triggerConfig.event"),
        ({"triggerType": "WHENEVER"}, "triggerType"),
        ({"domain": "ASTROLOGY"}, "domain"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
    ],
)
def test_a_wrong_stream_is_400_with_its_field(
    rest: Rest, files: list[int], rules: int, values: dict[str, Any], field: str
) -> None:
    body = {"name": "S", "steps": two_steps(files, rules), **values}
    answer = rest.call("POST", "/streams", status=400, json=body)
    assert list(answer["data"]) == [field]


def test_other_bad_requests(rest: Rest) -> None:
    unreadable = rest.call("POST", "/streams", status=400, content=b"{", headers={"Content-Type": "application/json"})
    assert unreadable["error"] == "UNREADABLE_BODY"
    for body in (b'{"name": "\xff"}', b"[" * 100_000):
        assert (
            rest.call("POST", "/rules", status=400, content=body, headers={"Content-Type": "application/json"})["error"]
            == "UNREADABLE_BODY"
        )
    assert rest.call("POST", "/streams", status=415, content=b"{}")["message"] == "Expected application/json, got none"
    long = rest.call("POST", "/streams", status=400, json={"name": "n" * 256, "steps": []})
    assert long["data"]["name"].startswith("String should have at most 255 characters")
    wrong_kind = rest.call("POST", "/streams", status=415, content=b"<a/>", headers={"Content-Type": "text/xml"})
    assert wrong_kind["error"] == "UNSUPPORTED_MEDIA_TYPE"
    assert rest.call("GET", "/streams/abc", status=400)["message"] == (
        "Invalid value 'abc' for parameter 'streamId'. Expected type: Long"
    )
    assert rest.call("GET", "/streams?size=0", status=400)["message"] == (
        "Invalid value '0' for parameter 'size': Input should be greater than or equal to 1"
    )
    assert len(rest.call("GET", f"/streams/{'9' * 3000}", status=400)["message"]) < 300
    assert rest.call("GET", "/nowhere", status=404)["error"] == "ROUTE_NOT_FOUND"
    answer = rest.http.request("PUT", "/streams")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert answer.json()["error"] == "METHOD_NOT_ALLOWED"


def test_validate_finds_what_would_fail_and_warns(rest: Rest, files: list[int], rules: int) -> None:
    good = rest.stream(two_steps(files, rules), "Good")["id"]
    assert rest.call("POST", f"/streams/{good}/validate") == {"valid": True, "errors": [], "warnings": []}
    keyless = rest.rule_set([], {"amt": ("EXACT", None)})
    elsewhere = rest.rule_set(["order_id"])
    failed = rest.upload("ragged.csv", "a,b\n1,2\n3\n")
    assert failed["status"] == "FAILED"
    assert "3" in failed["processingError"]
    large = rest.upload("large.csv", "id,amt,city\n" + "1,2,3\n" * 60)["id"]
    stream = rest.stream(
        [
            step(1, files[0], files[1], keyless),
            step(2, ("STEP_OUTPUT_UNMATCHED_SOURCE", 1), files[2], elsewhere),
            step(3, failed["id"], large, rules),
        ],
        "Bad",
    )["id"]
    found = rest.call("POST", f"/streams/{stream}/validate")
    assert found["valid"] is False
    assert [(one["code"], one["stepOrder"]) for one in found["errors"]] == [
        ("KEY_FIELD_REQUIRED", 1),
        ("COLUMN_NOT_FOUND", 2),
        ("COLUMN_NOT_FOUND", 2),
        ("FILE_NOT_PROCESSED", 3),
    ]
    assert "'order_id'" in found["errors"][1]["message"]
    assert "id, amt, city" in found["errors"][1]["message"]
    assert [(one["code"], one["message"]) for one in found["warnings"]] == [
        ("STEP_TARGET_FILE_LARGE", "Step 3 target file has 60 rows; consider schedule window.")
    ]
