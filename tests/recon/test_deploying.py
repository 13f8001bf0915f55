"""Streams as code at a real stack: the same bytes as in a process, and deploying again changes what changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from models.errors import Conflict, DependencyDown, ValidationFailed
from recon import Input, MatchingRule, RuleSet, RunFailed, Step, StepNotCompleted, Stream, template
from recon.client import RequestRefused
from recon.ecommerce import generate
from recon.local import EmbeddedStack
from tests.parts.rest import Rest
from tests.parts.rest import step as step_body

RULES = RuleSet.of("id", "amt:0.01")
STAGES = ("marketplace_orders.csv", "gateway_settlements.csv", "bank_credits.csv")


def frames() -> tuple[pl.DataFrame, pl.DataFrame]:
    source = pl.DataFrame({"id": [1, 2, 3], "amt": [1.5, 2.5, 3.5]})
    return source, source.with_columns(pl.col("amt") + pl.Series([0.0, 0.5, 0.0]))


def without_ids(folder: Path) -> dict[str, Any]:
    """What is written, by path: the bytes of Parquet and CSV without the input's number, which differs on a server in use."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            found[name] = frame.drop(column for column in frame.columns if column.endswith("file_id")).write_json()
        elif path.suffix == ".csv":
            found[name] = pl.read_csv(path, infer_schema=False).drop("^.*file_id$").write_csv()
        else:
            found[name] = {**json.loads(path.read_text()), "inputs": None}
    return found


def test_the_template_gives_the_same_here_and_on_a_server(stack: EmbeddedStack, tmp_path: Path) -> None:
    """Byte for byte where the server's numbers are given to the inputs here; and in all but those where not."""
    generate(tmp_path / "data", orders=400)
    rules = [{**one, "name": f"as code {number}"} for number, one in enumerate(template.rule_sets())]

    def stream(ids: dict[str, int]) -> Stream:
        def given(name: str) -> Input:
            return Input(tmp_path / "data" / name, file_id=ids.get(name))

        steps: list[Step] = []
        for number, target in enumerate(STAGES, start=1):
            source = steps[-1].unmatched_source if steps else given("oms_orders.csv")
            severities = {"MISSING_TARGET": "CRITICAL"} if number == 3 else None
            steps.append(Step(f"step {number}", source, given(target), rules[number - 1], severities=severities))
        return Stream("Template as code", steps, domain="ECOMMERCE")

    deployment = stream({}).deploy(api_url=stack.api_url)
    remote = deployment.run(metadata={"by": "a test"})
    remote.write(tmp_path / "server")
    ids = {name: file_id for file_id, name in deployment.inputs.items()}
    assert set(ids) == {"oms_orders.csv", *STAGES}
    with stream(ids).run() as local:
        local.write(tmp_path / "here")
        for name, step in local.steps.items():
            assert remote.steps[name].statistics == step.statistics
            assert remote.steps[name].totals == step.totals
    written = [{str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*.*")} for folder in
               (tmp_path / "here", tmp_path / "server")]  # fmt: skip
    assert len(written[0]) == 3 * 7 + 1
    assert written[0] == written[1]
    stream({}).run().write(tmp_path / "own numbers")
    assert without_ids(tmp_path / "own numbers") == without_ids(tmp_path / "here")


def test_deploying_again_changes_what_changed(stack: EmbeddedStack, rest: Rest, tmp_path: Path) -> None:
    source, target = frames()
    path = tmp_path / "target.csv"
    target.write_csv(path)

    def deployed(rules: RuleSet = RULES, **options: Any) -> tuple[Any, dict[str, Any]]:
        first = Step("first", Input(source, name="orders"), path, rules)
        policies: dict[str, Any] = {"continue_on_failure": True, "max_retries": 1, "timeout_seconds": 600}
        steps = [first, Step("rest", first.unmatched_source, path, rules, **policies)]
        made = Stream("Again & again", steps, description="twice").deploy(api_url=stack.api_url, **options)
        return made, rest.call("GET", f"/streams/{made.stream_id}")

    made, before = deployed(cron="30 6 * * *")
    assert before["triggerType"] == "SCHEDULED"
    assert before["triggerConfig"] == {"cron": "30 6 * * *", "timezone": "UTC"}
    assert before["steps"][1]["config"] == {"continueOnFailure": True, "maxRetries": 1, "timeoutSeconds": 600}
    assert made.inputs == {
        before["steps"][0]["sourceInput"]["id"]: "orders.parquet",
        before["steps"][0]["targetInput"]["id"]: "target.csv",
    }
    assert made.prefect_deployment == f"Again again ({made.stream_id})/stream-{made.stream_id}"

    again, same = deployed(cron="30 6 * * *")
    assert again == made
    assert same == before  # `updatedAt` too: nothing was sent that changes anything
    assert rest.call("GET", f"/rules/{made.rule_sets['first']}")["version"] == 1

    path.write_text("id,amt\n1,1.5\n")
    changed, after = deployed(RuleSet.of("id", "amt:1"))
    assert changed.stream_id == made.stream_id
    assert changed.rule_sets == made.rule_sets
    assert rest.call("GET", f"/rules/{made.rule_sets['first']}")["version"] == 2
    assert (after["triggerType"], after["triggerConfig"]) == ("MANUAL", None)
    assert after["steps"][0]["sourceInput"] == before["steps"][0]["sourceInput"]
    assert after["steps"][0]["targetInput"] != before["steps"][0]["targetInput"]
    result = changed.run()
    assert [one.statistics.matched_records for one in result.steps.values()] == [1, 0]
    assert result.steps["first"].unmatched_source["_recon_row"].to_list() == [2, 3]
    with httpx.Client(base_url=stack.prefect_api_url, timeout=30) as prefect:
        deployment = prefect.get(f"/deployments/name/{made.prefect_deployment}").json()
        assert deployment["schedules"] == []

    rest.call("DELETE", f"/streams/{made.stream_id}")
    anew, _ = deployed()
    assert anew.stream_id != made.stream_id


def test_what_a_server_refuses_is_said_in_its_own_words(
    stack: EmbeddedStack, rest: Rest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECON_API_URL", stack.api_url)
    source, target = frames()
    good = Step("good", source, target, RULES)
    failing = Stream("Failing", [good, Step("bad", source, target, RuleSet.of("order"))]).deploy()
    with pytest.raises(RunFailed, match=r"Run \d+ of 'Failing' is FAILED: Step 2 \(bad; .*COLUMN_NOT_FOUND") as raised:
        failing.run()
    bad = raised.value.result.steps["bad"]
    assert bad.error == ("COLUMN_NOT_FOUND", "Column 'order' not found in source; available: id, amt")
    assert raised.value.result.steps["good"].matched.height == 3
    with pytest.raises(StepNotCompleted, match="Step 2 'bad' is FAILED: COLUMN_NOT_FOUND"):
        _ = bad.exceptions
    rest.call("POST", f"/streams/{failing.stream_id}/pause")
    with pytest.raises(RequestRefused, match="409 STREAM_NOT_ACTIVE"):
        failing.start()

    with pytest.raises(ValidationFailed, match="cron: the hour takes 0 to 23, got '25'"):
        Stream("s", [good]).deploy(cron="0 0 25 * * *")
    with pytest.raises(ValidationFailed, match=r"timezone: an IANA time zone such as 'Europe/Berlin', got 'Berlin'"):
        Stream("s", [good]).deploy(cron="0 0 5 * * *", timezone="Berlin")
    for trigger in ({"triggerType": "HOURLY"}, {"cron": "0 0 5 * * *"}):
        with pytest.raises(ValidationFailed, match="is not understood; expected triggerType"):
            Stream("s", [good]).deploy(trigger=trigger)
    with pytest.raises(ValidationFailed, match="Give either cron or trigger"):
        Stream("s", [good]).deploy(cron="0 0 5 * * *", trigger={"triggerType": "MANUAL"})
    with pytest.raises(RequestRefused, match="domain"):
        Stream("s", [good], domain="SHOPS").deploy()
    (tmp_path / "ragged.csv").write_text("id,amt\n1\n")
    with pytest.raises(RequestRefused, match=r"ragged\.csv was not read: Line 2"):
        Stream("s", [Step("x", tmp_path / "ragged.csv", target, RULES)]).deploy()
    with pytest.raises(DependencyDown, match="does not answer"):
        Stream("s", [good]).deploy(api_url="http://127.0.0.1:1")
    rules, file = rest.rule_set(["id"]), rest.upload("a.csv", "id\n1\n")["id"]
    twins = [rest.stream([step_body(1, file, file, rules)], "Twins")["id"] for _ in range(2)]
    with pytest.raises(Conflict, match=rf"There are 2 streams named 'Twins' \({twins[0]}, {twins[1]}\)"):
        Stream("Twins", [good]).deploy()


def test_rules_of_the_legacy_form_and_events(stack: EmbeddedStack, rest: Rest) -> None:
    source, target = frames()
    amount = MatchingRule.model_validate({"sourceField": "amt", "matchType": "RANGE", "tolerance": "0.01"})
    mappings = [{"sourceField": "id", "targetField": "id", "isKey": True}, {"sourceField": "amt", "targetField": "amt"}]
    legacy = RuleSet.read(
        {"name": "legacy", "fieldMappings": mappings, "matchingRules": [amount.model_dump(by_alias=True)]}
    )
    stream = Stream("Legacy rules", [Step("one", source, target, legacy)])
    arrival = {"triggerType": "EVENT", "triggerConfig": {"event": "file.uploaded"}}
    for _ in range(2):
        made = stream.deploy(api_url=stack.api_url, trigger=arrival)
        assert rest.call("GET", f"/rules/{made.rule_sets['one']}")["version"] == 1
    assert rest.call("GET", f"/streams/{made.stream_id}")["triggerConfig"] == {"event": "file.uploaded"}
    expected = stream.run().steps["one"]
    assert made.run().steps["one"].statistics == expected.statistics
    assert expected.statistics.exception_count == 1
    rest.call("DELETE", f"/streams/{made.stream_id}")


FLOW = """
import polars as pl
from prefect import flow, unmapped
from recon import RuleSet, reconcile
from recon.tasks import PlainTask

source, target = pl.DataFrame({"id": ["1", "2"]}), pl.DataFrame({"id": ["2", "3"]})
rules = RuleSet.of("id")
again = reconcile.with_options(retries=1, name="again")
assert isinstance(again, PlainTask)
assert again(source, target, rules).matched.height == 1  # outside a flow: no server is asked

@flow
def both(large: bool):
    one = again.submit(source, target, rules, name="one").result()
    two = reconcile.map([source, target], unmapped(target), unmapped(rules), memory="1B" if large else None)
    return one.matched.height, [each.result().matched.height for each in two]

assert both(False) == (1, [1, 2])
assert both(True) == (1, [1, 2])
try:
    reconcile(source, target, RuleSet.of("order"))
except Exception as error:
    print(error)
"""


def test_a_task_in_anyones_flow(stack: EmbeddedStack, tmp_path: Path) -> None:
    env = {**os.environ, "PREFECT_API_URL": stack.prefect_api_url, "PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1"}
    done = subprocess.run([sys.executable, "-c", FLOW], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Column 'order' not found in source; available: id" in done.stdout
