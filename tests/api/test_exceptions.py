"""Exceptions: lists, decisions, notes, and what existing pages call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.parts.rest import Rest

SOURCE = "id,amt\n1,100.00\n2,5.00\n2,6.00\n3,7.00\n8,1.00\n"
TARGET = "id,amt\n1,100.01\n2,5.00\n4,9.00\n"


@pytest.fixture(scope="module")
def compared(rest: Rest) -> int:
    """A reconciliation with exceptions 1 VALUE_MISMATCH, 1 DUPLICATE, 2 MISSING_TARGET and 1 MISSING_SOURCE."""
    files = [rest.upload(name, text)["id"] for name, text in (("cases_a.csv", SOURCE), ("cases_b.csv", TARGET))]
    rules = rest.rule_set(["id"], {"amt": ("EXACT", None)})
    body = {"name": "Cases", "sourceFileId": files[0], "targetFileId": files[1], "ruleSetId": rules}
    made = rest.call("POST", "/reconciliations", status=201, json={**body, "domain": "BANKING"})["id"]
    assert rest.call("POST", f"/reconciliations/{made}/start")["status"] == "COMPLETED"
    return made


def found(rest: Rest, compared: int, **params: Any) -> list[dict[str, Any]]:
    return rest.call("GET", "/exceptions", params={"reconciliationId": compared, **params})["content"]


def of_type(rest: Rest, compared: int, kind: str) -> dict[str, Any]:
    return found(rest, compared, type=kind)[0]


def test_lists_filter_sort_and_page(rest: Rest, compared: int) -> None:
    page = rest.call("GET", "/exceptions", params={"reconciliationId": compared, "size": 2, "page": 1})
    assert (page["totalElements"], page["totalPages"], page["number"], len(page["content"])) == (5, 3, 1, 2)
    ids = [one["id"] for one in found(rest, compared)]
    assert ids == sorted(ids, reverse=True)
    assert [one["id"] for one in found(rest, compared, sortDir="asc")] == sorted(ids)
    severities = [one["severity"] for one in found(rest, compared, sortBy="severity")]
    assert severities == ["HIGH"] * 4 + ["MEDIUM"]
    assert [one["type"] for one in found(rest, compared, severity="WARNING")] == ["VALUE_MISMATCH"]
    today = datetime.now(UTC).date()
    assert len(found(rest, compared, fromDate=str(today), toDate=str(today))) == 5
    assert found(rest, compared, fromDate=str(today + timedelta(days=1))) == []
    assert found(rest, compared, toDate=str(today - timedelta(days=1))) == []
    assert len(found(rest, compared, fromDate="0001-01-01", toDate="9999-12-31")) == 5
    for wrong in ({"fromDate": "yesterday"}, {"sortBy": "mood"}, {"size": 0}, {"type": "ODD"}, {"page": -1}):
        rest.call("GET", "/exceptions", params=wrong, status=400)
    one = of_type(rest, compared, "VALUE_MISMATCH")
    assert rest.call("GET", f"/exceptions/{one['id']}") == one
    assert (one["reconciliationName"], one["domain"], one["sourceData"]) == (
        "Cases",
        "BANKING",
        {"id": "1", "amt": "100.00"},
    )
    gone = rest.call("GET", "/exceptions/999999999", status=404)
    assert gone["message"] == "ReconciliationException not found with id: 999999999"


def test_run_summaries_count_what_is_in_scope(rest: Rest, compared: int) -> None:
    (mine,) = [one for one in rest.call("GET", "/exceptions/runs") if one["reconciliationId"] == compared]
    assert (mine["reconciliationName"], mine["domain"], mine["totalInScope"]) == ("Cases", "BANKING", 5)
    assert (mine["criticalOpenCount"], mine["aiActionableCount"]) == (0, 0)
    narrowed = rest.call("GET", "/exceptions/runs", params={"type": "MISSING_TARGET"})
    assert [one["totalInScope"] for one in narrowed if one["reconciliationId"] == compared] == [2]
    assert all(one["totalInScope"] > 0 for one in narrowed)
    assert "createdAt" in mine


def test_a_decision_is_kept_with_its_history(rest: Rest, compared: int) -> None:
    one = of_type(rest, compared, "MISSING_SOURCE")
    path = f"/exceptions/{one['id']}"
    assert rest.call("PUT", path, json={}) == one
    reviewed = rest.call("PUT", path, json={"status": "IN_REVIEW"})
    assert reviewed["status"] == "IN_REVIEW"
    assert reviewed["reviewedAt"] is not None
    rest.call("POST", f"{path}/comments", status=201, json={"text": "asked the bank"})
    due = "2030-01-01T09:00:00+02:00"
    assigned = rest.call("PUT", f"{path}/assignment", json={"assignee": "ana@company.com", "dueAt": due})
    assert (assigned["assignee"], assigned["dueAt"]) == ("ana@company.com", "2030-01-01T07:00:00Z")
    assert [each["id"] for each in found(rest, compared, assignee="ana@company.com")] == [one["id"]]
    assert found(rest, compared, overdue="true") == []
    rest.call("PUT", f"{path}/assignment", json={"dueAt": "2020-01-01T00:00:00Z"})
    assert [each["id"] for each in found(rest, compared, overdue="true")] == [one["id"]]
    body = {"status": "RESOLVED", "resolution": "came a day late", "resolvedBy": "UI User"}
    resolved = rest.call("PUT", path, json=body)
    assert (resolved["status"], resolved["resolution"], resolved["resolvedBy"]) == tuple(body.values())
    assert resolved["resolvedAt"] is not None
    assert found(rest, compared, overdue="true") == []
    refused = rest.call("PUT", path, status=409, json={"status": "OPEN"})
    assert refused["error"] == "EXCEPTION_RESOLVED"
    events = rest.call("GET", f"{path}/history")
    assert [each["kind"] for each in events] == ["DECISION", "COMMENT", "ASSIGNMENT", "ASSIGNMENT", "DECISION"]
    assert events[0]["changes"]["status"] == ["OPEN", "IN_REVIEW"]
    assert events[1]["text"] == "asked the bank"
    assert events[-1]["changes"]["resolution"] == [None, "came a day late"]
    # Resolving again says nothing new.
    assert rest.call("PUT", path, json=body)["updatedAt"] == resolved["updatedAt"]
    rest.call("PUT", path, status=400, json={"status": "DONE"})
    rest.call("POST", f"{path}/comments", status=400, json={"text": ""})
    rest.call("PUT", f"{path}/assignment", status=400, json={"dueAt": "2030-01-01T09:00:00"})


def test_bulk_acts(rest: Rest, compared: int) -> None:
    missing = [one["id"] for one in found(rest, compared, type="MISSING_TARGET", sortDir="asc")]
    answer = rest.http.post(
        "/exceptions/bulk-update", json={"exceptionIds": [*missing, 999999999], "status": "ACKNOWLEDGED"}
    )
    assert answer.json()["message"] == "2 exceptions updated successfully"
    assert [one["id"] for one in answer.json()["data"]] == missing
    assert all(one["acknowledgedAt"] for one in answer.json()["data"])
    resolved = rest.call("POST", "/exceptions/bulk-resolve", json={"ids": missing, "resolution": "paid"})
    assert {one["status"] for one in resolved} == {"RESOLVED"}
    reopened = rest.call("POST", "/exceptions/bulk-resolve", json={"exceptionIds": missing, "status": "OPEN"})
    assert {one["status"] for one in reopened} == {"OPEN"}
    ignored = rest.call("POST", "/exceptions/bulk-ignore", json={"ids": missing[:1], "reason": "test entry"})
    assert [(one["status"], one["resolution"]) for one in ignored] == [("IGNORED", "test entry")]
    by_filter = {"reconciliationId": compared, "type": "MISSING_TARGET", "to": "OPEN"}
    assert rest.call("POST", "/exceptions/bulk-by-filter", json=by_filter) == {"updatedCount": 2}
    wrong = rest.call("POST", "/exceptions/bulk-resolve", status=400, json={"exceptionIds": [], "status": "RESOLVED"})
    assert wrong["data"] == {"exceptionIds": "Exception IDs are required"}
    wrong = rest.call("POST", "/exceptions/bulk-update", status=400, json={"exceptionIds": missing})
    assert wrong["data"] == {"status": "Status is required"}


def test_suggestions_come_from_the_records_and_are_kept(rest: Rest, compared: int) -> None:
    one = of_type(rest, compared, "DUPLICATE")
    assert one["aiSuggestion"] is None
    text = rest.call("GET", f"/exceptions/{one['id']}/suggestions")
    assert "Duplicate key in source with no matching target record (id=2)" in text
    assert "Nearest on the other side: record" in text
    assert rest.call("GET", f"/exceptions/{one['id']}")["aiSuggestion"] == text
    mismatch = of_type(rest, compared, "VALUE_MISMATCH")
    said = rest.call("GET", f"/exceptions/{mismatch['id']}/suggestions")
    assert "source '100.00', target '100.01'" in said
    summary = next(each for each in rest.call("GET", "/exceptions/runs") if each["reconciliationId"] == compared)
    assert summary["aiActionableCount"] == 2
    body = {"reconciliationId": compared, "type": "DUPLICATE"}
    done = rest.call("POST", "/exceptions/bulk-auto-resolve", json=body)
    assert (done["updatedCount"], done["updatedIds"], done["skippedCount"]) == (1, [one["id"]], 0)
    again = rest.call(
        "POST", "/exceptions/bulk-auto-resolve", json={"reconciliationId": compared, "type": "MISSING_TARGET"}
    )
    assert again["skippedReasonCounts"] == {"not_open": 0, "missing_ai_suggestion": 2}
    resolved = rest.call("GET", f"/exceptions/{one['id']}")
    assert (resolved["resolution"], resolved["resolvedBy"]) == (
        "Resolved automatically from AI suggestion",
        "AI Auto Resolver",
    )


def test_resolve_and_ignore_by_path(rest: Rest, compared: int) -> None:
    first, second = found(rest, compared, type="MISSING_TARGET", sortDir="asc")
    resolved = rest.call("PUT", f"/exceptions/{first['id']}/resolve", json={"resolution": "found"})
    assert (resolved["status"], resolved["resolution"]) == ("RESOLVED", "found")
    ignored = rest.call("PUT", f"/exceptions/{second['id']}/ignore", headers={"Content-Type": "application/json"})
    assert (ignored["status"], ignored["ignoredAt"] is not None) == ("IGNORED", True)


def test_the_dashboard_counts_them(rest: Rest, compared: int) -> None:
    metrics = rest.call("GET", "/dashboard/metrics")
    recent = [one for one in metrics["recentReconciliations"] if one["id"] == compared]
    assert [(one["status"], one["matchRate"], one["exceptionCount"]) for one in recent] == [("COMPLETED", 40.0, 5)]
    assert metrics["completedReconciliations"] >= 1
    assert metrics["totalReconciliations"] >= metrics["completedReconciliations"] + metrics["failedReconciliations"]
    assert metrics["exceptionsByType"]["MISSING_TARGET"] >= 2
    assert metrics["resolvedExceptions"] >= 3
    assert 0 <= metrics["overallMatchRate"] <= 100
    assert {"openExceptions", "totalExceptions", "totalFilesUploaded", "totalRuleSets", "exceptionsBySeverity"} <= set(
        metrics
    )


def test_reconciliations_sort_and_go_in_bulk(rest: Rest, compared: int) -> None:
    view = rest.call("GET", f"/reconciliations/{compared}")
    body = {name: view[name] for name in ("sourceFileId", "targetFileId", "ruleSetId")}
    made = [rest.call("POST", "/reconciliations", status=201, json={**body, "name": n})["id"] for n in ("zz", "aa")]
    for sort in ("createdAt", "completedAt", "name", "status", "matchRate"):
        down = rest.call("GET", "/reconciliations", params={"page": 0, "size": 500, "sort": sort, "order": "desc"})
        up = rest.call("GET", "/reconciliations", params={"page": 0, "size": 500, "sort": sort})
        assert {one["id"] for one in up["content"]} >= {*made, compared}
        assert [one["id"] for one in up["content"]] == [one["id"] for one in reversed(down["content"])]
    names = [
        one["name"] for one in rest.call("GET", "/reconciliations", params={"size": 500, "sort": "name"})["content"]
    ]
    assert names == sorted(names)
    rest.call("GET", "/reconciliations", params={"page": 0, "sort": "mood"}, status=400)
    done = rest.call("DELETE", "/reconciliations/bulk", json=[*made, 999999999])
    assert (done["totalRequested"], done["successCount"], done["failedCount"]) == (3, 2, 1)
    assert done["errors"] == ["Failed to delete ID 999999999: Reconciliation not found with id: 999999999"]
