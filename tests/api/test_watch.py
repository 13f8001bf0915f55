"""Progress as server-sent events."""

from __future__ import annotations

import itertools
import json
from typing import Any

from tests.parts.rest import Rest, step


def watched(rest: Rest, run: int) -> list[tuple[str, dict[str, Any]]]:
    with rest.http.stream("GET", f"/stream-runs/{run}/events") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        blocks = "".join(answer.iter_text()).split("\n\n")
    events: list[tuple[str, dict[str, Any]]] = []
    for block in blocks:
        if block and not block.startswith(":"):
            name, text = block.split("\n")
            events.append((name.removeprefix("event: "), json.loads(text.removeprefix("data: "))))
    return events


def test_a_run_is_watched_until_it_ends(rest: Rest) -> None:
    files = [rest.upload(f"watch_{name}.csv", "id\n1\n2\n")["id"] for name in "ab"]
    rules = rest.rule_set(["id"])
    run = rest.run(rest.stream([step(1, files[0], files[1], rules)])["id"])
    events = watched(rest, run)
    names = [name for name, _ in events]
    assert names[:2] == ["run", "step"]
    assert names.count("end") == 1
    assert names[-1] == "end"
    assert events[-1][1] == rest.call("GET", f"/stream-runs/{run}")
    assert events[-1][1]["status"] == "COMPLETED"
    steps = [shown for name, shown in events if name == "step"]
    assert steps[-1] == rest.steps(run)[0]
    # Nothing is told twice.
    assert all(earlier != later for earlier, later in itertools.pairwise(steps))
    assert [name for name, _ in watched(rest, run)] == ["run", "step", "end"]
    assert rest.call("GET", "/stream-runs/99999999/events", status=404)["error"] == "RUN_NOT_FOUND"
