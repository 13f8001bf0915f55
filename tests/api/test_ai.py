"""Suggestions over the legacy's routes: what comes back can be posted as a rule set and runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parts.rest import Rest

ROWS = [
    (number, f"{number * 7 % 500}.{number % 90 + 10}", f"2026-01-{number % 28 + 1:02d}") for number in range(1001, 1101)
]
BANK = "bank_ref,gross,booked,status\n" + "".join(
    f"R-{one},{amount},{day},{('paid', 'open', 'late')[one % 3]}\n" for one, amount, day in ROWS
)
LEDGER = "Reference,Amount,State,Day\n" + "".join(
    f"R-{one},{amount},{('PAID', 'OPEN', 'LATE')[one % 3]},{day if one % 4 else '2026-02-01'}\n"
    for one, amount, day in ROWS[:90]
)
MAPPING = {"sourceField", "targetField", "confidence", "reason", "isKey", "suggestedTransform"}
RULE = {
    "name", "sourceField", "targetField", "matchType", "isKey", "fuzzyThreshold", "tolerance", "priority", "reason", "confidence",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(rest: Rest) -> dict[str, int]:
    names = {"sourceFileId": ("bank_statement.csv", BANK), "targetFileId": ("ledger_postings.csv", LEDGER)}
    return {key: rest.upload(name, text)["id"] for key, (name, text) in names.items()}


def by_field(listed: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["sourceField"]: one for one in listed}


def test_mappings(rest: Rest, files: dict[str, int]) -> None:
    found = rest.call("POST", "/ai/suggest-mappings", json={**files, "domain": "BANKING"})
    assert set(found) == {"mappings", "explanation"}
    assert all(set(one) == MAPPING for one in found["mappings"])
    mapped = by_field(found["mappings"])
    assert {one: other["targetField"] for one, other in mapped.items()} == {
        "bank_ref": "Reference", "gross": "Amount", "booked": "Day", "status": "State",
    }  # fmt: skip
    assert [one["sourceField"] for one in found["mappings"] if one["isKey"]] == ["bank_ref"]
    assert mapped["status"]["suggestedTransform"] == "UPPER"
    assert "unique on both sides" in mapped["bank_ref"]["reason"]
    assert rest.call("POST", "/ai/suggest-mappings", json=files) == found


def test_rules_make_a_rule_set_that_runs(rest: Rest, files: dict[str, int]) -> None:
    mappings = rest.call("POST", "/ai/suggest-mappings", json=files)["mappings"]
    found = rest.call("POST", "/ai/suggest-rules", json={**files, "mappings": mappings})
    assert found == rest.call("POST", "/ai/suggest-rules", json=files) | {"rules": found["rules"]}
    assert all(set(one) == RULE for one in found["rules"])
    rules = by_field(found["rules"])
    assert (rules["gross"]["matchType"], rules["gross"]["tolerance"]) == ("RANGE", 0)
    # Without passes there are neither transforms nor date windows.
    assert (rules["status"]["matchType"], rules["status"]["fuzzyThreshold"]) == ("FUZZY", 1)
    assert rules["booked"]["matchType"] == "EXACT"
    assert "DATE_WINDOW" in rules["booked"]["reason"]
    assert (rules["bank_ref"]["isKey"], rules["bank_ref"]["priority"]) == (True, 1)
    body = {"name": "Suggested", "isAiGenerated": True, "fieldMappings": mappings, "matchingRules": found["rules"]}
    rule_set = rest.call("POST", "/rules", status=201, json=body)
    assert len(rule_set["matchingRules"]) == 4
    made = rest.call("POST", "/reconciliations", status=201, json={"name": "x", "ruleSetId": rule_set["id"], **files})
    done = rest.call("POST", f"/reconciliations/{made['id']}/start")
    assert (done["status"], done["matchedRecords"], done["unmatchedSourceRecords"]) == ("COMPLETED", 90, 10)
    exceptions = rest.call("GET", f"/reconciliations/{made['id']}/exceptions?type=VALUE_MISMATCH")
    assert {one["fieldName"] for one in exceptions["content"]} == {"booked"}


def test_rules_of_chosen_mappings(rest: Rest, files: dict[str, int]) -> None:
    chosen = [
        {"sourceField": "bank_ref", "targetField": "Reference", "isKey": True, "confidence": 1, "reason": "mine"},
        {"sourceField": "gross", "targetField": "Amount", "isKey": False},
    ]
    found = rest.call("POST", "/ai/suggest-rules", json={**files, "mappings": chosen})
    assert [one["sourceField"] for one in found["rules"]] == ["bank_ref", "gross"]
    assert rest.call("POST", "/ai/suggest-rules", json={**files, "mappings": []})["rules"]
    unknown = [{"sourceField": "nothing", "targetField": "Amount"}]
    refused = rest.call("POST", "/ai/suggest-rules", status=400, json={**files, "mappings": unknown})
    assert refused["error"] == "COLUMN_NOT_FOUND"
    assert "'nothing' not found in source; available: bank_ref, gross" in refused["message"]


def test_domains(rest: Rest, files: dict[str, int]) -> None:
    answer = rest.http.post("/reconciliations/detect-domain", json=files).json()
    assert answer["message"] == "Reconciliation domain detected"
    assert answer["data"]["domain"] == "BANKING"
    assert 0.5 < answer["data"]["confidence"] <= 1
    plain = rest.upload("a.csv", "a,b\n1,2\n")["id"]
    body = {"sourceFileId": plain, "targetFileId": plain}
    assert rest.call("POST", "/reconciliations/detect-domain", json=body) == {"domain": "GENERAL", "confidence": 0.5}
    text = "Stock is counted by SKU and warehouse before a pallet leaves its bin."
    told = rest.call("POST", "/knowledge/detect-domain", content=text, headers={"Content-Type": "text/plain"})
    assert told["domain"] == "INVENTORY"
    assert rest.call("POST", "/knowledge/detect-domain") == {"domain": "GENERAL", "confidence": 0.5}


def test_what_is_refused(rest: Rest, files: dict[str, int]) -> None:
    for path in ("/ai/suggest-mappings", "/ai/suggest-rules", "/reconciliations/detect-domain"):
        answer = rest.call("POST", path, status=400, json={})
        assert answer["data"] == {
            "sourceFileId": "Source file ID is required", "targetFileId": "Target file ID is required",
        }  # fmt: skip
        unknown = rest.call("POST", path, status=404, json={**files, "targetFileId": 999999})
        assert unknown["message"] == "UploadedFile not found with id: 999999"
    broken = rest.upload("broken.csv", "a,b\n1\n")["id"]
    answer = rest.call("POST", "/ai/suggest-mappings", status=400, json={**files, "targetFileId": broken})
    assert answer["message"] == "File processing failed. Please check your file and try again."
    nothing = rest.upload("nothing.csv", "colour,shape\nred,round\nblue,square\n")["id"]
    found = rest.call("POST", "/ai/suggest-mappings", json={**files, "targetFileId": nothing})
    assert (found["mappings"], found["explanation"][:7]) == ([], "No key:")
