from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from matching import BreakType, RuleSet, Severities, Severity, required_columns, rule_set_of
from matching.errors import KeyFieldRequired, RuleInvalid
from matching.fields import RangeRule
from matching.terms import MatchType

PASS: dict[str, Any] = {
    "name": "orders",
    "keys": [{"sourceField": "id", "targetField": "order", "transforms": ["TRIM", "UPPER"]}],
    "comparisons": [
        {"sourceField": "amount", "targetField": "paid", "matchType": "RANGE", "tolerance": "0.010"},
        {"sourceField": "status", "transforms": ["UPPER"]},
        {"sourceField": "name", "matchType": "FUZZY"},
        {"sourceField": "note", "matchType": "CONTAINS"},
        {"sourceField": "date", "matchType": "DATE_WINDOW", "daysTolerance": 1},
    ],
}


def test_what_is_stored_comes_back() -> None:
    written = rule_set_of(
        {
            "name": "n",
            "fieldMappings": [{"sourceField": "a", "targetField": "b", "isKey": True}],
            "matchingRules": [
                {"name": "r", "sourceField": "a", "targetField": "b", "matchType": "RANGE", "tolerance": 0.01}
            ],
            "passes": [PASS],
            "severities": {"MISSING_TARGET": "CRITICAL", "fields": {"amount": "HIGH"}},
        }
    )
    stored = written.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert rule_set_of(json.loads(json.dumps(stored))) == written
    assert stored["passes"][0]["comparisons"][0]["tolerance"] == "0.010"
    assert stored["severities"] == {"MISSING_TARGET": "CRITICAL", "fields": {"amount": "HIGH"}}


@pytest.mark.parametrize("written", ["0.01", 0.01, "1e-2"])
def test_a_tolerance_is_exact(written: float | str) -> None:
    body = json.dumps({"matchingRules": [{"sourceField": "a", "matchType": "RANGE", "tolerance": written}]})
    assert RuleSet.model_validate_json(body).matching_rules[0].tolerance == Decimal("0.01")


def test_a_target_field_is_named_like_its_source_field_by_default() -> None:
    assert required_columns(rule_set_of({"passes": [PASS]})) == (
        ["id", "amount", "status", "name", "note", "date"],
        ["order", "paid", "status", "name", "note", "date"],
    )


def test_required_columns_of_mappings() -> None:
    mapped = [{"sourceField": "a", "targetField": "b"}, {"sourceField": "k", "targetField": "k", "isKey": True}]
    assert required_columns(rule_set_of({"fieldMappings": [*mapped, mapped[0]]})) == (["a", "k"], ["b", "k"])
    with pytest.raises(KeyFieldRequired):
        required_columns(rule_set_of({"fieldMappings": mapped[:1]}))


def test_empty_passes_are_none() -> None:
    mapped = [{"sourceField": "k", "targetField": "k", "isKey": True}]
    assert required_columns(rule_set_of({"fieldMappings": mapped, "passes": []})) == (["k"], ["k"])


def changed(**change: Any) -> dict[str, Any]:
    return {"passes": [{**PASS, **change}]}


def compared(**comparison: Any) -> dict[str, Any]:
    return changed(comparisons=[{"sourceField": "x", **comparison}])


@pytest.mark.parametrize(
    ("definition", "path", "text"),
    [
        ({"passes": [PASS | {"name": "same"}] * 2}, "passes", "two passes are named 'same'"),
        ({"passes": {}}, "passes", "Input should be a list"),
        (
            changed(keys=[]),
            "passes[0]",
            "a pass needs at least one key, or a condition that finds candidates: EXACT, RANGE, NUMERIC, DATE_WINDOW",
        ),
        (changed(keys=["id"]), "passes[0].keys[0]", "Input should be an object"),
        (changed(keys=[{"transforms": []}]), "passes[0].keys[0].sourceField", "Field required"),
        (
            changed(keys=[{"sourceField": "id", "transform": "TRIM"}]),
            "passes[0].keys[0]",
            "unknown option 'transform'; available: sourceField, targetField, sourceTransforms, targetTransforms, transforms",
        ),
        (
            changed(keys=[{"sourceField": "id", "transforms": ["LOWERCASE"]}]),
            "passes[0].keys[0].transforms[0]",
            "unknown transform; available: TRIM, COLLAPSE_SPACES, UPPER, LOWER, STRIP_PUNCTUATION, STRIP_LEADING_ZEROS, "
            "DIGITS_ONLY, NFKC, REMOVE_ACCENTS, NEGATE, ABSOLUTE, REGEX_EXTRACT, REGEX_REPLACE, SUBSTRING, SPLIT_TAKE, CONCAT, "
            "MAP, PARSE_NUMBER, PARSE_DATE, ROUND, MINOR_UNITS",
        ),
        (
            changed(condition=[]),
            "passes[0]",
            "unknown option 'condition'; available: name, keys, conditions, comparisons, cardinality, grouping, ambiguity, "
            "decision, subset, linkage",
        ),
        (
            changed(cardinality="FEW"),
            "passes[0].cardinality",
            "Input should be 'ONE_TO_ONE', 'ONE_TO_MANY', 'MANY_TO_ONE' or 'MANY_TO_MANY'",
        ),
        (changed(ambiguity="WORST"), "passes[0].ambiguity", "Input should be 'BEST', 'REVIEW' or 'IN_ORDER'"),
        (changed(decision="GUESS"), "passes[0].decision", "Input should be 'MATCH' or 'SUGGEST'"),
        (
            changed(grouping="SUBSET"),
            "passes[0]",
            "grouping SUBSET needs cardinality ONE_TO_MANY or MANY_TO_ONE",
        ),
        (
            changed(grouping="SUBSET", cardinality="ONE_TO_MANY"),
            "passes[0]",
            "grouping SUBSET needs exactly one RANGE or NUMERIC condition, which says what sums up; 0 were given",
        ),
        (changed(subset={}), "passes[0]", "subset is for grouping SUBSET"),
        (
            compared(matchType="ROUGHLY"),
            "passes[0].comparisons[0]",
            f"unknown matchType; available: {', '.join(MatchType)}",
        ),
        (
            compared(tolerance=1),
            "passes[0].comparisons[0]",
            "unknown option 'tolerance'; available: sourceField, targetField, sourceTransforms, targetTransforms, transforms, "
            "matchType",
        ),
        (
            compared(matchType="DATE_WINDOW", tolerance=1),
            "passes[0].comparisons[0]",
            "unknown option 'tolerance'; available: sourceField, targetField, sourceTransforms, targetTransforms, transforms, "
            "matchType, daysTolerance, daysBefore, daysAfter, businessDays, calendar, subdivision, weekend, sourceFormats, "
            "targetFormats",
        ),
        (
            compared(matchType="RANGE", tolerance=-1),
            "passes[0].comparisons[0].tolerance",
            "Input should be greater than or equal to 0",
        ),
        (
            compared(matchType="FUZZY", fuzzyThreshold=80),
            "passes[0].comparisons[0].fuzzyThreshold",
            "Input should be less than or equal to 1",
        ),
        (
            {"severities": {"MISSING": "HIGH"}},
            "severities",
            "unknown option 'MISSING'; available: MISSING_SOURCE, MISSING_TARGET, VALUE_MISMATCH, DUPLICATE, FORMAT_ERROR, "
            "TOLERANCE_EXCEEDED, POTENTIAL_MATCH, fields",
        ),
        (
            {"severities": {"DUPLICATE": "WARNING"}},
            "severities.DUPLICATE",
            "Input should be 'LOW', 'MEDIUM', 'HIGH' or 'CRITICAL'",
        ),
        (
            {"matchingRules": [{"sourceField": "a", "matchType": "DATE_WINDOW"}]},
            "matchingRules[0]",
            "matchType DATE_WINDOW is for comparisons of a pass; available here: EXACT, FUZZY, RANGE, CONTAINS, STARTS_WITH, "
            "ENDS_WITH",
        ),
    ],
)
def test_what_is_not_understood_is_refused_with_what_is(definition: dict[str, Any], path: str, text: str) -> None:
    with pytest.raises(RuleInvalid) as raised:
        rule_set_of(definition)
    assert raised.value.fields == {path: text}
    assert text in raised.value.message
    with pytest.raises(ValidationError):
        RuleSet.model_validate(definition)


def test_keys_that_legacy_clients_send_are_ignored_outside_passes() -> None:
    mapping = {"sourceField": "a", "targetField": "b", "isKey": True, "transform": "x", "confidence": 1.0}
    assert rule_set_of({"id": 5, "metadata": {}, "fieldMappings": [mapping]}).field_mappings[0].is_key


def test_python_names_are_taken_too() -> None:
    rule = RangeRule(source_field="a", target_field="b", tolerance=Decimal("0.01"))
    assert rule == RangeRule.model_validate({"sourceField": "a", "targetField": "b", "tolerance": 0.01})


def test_severities_override_key_by_key() -> None:
    own = Severities.model_validate({"DUPLICATE": "LOW", "fields": {"a": "LOW", "b": "LOW"}})
    both = own.overridden_by(Severities.model_validate({"MISSING_TARGET": "CRITICAL", "fields": {"b": "HIGH"}}))
    assert both.of(BreakType.DUPLICATE, Severity.HIGH) is Severity.LOW
    assert both.of(BreakType.MISSING_TARGET, Severity.HIGH) is Severity.CRITICAL
    assert both.of(BreakType.MISSING_SOURCE, Severity.HIGH) is Severity.HIGH
    assert both.of(BreakType.VALUE_MISMATCH, Severity.MEDIUM, "a") is Severity.LOW
    assert both.of(BreakType.VALUE_MISMATCH, Severity.MEDIUM, "b") is Severity.HIGH
    assert both.of(BreakType.VALUE_MISMATCH, Severity.MEDIUM, "c") is Severity.MEDIUM
    assert own.overridden_by(None) is own


@pytest.mark.parametrize("number", ["1e99999999", "1e-99999999", "1" * 61])
def test_numbers_that_nobody_would_write_out_are_refused(number: str) -> None:
    rules = [
        {"matchType": "RANGE", "tolerance": number},
        {"matchType": "NUMERIC", "percent": number},
        {"matchType": "NUMERIC", "perCurrency": {"EUR": number}},
    ]
    for rule in rules:
        with pytest.raises(RuleInvalid, match="no more than 60 digits"):
            rule_set_of(
                {"passes": [{"keys": [{"sourceField": "id"}], "comparisons": [{"sourceField": "amount", **rule}]}]}
            )
    with pytest.raises(RuleInvalid, match="no more than 60 digits"):
        rule_set_of({"matchingRules": [{"sourceField": "amount", "matchType": "RANGE", "tolerance": number}]})
