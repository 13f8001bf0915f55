"""The legacy rule routes, and what passes and severities add."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parts.rest import Rest

BODY: dict[str, Any] = {
    "name": "Orders",
    "description": "by id",
    "metadata": {"owner": "ops"},
    "fieldMappings": [{"sourceField": "id", "targetField": "order", "isKey": True, "transformConfig": {"a": 1}}],
    "matchingRules": [
        {
            "name": "amount",
            "sourceField": "amt",
            "targetField": "paid",
            "matchType": "RANGE",
            "tolerance": 0.01,
            "priority": 2,
        },
        {"name": "who", "sourceField": "name", "targetField": "name", "matchType": "FUZZY", "fuzzyThreshold": 0.85},
    ],
}


def test_create_get_update_delete(rest: Rest) -> None:
    made = rest.call("POST", "/rules", status=201, json=BODY)
    assert {
        "id", "name", "description", "version", "isAiGenerated", "active", "fieldMappings", "matchingRules", "metadata",
        "createdAt", "updatedAt",
    } <= set(made)  # fmt: skip
    assert (made["version"], made["active"], made["isAiGenerated"], made["metadata"]) == (
        1,
        True,
        False,
        {"owner": "ops"},
    )
    (mapping,) = made["fieldMappings"]
    assert (mapping["isKey"], mapping["isKeyField"], mapping["confidence"]) == (True, True, 1.0)
    amount, who = made["matchingRules"]
    assert (amount["tolerance"], amount["threshold"], amount["active"], amount["priority"]) == (0.01, 0.01, True, 2)
    assert (who["fuzzyThreshold"], who["threshold"]) == (0.85, 0.85)
    path = f"/rules/{made['id']}"
    assert rest.call("GET", path) == made
    assert made["id"] in [one["id"] for one in rest.call("GET", "/rules")]
    changed = rest.call("PUT", path, json={"name": "Orders 2", "fieldMappings": BODY["fieldMappings"]})
    assert (changed["name"], changed["version"], changed["matchingRules"]) == ("Orders 2", 2, [])
    assert rest.call("DELETE", path) is None
    rest.call("GET", path, status=404)


def test_the_existing_client_may_save_what_it_was_shown(rest: Rest) -> None:
    """It knows keys, thresholds and activity by other names."""
    made = rest.call("POST", "/rules", status=201, json=BODY)
    shown = {
        "name": made["name"],
        "fieldMappings": [
            {key: one[key] for key in ("sourceField", "targetField", "isKeyField")} for one in made["fieldMappings"]
        ],
        "matchingRules": [
            {key: one[key] for key in ("name", "sourceField", "targetField", "matchType", "threshold")}
            for one in made["matchingRules"]
        ],
        "isActive": made["isActive"],
    }
    saved = rest.call("PUT", f"/rules/{made['id']}", json=shown)
    assert saved["fieldMappings"][0]["isKey"] is True
    assert [one["threshold"] for one in saved["matchingRules"]] == [0.01, 0.85]
    assert [one["tolerance"] for one in saved["matchingRules"]] == [0.01, None]


def test_parts_one_by_one_duplicate_and_test(rest: Rest) -> None:
    made = rest.call("POST", "/rules", status=201, json={"name": "Empty"})
    path = f"/rules/{made['id']}"
    one = rest.call("POST", f"{path}/mappings", json=BODY["fieldMappings"][0])
    two = rest.call("POST", f"{path}/matching-rules", json=BODY["matchingRules"][0])
    assert (one["version"], two["version"], len(two["fieldMappings"]), len(two["matchingRules"])) == (2, 3, 1, 1)
    copy = rest.call("POST", f"{path}/duplicate", status=201, json={})
    assert (copy["name"], copy["version"], len(copy["fieldMappings"])) == ("Empty (Copy)", 1, 1)
    tested = rest.call("POST", f"{path}/test", json={"sampleSize": 100})
    assert tested == {
        "fieldMappings": [{"sourceField": "id", "targetField": "order", "success": True}],
        "matchingRules": [{"name": "amount", "matchType": "RANGE"}],
        "stats": {"validMappings": 1, "validRules": 1},
    }


@pytest.mark.parametrize(
    ("path", "body", "data"),
    [
        ("/rules", {}, {"name": "Name is required"}),
        ("/rules", {"name": " "}, {"name": "Name is required"}),
        ("mappings", {"targetField": "b"}, {"sourceField": "Source field is required"}),
        ("mappings", {"sourceField": "a", "targetField": None}, {"targetField": "Target field is required"}),
        (
            "matching-rules",
            {"name": "n", "sourceField": "a", "targetField": "b"},
            {"matchType": "Match type is required"},
        ),
    ],
)
def test_what_is_missing_is_said_in_the_legacy_words(
    rest: Rest, path: str, body: dict[str, Any], data: dict[str, str]
) -> None:
    if path != "/rules":
        path = f"/rules/{rest.call('POST', '/rules', status=201, json={'name': 'R'})['id']}/{path}"
    answer = rest.call("POST", path, status=400, json=body)
    assert (answer["message"], answer["data"]) == ("Validation failed", data)


def test_unknown_match_types_and_options_name_the_valid_ones(rest: Rest) -> None:
    rule = {"name": "n", "sourceField": "a", "targetField": "b", "matchType": "SOUNDS_LIKE"}
    answer = rest.call("POST", "/rules", status=400, json={"name": "R", "matchingRules": [rule]})
    assert "EXACT" in answer["data"]["matchingRules[0].matchType"]
    before = len(rest.call("GET", "/rules"))
    bad_pass = {"name": "p", "keys": [{"sourceField": "a", "transforms": ["SHOUT"]}]}
    answer = rest.call("POST", "/rules", status=400, json={"name": "R", "passes": [bad_pass]})
    assert any("UPPER" in text for text in answer["data"].values()), answer
    answer = rest.call("POST", "/rules", status=400, json={"name": "R", "severities": {"MISSING": "HIGH"}})
    assert "MISSING_TARGET" in answer["message"]
    misspelt = {"name": "R", "passes": [{"keys": [{"sourceField": "a"}]}], "severites": {}}
    answer = rest.call("POST", "/rules", status=400, json=misspelt)
    assert "unknown option 'severites'; available: name, " in str(answer), answer
    assert len(rest.call("GET", "/rules")) == before
    good = {"name": "p", "keys": [{"sourceField": "a", "transforms": ["TRIM", "UPPER"]}]}
    written = {
        "passes": [good],
        "severities": {"MISSING_TARGET": "CRITICAL"},
        "amount": {"sourceField": "gross", "targetField": "paid", "sourceCurrencyField": "currency"},
        "potentialMatches": {"nearest": 3},
    }
    made = rest.call("POST", "/rules", status=201, json={"name": "R", **written})
    assert {name: made[name] for name in written} == written
    answer = rest.call("POST", "/rules", status=400, json={"name": "R", "amount": {"sourceField": "gross"}})
    assert "targetField" in answer["message"] + str(answer["data"])
