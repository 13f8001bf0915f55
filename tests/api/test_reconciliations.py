"""Legacy reconciliations: same paths, texts and numbers, with a one-step stream behind."""

from __future__ import annotations

import pytest

from tests.parts.rest import Rest, step

SOURCE = "id,amt\n1,100.00\n2,5.00\n2,6.00\n3,7.00\n"
TARGET = "id,amt\n1,100.01\n2,5.00\n4,9.00\n"


@pytest.fixture(scope="module")
def files(rest: Rest) -> list[int]:
    return [rest.upload(name, text)["id"] for name, text in (("bank.csv", SOURCE), ("ledger.csv", TARGET))]


def created(rest: Rest, files: list[int], rules: int, **extra: str) -> int:
    body = {"name": "Month end", "sourceFileId": files[0], "targetFileId": files[1], "ruleSetId": rules, **extra}
    return rest.call("POST", "/reconciliations", status=201, json=body)["id"]


def test_create_start_and_look(rest: Rest, files: list[int]) -> None:
    rules = rest.rule_set(["id"], {"amt": ("EXACT", None)})
    body = {
        "name": "Month end",
        "sourceFileId": files[0],
        "targetFileId": files[1],
        "ruleSetId": rules,
        "domain": "BANKING",
    }
    answer = rest.http.post("/reconciliations", json=body)
    assert answer.json()["message"] == "Reconciliation started"
    made = answer.json()["data"]
    assert set(made) == {
        "id", "name", "description", "status", "domain", "sourceFileId", "sourceFileName", "targetFileId",
        "targetFileName", "ruleSetId", "ruleSetName", "totalSourceRecords", "totalTargetRecords", "matchedRecords",
        "unmatchedSourceRecords", "unmatchedTargetRecords", "exceptionCount", "matchRate", "progress", "errorMessage",
        "startedAt", "completedAt", "results", "statistics", "createdAt", "updatedAt",
    }  # fmt: skip
    assert (made["status"], made["progress"], made["statistics"], made["sourceFileName"]) == (
        "PENDING",
        0,
        None,
        "bank.csv",
    )
    path = f"/reconciliations/{made['id']}"
    # The client sends its JSON content type without a body.
    started = rest.call("POST", f"{path}/start", headers={"Content-Type": "application/json"})
    assert (started["status"], started["progress"]) == ("COMPLETED", 100)
    for same in (path, f"{path}/status", f"{path}/results"):
        assert rest.call("GET", same) == started
    assert started["statistics"] == {
        "totalSourceRecords": 4, "totalTargetRecords": 3, "matchedRecords": 2, "unmatchedSourceRecords": 1,
        "unmatchedTargetRecords": 1, "exceptionCount": 4,
    }  # fmt: skip
    assert started["matchRate"] == 50.0
    rest.call("POST", f"{path}/start", status=409)
    assert made["id"] in [one["id"] for one in rest.call("GET", "/reconciliations")]
    assert all(not one["name"].startswith("legacy-recon") for one in rest.call("GET", "/streams"))

    page = rest.call("GET", f"{path}/exceptions")
    assert page["totalElements"] == 4
    by_type = {one["type"]: one for one in page["content"]}
    mismatch = by_type["VALUE_MISMATCH"]
    assert (mismatch["fieldName"], mismatch["sourceValue"], mismatch["targetValue"]) == ("amt", "100.00", "100.01")
    assert (mismatch["severity"], mismatch["status"], mismatch["domain"]) == ("MEDIUM", "OPEN", "BANKING")
    assert mismatch["description"] == "Value mismatch for field amt"
    assert (mismatch["sourceData"], mismatch["targetData"]) == (
        {"id": "1", "amt": "100.00"},
        {"id": "1", "amt": "100.01"},
    )
    assert by_type["DUPLICATE"]["description"] == "Duplicate key in source with no matching target record"
    assert by_type["DUPLICATE"]["sourceData"] == {"id": "2", "amt": "6.00"}
    assert by_type["MISSING_TARGET"]["description"] == "No matching record found in target"
    assert (by_type["MISSING_SOURCE"]["sourceData"], by_type["MISSING_SOURCE"]["targetData"]) == (
        None,
        {"id": "4", "amt": "9.00"},
    )
    warnings = rest.call("GET", f"{path}/exceptions", params={"severity": "WARNING"})
    assert warnings == rest.call("GET", f"{path}/exceptions", params={"severity": "MEDIUM"})
    assert warnings["totalElements"] > 0
    assert rest.call("GET", f"{path}/exceptions", params={"severity": "INFO"})["totalElements"] == 0
    assert "severity" in rest.call("GET", f"{path}/exceptions", params={"severity": "NOPE"}, status=400)["data"]
    high = rest.call("GET", f"{path}/exceptions", params={"severity": "HIGH", "size": 1, "page": 1})
    assert (high["totalElements"], high["totalPages"], len(high["content"])) == (3, 3, 1)
    rest.call("GET", f"{path}/exceptions", params={"type": "NONSENSE"}, status=400)
    assert rest.call("GET", "/reconciliations/999999/exceptions")["totalElements"] == 0


def test_a_failed_one_can_be_started_again_and_is_the_same(rest: Rest, files: list[int]) -> None:
    rules = rest.rule_set([])
    one = created(rest, files, rules)
    failed = rest.call("POST", f"/reconciliations/{one}/start")
    assert (failed["status"], failed["errorMessage"]) == ("FAILED", "Rule set must have at least one key field")
    assert failed["completedAt"] is not None
    rest.call("POST", f"/rules/{rules}/mappings", json={"sourceField": "id", "targetField": "id", "isKey": True})
    again = rest.call("POST", f"/reconciliations/{one}/start")
    assert (again["id"], again["status"], again["errorMessage"], again["matchedRecords"]) == (one, "COMPLETED", None, 2)


def test_cancel_and_delete(rest: Rest, files: list[int]) -> None:
    rules = rest.rule_set(["id"])
    pending = created(rest, files, rules)
    answer = rest.http.post(f"/reconciliations/{pending}/cancel")
    assert answer.json()["message"] == "Reconciliation cancelled"
    assert rest.call("GET", f"/reconciliations/{pending}")["status"] == "CANCELLED"
    rest.call("POST", f"/reconciliations/{pending}/cancel")
    rest.call("POST", f"/reconciliations/{pending}/start", status=409)
    done = created(rest, files, rules)
    rest.call("POST", f"/reconciliations/{done}/start")
    assert rest.call("POST", f"/reconciliations/{done}/cancel", status=409)["error"] == "RECONCILIATION_NOT_CANCELLABLE"
    assert rest.call("GET", f"/reconciliations/{done}/exceptions")["totalElements"] > 0
    rest.call("DELETE", f"/reconciliations/{done}")
    rest.call("GET", f"/reconciliations/{done}", status=404)
    assert rest.call("GET", f"/reconciliations/{done}/exceptions")["totalElements"] == 0
    rest.call("DELETE", f"/reconciliations/{done}", status=404)


def test_those_of_streams_are_read_only(rest: Rest, files: list[int]) -> None:
    rules = rest.rule_set(["id"])
    run = rest.run(rest.stream([step(1, files[0], files[1], rules)])["id"])
    one = rest.steps(run)[0]["reconciliationId"]
    assert rest.call("GET", f"/reconciliations/{one}")["status"] in ("PENDING", "IN_PROGRESS", "COMPLETED")
    rest.ended(run)
    view = rest.call("GET", f"/reconciliations/{one}")
    assert (view["status"], view["matchedRecords"], view["exceptionCount"]) == ("COMPLETED", 2, 3)
    for method, act in (("POST", "/start"), ("POST", "/cancel"), ("DELETE", "")):
        refused = rest.call(method, f"/reconciliations/{one}{act}", status=409)
        assert f"stream run {run}" in refused["message"]


def test_what_is_refused(rest: Rest, files: list[int]) -> None:
    rules = rest.rule_set(["id"])
    answer = rest.call("POST", "/reconciliations", status=400, json={})
    assert answer["data"] == {
        "name": "Name is required", "sourceFileId": "Source file ID is required",
        "targetFileId": "Target file ID is required", "ruleSetId": "Rule set ID is required",
    }  # fmt: skip
    body = {"name": "x", "sourceFileId": 999999, "targetFileId": 999998, "ruleSetId": 999997}
    assert (
        rest.call("POST", "/reconciliations", status=404, json=body)["message"]
        == "UploadedFile not found with id: 999999"
    )
    rest.call("POST", "/reconciliations", status=404, json={**body, "sourceFileId": 0})
    rest.call("POST", "/reconciliations", status=400, json={**body, "sourceFileId": 2**63})
    body |= {"sourceFileId": files[0], "targetFileId": files[1]}
    assert (
        rest.call("POST", "/reconciliations", status=404, json=body)["message"] == "RuleSet not found with id: 999997"
    )
    rest.call("POST", "/reconciliations", status=400, json={**body, "ruleSetId": rules, "domain": "MAGIC"})
    assert (
        rest.call("GET", "/reconciliations/999999", status=404)["message"] == "Reconciliation not found with id: 999999"
    )
