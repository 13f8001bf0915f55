"""Runs on the real engine: policies, failures that name what to mend, cancelling, and what the Prefect UI is given."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import polars as pl
import pytest

from recon.local import EmbeddedStack
from tests.parts.rest import Rest, step

SOURCE = "id,amt\n1,40.00\n2,5.00\n3,7.00\n"
TARGET = "id,amt\n1,40.00\n2,5.00\n4,9.00\n"


@pytest.fixture(scope="module")
def files(rest: Rest) -> list[int]:
    return [rest.upload(name, text)["id"] for name, text in (("a.csv", SOURCE), ("b.csv", TARGET))]


@pytest.fixture(scope="module")
def good(rest: Rest) -> int:
    return rest.rule_set(["id"])


@pytest.fixture(scope="module")
def bad(rest: Rest) -> int:
    return rest.rule_set(["order_id"])


def statuses(rest: Rest, run_id: int) -> list[str]:
    return [one["status"] for one in rest.steps(run_id)]


def test_a_tolerated_failure_skips_only_what_reads_it(rest: Rest, files: list[int], good: int, bad: int) -> None:
    stream = rest.stream(
        [
            step(1, files[0], files[1], bad, continueOnFailure=True, maxRetries=2),
            step(2, ("STEP_OUTPUT_UNMATCHED_SOURCE", 1), files[1], good),
            step(3, files[0], files[1], good),
        ]
    )["id"]
    run = rest.ended(run_id := rest.run(stream))
    assert run["status"] == "PARTIAL_FAILED"
    assert statuses(rest, run_id) == ["FAILED", "SKIPPED", "COMPLETED"]
    # Bad input is terminal whatever the retries.
    assert rest.steps(run_id)[0]["attemptNo"] == 1
    assert run["metrics"]["failedSteps"] == 1
    assert run["errorMessage"] == (
        f"Step 1 (Step 1; FILE {files[0]}, FILE {files[1]}, rule set {bad}): "
        "COLUMN_NOT_FOUND: Column 'order_id' not found in source; available: id, amt"
    )


def test_a_failure_that_stops_skips_everything_after(rest: Rest, files: list[int], good: int, bad: int) -> None:
    stream = rest.stream(
        [step(1, files[0], files[1], good), step(2, files[0], files[1], bad), step(3, files[0], files[1], good)]
    )
    run = rest.ended(run_id := rest.run(stream["id"]))
    assert run["status"] == "FAILED"
    assert statuses(rest, run_id) == ["COMPLETED", "FAILED", "SKIPPED"]


def test_nothing_completed_is_failed_though_tolerated(rest: Rest, files: list[int], bad: int) -> None:
    stream = rest.stream([step(1, files[0], files[1], bad, continueOnFailure=True)])["id"]
    assert rest.ended(rest.run(stream))["status"] == "FAILED"


def test_what_validate_finds_makes_the_run_fail_with_the_same_code(
    rest: Rest, stack: EmbeddedStack, files: list[int], good: int
) -> None:
    keyless = rest.rule_set([], {"amt": ("EXACT", None)})
    vanishing = rest.upload("vanishing.csv", SOURCE)["id"]
    blobs = stack.data_dir / "files"
    before = {path for path in blobs.rglob("*") if path.is_file()}
    gone = rest.upload("gone.csv", SOURCE)["id"]
    for path in {path for path in blobs.rglob("*") if path.is_file()} - before:
        path.unlink()
    assert rest.call("GET", f"/files/{gone}")["missing"] is True
    assert rest.call("GET", f"/files/{vanishing}")["missing"] is False
    expected = {
        "KEY_FIELD_REQUIRED": step(1, files[0], files[1], keyless),
        "FILE_MISSING_IN_STORAGE": step(1, gone, files[1], good),
    }
    messages: dict[str, str] = {}
    for code, only in expected.items():
        stream = rest.stream([only])["id"]
        assert [one["code"] for one in rest.call("POST", f"/streams/{stream}/validate")["errors"]] == [code]
        run = rest.ended(rest.run(stream))
        assert run["status"] == "FAILED"
        messages[code] = run["errorMessage"]
        assert f"): {code}: " in messages[code]
        assert f"rule set {only['ruleSetId']}" in messages[code]
    assert f"FILE {gone}" in messages["FILE_MISSING_IN_STORAGE"]
    assert "'gone.csv'" in messages["FILE_MISSING_IN_STORAGE"]


def test_a_run_keeps_the_rules_it_started_with(rest: Rest, files: list[int]) -> None:
    rules = rest.rule_set(["id"])
    stream = rest.stream([step(1, files[0], files[1], rules)])["id"]
    first = rest.ended(rest.run(stream))
    mapping = {"sourceField": "amt", "targetField": "amt", "isKey": True}
    rest.call("PUT", f"/rules/{rules}", json={"name": "by amount", "fieldMappings": [mapping]})
    second = rest.ended(rest.run(stream))
    assert (first["metrics"]["matchedRecords"], second["metrics"]["matchedRecords"]) == (2, 2)
    assert first["metrics"]["exceptionCount"] == second["metrics"]["exceptionCount"] == 2
    rest.call("DELETE", f"/rules/{rules}", status=409)


def test_the_same_run_twice_gives_the_same_bytes(rest: Rest, files: list[int], good: int) -> None:
    stream = rest.stream([step(1, files[0], files[1], good)])["id"]
    checksums = []
    for _ in range(2):
        run_id = rest.run(stream)
        rest.ended(run_id)
        checksums.append({kind: one["checksum"] for kind, one in rest.artifacts(rest.steps(run_id)[0]["id"]).items()})
    assert checksums[0] == checksums[1]


def test_cancel(rest: Rest, files: list[int], good: int) -> None:
    stream = rest.stream([step(order, files[0], files[1], good) for order in range(1, 30)])["id"]
    run_id = rest.run(stream)
    canceled = rest.call("POST", f"/stream-runs/{run_id}/cancel")
    assert set(canceled) == {"runId", "status", "completedAt"}
    assert canceled["status"] == "CANCELED"
    run = rest.call("GET", f"/stream-runs/{run_id}")
    assert (run["status"], run["completedAt"]) == ("CANCELED", canceled["completedAt"])
    assert set(statuses(rest, run_id)) <= {"CANCELED", "COMPLETED"}
    assert rest.call("POST", f"/stream-runs/{run_id}/cancel", status=409)["error"] == "RUN_NOT_CANCELABLE"
    done = rest.run(rest.stream([step(1, files[0], files[1], good)])["id"])
    rest.ended(done)
    rest.call("POST", f"/stream-runs/{done}/cancel", status=409)
    assert rest.call("GET", f"/stream-runs/{run_id}")["status"] == "CANCELED"


def test_what_people_see_in_prefect(rest: Rest, stack: EmbeddedStack, files: list[int], good: int) -> None:
    name = "Orders / Bank & <more> 100%"
    stream = rest.stream([step(1, files[0], files[1], good), step(2, files[0], files[1], good)], name)["id"]
    run_id = rest.run(stream)
    rest.ended(run_id)
    with httpx.Client(base_url=stack.prefect_api_url, timeout=30) as prefect:
        flows = prefect.post("/flows/filter", json={}).json()
        assert f"Orders Bank more 100 ({stream})" in [one["name"] for one in flows]
        deployment = prefect.post(
            "/deployments/filter", json={"deployments": {"name": {"any_": [f"stream-{stream}"]}}}
        ).json()[0]
        assert deployment["entrypoint"] == "flows.entrypoint.run_stream"
        flow_runs = {"flow_runs": {"deployment_id": {"any_": [deployment["id"]]}}}
        (flow_run,) = prefect.post("/flow_runs/filter", json=flow_runs).json()
        assert flow_run["name"] == f"Orders Bank more 100 · run ({run_id})"
        # The server records task runs from events, a little later.
        deadline = time.monotonic() + 30
        tasks: list[dict[str, str]] = []
        while len(tasks) < 2 and time.monotonic() < deadline:
            tasks = prefect.post("/task_runs/filter", json=flow_runs).json()
            time.sleep(0.2)
        assert sorted(one["name"] for one in tasks) == [f"1. Step 1 (run {run_id})", f"2. Step 2 (run {run_id})"]
        shown = prefect.post("/artifacts/filter", json={**flow_runs}).json()
        assert {one["key"] for one in shown} == {
            "step-1-result", "step-1-downloads", "step-2-result", "step-2-downloads",
        }  # fmt: skip
        table = next(one for one in shown if one["key"] == "step-1-result")
        assert {"rows": "matched", "count": "2"} in json.loads(table["data"])
        assert {"rows": "exceptions: MISSING_TARGET", "count": "1"} in json.loads(table["data"])
        downloads = next(one for one in shown if one["key"] == "step-1-downloads")
        assert f"{stack.api_url}/api/v1/files/" in downloads["data"]


def test_a_busy_engine_misses_no_stream(rest: Rest, stack: EmbeddedStack, files: list[int], good: int) -> None:
    made = [rest.stream([step(1, files[0], files[1], good)])["id"] for _ in range(20)]
    names = [f"stream-{one}" for one in made]
    found = httpx.post(f"{stack.prefect_api_url}/deployments/filter", json={"deployments": {"name": {"any_": names}}})
    assert sorted(one["name"] for one in found.json()) == sorted(names)


def test_a_deployment_that_was_deleted_in_the_engine_is_made_again(rest: Rest, stack: EmbeddedStack) -> None:
    stored = rest.upload("again.csv", "id\n1\n")["id"]
    stream = rest.stream([step(1, stored, stored, rest.rule_set(["id"]))], "Deployed twice")["id"]
    with httpx.Client(base_url=stack.prefect_api_url, timeout=30) as prefect:
        named = {"deployments": {"name": {"any_": [f"stream-{stream}"]}}}
        (deployment,) = prefect.post("/deployments/filter", json=named).json()
        assert prefect.delete(f"/deployments/{deployment['id']}").status_code == 204
    assert rest.ended(rest.run(stream))["status"] == "COMPLETED"


def test_febrl_in_two_steps(rest: Rest, shared_data: Path) -> None:
    """Exact ids find 4,561 of the 5,000 pairs; names with street numbers find some of the rest, and the truth file says which."""
    files = [
        rest.upload(f"{side}.csv", (shared_data / "febrl" / f"{side}.csv").read_bytes())
        for side in ("source", "target")
    ]
    assert [one["rowCount"] for one in files] == [5000, 5000]
    by_id, by_name = rest.rule_set(["soc_sec_id"]), rest.rule_set(["surname", "date_of_birth"])
    stream = rest.stream(
        [
            step(1, files[0]["id"], files[1]["id"], by_id),
            step(2, ("STEP_OUTPUT_UNMATCHED_SOURCE", 1), ("STEP_OUTPUT_UNMATCHED_TARGET", 1), by_name),
        ],
        "FEBRL",
    )["id"]
    run = rest.ended(run_id := rest.run(stream))
    assert run["status"] == "COMPLETED", run
    first, second = (rest.artifacts(one["id"]) for one in rest.steps(run_id))
    assert [first[kind]["rowCount"] for kind in ("MATCHED", "UNMATCHED_SOURCE", "UNMATCHED_TARGET")] == [4561, 439, 439]

    frames = [
        pl.read_csv(shared_data / "febrl" / f"{side}.csv", infer_schema=False).fill_null("")
        for side in ("source", "target")
    ]
    source, target = (frame.with_row_index("row", offset=1) for frame in frames)
    truth = pl.read_csv(shared_data / "febrl" / "truth.csv")
    keys = ["surname", "date_of_birth"]
    found = [pl.read_parquet(rest.download(one["MATCHED"]["downloadUrl"])) for one in (first, second)]
    # The second step's pairs, counted independently: what step 1 left, joined on the keys.
    rest_source = source.join(found[0], left_on="row", right_on="source_row", how="anti")
    rest_target = target.join(found[0], left_on="row", right_on="target_row", how="anti")
    counts = rest_source.group_by(keys).len("n").join(rest_target.group_by(keys).len("m"), on=keys)
    assert found[1].height == counts.select(pl.min_horizontal("n", "m").sum()).item()
    assert second["UNMATCHED_SOURCE"]["rowCount"] == 439 - found[1].height
    assert run["metrics"]["matchedRecords"] == 4561 + found[1].height

    named = [
        pairs.select(
            source_rec_id=source["rec_id"].gather(pairs["source_row"].cast(pl.Int64) - 1),
            target_rec_id=target["rec_id"].gather(pairs["target_row"].cast(pl.Int64) - 1),
        )
        for pairs in found
    ]
    right = [pairs.join(truth, on=["source_rec_id", "target_rec_id"], how="semi").height for pairs in named]
    assert right[0] == 4561
    assert right[1] == found[1].height > 200
    # Identity survives chaining: the leftover of step 2 names lines of the uploads.
    left = pl.read_parquet(rest.download(second["UNMATCHED_SOURCE"]["downloadUrl"], format="parquet"))
    assert left["_recon_file_id"].unique().to_list() == [files[0]["id"]]
    assert left["rec_id"].to_list() == source["rec_id"].gather(left["_recon_row"] - 1).to_list()
