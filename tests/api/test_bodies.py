"""Bodies that no honest client sends: each gets its 400, and nothing of them is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.parts.rest import Rest, step

UNSTORABLE = ['"\\ud800"', '"a\\u0000b"']
UNSOUND = [
    *UNSTORABLE,
    '{"\\udfff": 1}',
    '{"\\u0000": 1}',
    "1e999",
    "NaN",
    "[" * 300 + "]" * 300,
    '{"a":' * 300 + "1" + "}" * 300,
]

STREAM = {
    "name": "s",
    "steps": [step(1, 1, 1, 1, maxRetries=0)],
}
MAPPING = {"sourceField": "a", "targetField": "b"}
RULE = MAPPING | {"name": "m", "matchType": "RANGE"}
MAPPED = {"name": "r", "fieldMappings": [MAPPING]}
RULED = {"name": "r", "matchingRules": [RULE]}
RECONCILIATION = {"name": "r", "sourceFileId": 1, "targetFileId": 1, "ruleSetId": 1}


def refused(rest: Rest, method: str, path: str, body: dict[str, Any], field: str, raw: str) -> dict[str, Any]:
    """The error of a body whose `field` is the given JSON text; the field is to blame."""
    *way, last = field.split(".")
    given = json.loads(json.dumps(body))
    place: Any = given
    for key in way:
        place = place[int(key) if key.isdecimal() else key]
    place[int(last) if last.isdecimal() else last] = "@here"
    text = json.dumps(given).replace('"@here"', raw)
    answer = rest.call(method, path, status=400, content=text, headers={"Content-Type": "application/json"})
    dotted = "".join(f"[{key}]" if key.isdecimal() else f".{key}" for key in (*way, last)).removeprefix(".")
    dotted = dotted.removesuffix(".more")
    assert any(one.startswith(dotted) for one in answer["data"]), answer
    return answer


@pytest.mark.parametrize("raw", UNSOUND)
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/streams", STREAM, "triggerConfig"),
        ("/streams", STREAM, "steps.0.sourceInput.more"),
        ("/streams", STREAM, "steps.0.config.severities"),
        ("/rules", {"name": "r"}, "metadata"),
        ("/rules", {"name": "r"}, "severities"),
        ("/rules", {"name": "r", "passes": [{}]}, "passes.0"),
        ("/rules", MAPPED, "fieldMappings.0.transformConfig"),
        ("/rules", RULED, "matchingRules.0.config"),
    ],
)
def test_json_that_cant_be_kept(rest: Rest, path: str, body: dict[str, Any], field: str, raw: str) -> None:
    given = raw if field.endswith("more") else f'{{"deep": {raw}}}'
    before = rest.call("GET", path)
    refused(rest, "POST", path, body, field, given)
    assert rest.call("GET", path) == before


@pytest.mark.parametrize("raw", UNSTORABLE)
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/streams", STREAM, "name"),
        ("/streams", STREAM, "description"),
        ("/streams", STREAM, "steps.0.name"),
        ("/rules", {}, "name"),
        ("/rules", {"name": "r"}, "description"),
        ("/rules", MAPPED, "fieldMappings.0.sourceField"),
        ("/rules", MAPPED, "fieldMappings.0.targetField"),
        ("/rules", MAPPED, "fieldMappings.0.transform"),
        ("/rules", RULED, "matchingRules.0.name"),
        ("/rules", RULED, "matchingRules.0.description"),
        ("/rules", RULED, "matchingRules.0.sourceField"),
        ("/rules", RULED, "matchingRules.0.targetField"),
        ("/reconciliations", RECONCILIATION, "name"),
        ("/reconciliations", RECONCILIATION, "description"),
    ],
)
def test_texts_that_cant_be_kept(rest: Rest, path: str, body: dict[str, Any], field: str, raw: str) -> None:
    refused(rest, "POST", path, body, field, raw)


@pytest.mark.parametrize("raw", UNSOUND)
def test_trigger_metadata_that_cant_be_kept(rest: Rest, raw: str) -> None:
    file_id = rest.upload("a.csv", "id\n1\n")["id"]
    stream = rest.stream([step(1, file_id, file_id, rest.rule_set(["id"]))])["id"]
    refused(rest, "POST", f"/streams/{stream}/runs", {}, "triggerMetadata", f'{{"deep": {raw}}}')
    assert rest.call("GET", f"/streams/{stream}/runs") == []


@pytest.mark.parametrize(
    ("field", "raw"),
    [
        ("priority", "9" * 30),
        ("priority", "-2147483649"),
        ("tolerance", '"1e-999"'),
        ("tolerance", "1" * 70),
        ("fuzzyThreshold", "1e999"),
    ],
)
def test_numbers_beyond_any_column(rest: Rest, field: str, raw: str) -> None:
    refused(rest, "POST", "/rules", RULED, f"matchingRules.0.{field}", raw)
    refused(rest, "POST", "/rules", MAPPED, "fieldMappings.0.confidence", "1e999")


def test_a_long_value_is_not_sent_back_whole(rest: Rest) -> None:
    answer = refused(rest, "POST", "/rules", {}, "name", "1" * 3000)
    assert len(answer["data"]["name"]) < 200
