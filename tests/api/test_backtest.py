"""Back-tests over the API: what would change, page by page; nothing is stored."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parts.rest import Rest

SOURCE = "id,ref,amount\na,1,10.00\nb,2,20.00\nc,3,30.00\n"
TARGET = "id,ref,amount\na,1,10.00\nb,9,25.00\nx,3,30.00\n"
BY_REF = [{"name": "by ref", "keys": [{"sourceField": "ref"}], "comparisons": [{"sourceField": "amount"}]}]


@pytest.fixture(scope="module")
def files(rest: Rest) -> dict[str, int]:
    names = {"sourceFileId": ("backtest_source.csv", SOURCE), "targetFileId": ("backtest_target.csv", TARGET)}
    return {key: rest.upload(name, text)["id"] for key, (name, text) in names.items()}


@pytest.fixture
def rule_set(rest: Rest) -> int:
    return rest.rule_set(["id"], {"amount": ("EXACT", None)})


def test_other_passes(rest: Rest, files: dict[str, int], rule_set: int) -> None:
    before = rest.call("GET", f"/rules/{rule_set}")
    found = rest.call("POST", f"/rules/{rule_set}/backtest", json={**files, "passes": BY_REF})
    assert set(found) == {"changes", "old", "new", "breaks", "totals", "matches"}
    assert found["changes"] == {
        "old": 2, "new": 2, "same": 1, "won": 1, "lost": 1, "rePairedOld": 0, "rePairedNew": 0, "rePaired": 0,
    }  # fmt: skip
    source, target = files["sourceFileId"], files["targetFileId"]
    lost, won = found["matches"]["content"]
    assert lost == {
        "status": "LOST", "sourceOld": f"{source}:2", "sourceNew": None, "targetOld": f"{target}:2", "targetNew": None,
        "passOld": "legacy", "passNew": None,
    }  # fmt: skip
    assert (won["status"], won["sourceNew"], won["passNew"]) == ("WON", f"{source}:3", "by ref")
    assert {"type": "VALUE_MISMATCH", "field": "amount", "same": 0, "gone": 1, "new": 0} in found["breaks"]
    assert {"side": "source", "bucket": "MATCHED", "old": 2, "new": 2} in found["totals"]
    assert (found["old"]["matchedRecords"], found["new"]["exceptionCount"]) == (2, 2)
    assert rest.call("GET", f"/rules/{rule_set}") == before


def test_another_version_page_by_page(rest: Rest, files: dict[str, int], rule_set: int) -> None:
    body: dict[str, Any] = {"name": "rules", "passes": BY_REF}
    rest.call("PUT", f"/rules/{rule_set}", json=body)
    path = f"/rules/{rule_set}/backtest"
    back = rest.call("POST", f"{path}?size=1&page=1", json={**files, "version": 1})
    assert (back["changes"]["lost"], back["changes"]["won"]) == (1, 1)
    page = back["matches"]
    assert (page["totalElements"], page["totalPages"], page["number"], page["last"]) == (2, 2, 1, True)
    assert page["content"][0]["status"] == "WON"
    same = rest.call("POST", f"{path}?status=SAME", json={**files, "version": 2})
    assert [one["status"] for one in same["matches"]["content"]] == ["SAME", "SAME"]


def test_what_is_refused(rest: Rest, files: dict[str, int], rule_set: int) -> None:
    path = f"/rules/{rule_set}/backtest"
    for body in (files, {**files, "version": 1, "passes": BY_REF}):
        assert "give either version or passes" in rest.call("POST", path, status=400, json=body)["data"]["version"]
    newer = rest.call("POST", path, status=400, json={**files, "version": 2})
    assert newer["data"] == {"version": "there is no version 2; the newest one is 1"}
    wrong = rest.call("POST", path, status=400, json={**files, "passes": [{"keys": []}]})
    assert wrong["error"] == "RULE_INVALID"
    assert list(wrong["data"]) == ["passes[0]"]
    column = [{"keys": [{"sourceField": "nothing"}]}]
    assert rest.call("POST", path, status=400, json={**files, "passes": column})["error"] == "COLUMN_NOT_FOUND"
    rest.call("POST", "/rules/999999/backtest", status=404, json={**files, "version": 1})
    rest.call("POST", path, status=404, json={**files, "targetFileId": 999999, "version": 1})
    assert (
        rest.call("POST", f"{path}?status=NO", status=400, json={**files, "version": 1})["error"] == "INVALID_PARAMETER"
    )
    broken = rest.upload("backtest_broken.csv", "a,b\n1\n")["id"]
    failed = rest.call("POST", path, status=400, json={**files, "sourceFileId": broken, "version": 1})
    assert failed["message"].startswith("File processing failed")


def test_large_files_are_refused(rest: Rest, files: dict[str, int], rule_set: int) -> None:
    large = rest.upload("backtest_large.csv", "id,ref,amount\n" + "a,1,1\n" * 498)["id"]
    body = {**files, "sourceFileId": large, "version": 1}
    answer = rest.call("POST", f"/rules/{rule_set}/backtest", status=400, json=body)
    assert answer["error"] == "BACKTEST_TOO_LARGE"
    assert answer["message"].startswith("The files have 501 rows, and a back-test takes at most 500")
