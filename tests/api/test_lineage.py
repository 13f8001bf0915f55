"""Lineage over REST: a run as a graph, and the way of one record through all steps."""

from __future__ import annotations

from tests.parts.rest import Rest, step


def test_a_run_and_a_record_can_be_traced(rest: Rest) -> None:
    contents = {
        "trace_a.csv": "id,amt\n1,10\n2,20\n3,30\n2,21\n",
        "trace_b.csv": "id,amt\n1,11\n",
        "trace_c.csv": "id,amt\n2,20\n",
    }
    files = [rest.upload(name, text)["id"] for name, text in contents.items()]
    rules = rest.rule_set(["id"], {"amt": ("EXACT", None)})
    second = step(2, ("STEP_OUTPUT_UNMATCHED_SOURCE", 1), files[2], rules)
    stream = rest.stream([step(1, files[0], files[1], rules), second])["id"]
    run = rest.run(stream)
    assert rest.ended(run)["status"] == "COMPLETED"
    first_step, second_step = rest.steps(run)
    left = rest.artifacts(first_step["id"])["UNMATCHED_SOURCE"]

    graph = rest.call("GET", f"/stream-runs/{run}/lineage")
    nodes = {one["key"]: one for one in graph["nodes"]}
    assert {key for key, one in nodes.items() if one["kind"] == "FILE"} == {f"FILE:{one}" for one in files}
    assert nodes[f"FILE:{files[0]}"]["facts"]["rowCount"] == 4
    assert [one["kind"] for one in graph["nodes"]].count("ARTIFACT") == 8
    edges = {(one["from"], one["to"], one["eventType"]) for one in graph["edges"]}
    assert len(edges) == len(graph["edges"]) == 12
    assert (f"ARTIFACT:{left['id']}", f"STEP_RUN:{second_step['id']}", "ARTIFACT_READ") in edges
    assert (f"STEP_RUN:{first_step['id']}", f"ARTIFACT:{left['id']}", "ARTIFACT_PUBLISHED") in edges
    assert (f"FILE:{files[2]}", f"STEP_RUN:{second_step['id']}", "INPUT_READ") in edges
    assert all(one["from"] in nodes and one["to"] in nodes for one in graph["edges"])

    def history(row: int, file: int = files[0]) -> list[dict[str, object]]:
        found = rest.call("GET", f"/records/{file}/{row}/history")
        assert found["filename"] in contents
        return found["passages"]

    (only,) = history(1)
    assert (only["outcome"], only["side"], only["stepOrder"]) == ("MATCHED", "source", 1)
    assert only["partners"] == [{"fileId": files[1], "row": 1, "score": 0.0}]
    assert [one["type"] for one in only["exceptions"]] == ["VALUE_MISMATCH"]
    missed, found = history(2)
    assert (missed["outcome"], missed["reason"], found["outcome"]) == ("UNMATCHED", "MISSING", "MATCHED")
    assert found["partners"] == [{"fileId": files[2], "row": 1, "score": 1.0}]
    assert [(one["outcome"], one["reason"]) for one in history(4)] == [
        ("UNMATCHED", "MISSING"),
        ("UNMATCHED", "DUPLICATE"),
    ]
    (theirs,) = history(1, files[2])
    assert (theirs["side"], theirs["partners"][0]["row"]) == ("target", 2)
    assert rest.call("GET", f"/records/{files[0]}/3/history")["record"] == {"id": "3", "amt": "30"}
    for path in (f"/records/{files[0]}/5/history", f"/records/{files[0]}/0/history", "/records/99999999/1/history"):
        rest.call("GET", path, status=404)
    rest.call("GET", "/stream-runs/99999999/lineage", status=404)
