"""What people did with an exception is there again when a later run finds the same one."""

from __future__ import annotations

from typing import Any

from tests.parts.rest import Rest, step


def test_decisions_survive_a_re_run(rest: Rest) -> None:
    source = "id,amt,note\n1,10,a\n2,20,b\n3,30,c\n3,30,c\n4,1,d\n"
    files = [rest.upload("again_a.csv", source)["id"], rest.upload("again_b.csv", "id,amt\n1,11\n9,9\n")["id"]]
    rules = rest.rule_set(["id"], {"amt": ("EXACT", None)})
    stream = rest.stream([step(1, files[0], files[1], rules)])["id"]

    def found() -> dict[tuple[str, str], dict[str, Any]]:
        run = rest.run(stream)
        assert rest.ended(run)["status"] == "COMPLETED"
        (only,) = rest.steps(run)
        path = f"/reconciliations/{only['reconciliationId']}/exceptions"
        rows = rest.call("GET", path, params={"size": 500})["content"]
        return {(one["type"], str(one["sourceData"] or one["targetData"]) + str(n)): one for n, one in enumerate(rows)}

    first = found()
    assert len(first) == 6
    assert {one["carriedFrom"] for one in first.values()} == {None}
    by_id = {(kind, (one["sourceData"] or one["targetData"])["id"]): one for (kind, _), one in first.items()}
    mismatch, two = by_id["VALUE_MISMATCH", "1"], by_id["MISSING_TARGET", "2"]
    rest.call(
        "PUT", f"/exceptions/{mismatch['id']}", json={"status": "RESOLVED", "resolution": "a fee", "resolvedBy": "ana"}
    )
    rest.call("PUT", f"/exceptions/{two['id']}/assignment", json={"assignee": "bo"})
    rest.call("POST", f"/exceptions/{two['id']}/comments", status=201, json={"text": "asked the gateway"})
    threes = [one for (kind, _), one in first.items() if kind == "MISSING_TARGET" and one["sourceData"]["id"] == "3"]
    rest.call("PUT", f"/exceptions/{threes[1]['id']}", json={"status": "IGNORED"})

    # Another file: new rows before the old ones, one of them with another value; columns in another order.
    changed = "note,id,amt\nz,0,0\na,1,10\nb,2,20\nc,3,30\nc,3,30\nd,4,2\n"
    rest.call("PATCH", f"/streams/{stream}", json={
        "steps": [step(1, rest.upload("again_c.csv", changed)["id"], files[1], rules)],
    })  # fmt: skip
    second = list(found().values())
    assert len(second) == 7
    now = {one["carriedFrom"]: one for one in second}
    again = now[mismatch["id"]]
    assert (again["status"], again["resolution"], again["resolvedBy"]) == ("RESOLVED", "a fee", "ana")
    assert (again["resolvedAt"], again["firstSeenAt"]) != (None, again["createdAt"])
    assert again["firstSeenAt"] == mismatch["createdAt"]
    assert now[two["id"]]["assignee"] == "bo"
    events = rest.call("GET", f"/exceptions/{now[two['id']]['id']}/history")
    assert [one["kind"] for one in events] == ["ASSIGNMENT", "COMMENT"]
    assert [now[one["id"]]["status"] for one in threes] == ["OPEN", "IGNORED"]
    fresh = [one for one in second if one["carriedFrom"] is None]
    assert sorted(one["sourceData"]["id"] for one in fresh) == ["0", "4"]
    assert {one["status"] for one in fresh} == {"OPEN"}

    # A third run carries on from the second, also where that opened one again.
    rest.call("POST", "/exceptions/bulk-update", json={"exceptionIds": [again["id"]], "status": "IN_REVIEW"})
    third = {one["carriedFrom"]: one for one in found().values()}
    assert third[again["id"]]["status"] == "IN_REVIEW"
    assert third[again["id"]]["firstSeenAt"] == mismatch["createdAt"]
    history = rest.call("GET", f"/exceptions/{third[again['id']]['id']}/history")
    assert [one["changes"]["status"] for one in history] == [["OPEN", "RESOLVED"], ["RESOLVED", "IN_REVIEW"]]
