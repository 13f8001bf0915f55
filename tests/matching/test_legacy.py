"""A rule set without passes does what the legacy engine does, as the oracle says it, exception for exception."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matching import Outcome, Severities, reconcile, rule_set_of
from matching.errors import ColumnNotFound, KeyFieldRequired
from matching.identity import ROW
from tests.matching import oracle
from tests.matching.helpers import legacy, side

KEYS = ["A", "a", "B", "", None, "null", "A|", "|", "1", "1.0", "01"]
AMOUNTS = [
    "1", "1.00", "1.01", "1.010000000000000000000000000001", "-1", "1-", "(1)", "(1.00)", "$1", "1 USD", "usd 1", "€1.01",
    "1,000.00", "1000", "1e3", "1E-2", "0.01", "1.234,56", "1.23456", "12%", "12", "ORD-1", "", None, "abc", "2024-01-15",
    "--1", "(-1)", "1 000", "1.", ".5", "0.5", "5-%", "1'000", "-0", "0", "999999999999999999999", "1e21", "+1", "−1",
    "999999999999999999.005", "1e300", "12%USD", "US$1",
]  # fmt: skip
TEXTS = [
    "kitten", "sitting", "John Smith", "Jon Smith", "", None, "a", "A", "ab", "ba", "Acme Corp", "ACME Corporation", "café",
    "cafe\u0301", "😀", "😁", "İ", "i", "STRASSE", "straße", "abcde", "ABCDX",
]  # fmt: skip
TYPES = ["EXACT", "FUZZY", "RANGE", "CONTAINS", "STARTS_WITH", "ENDS_WITH"]

records = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(KEYS),
            "line": st.sampled_from(["x", "|x", "", None]),
            "amount": st.sampled_from(AMOUNTS),
            "name": st.sampled_from(TEXTS),
        }
    ),
    max_size=9,
)
mappings = st.lists(
    st.builds(oracle.Mapping, st.sampled_from(["amount", "name", "line"]), st.sampled_from(["amount", "name"])),
    max_size=3,
)
rules = st.lists(
    st.builds(
        oracle.Rule,
        source=st.sampled_from(["id", "line", "amount", "name"]),
        type=st.sampled_from(TYPES),
        tolerance=st.sampled_from(
            [None, Decimal("0.01"), Decimal("-1"), Decimal("0.010000000000000000000000000001"), Decimal(2)]
        ),
        threshold=st.sampled_from([None, 0.5, 0.8, 1.0, 80.0, -1.0]),
        active=st.booleans(),
    ),
    max_size=4,
)


def run(
    source: list[oracle.Record], target: list[oracle.Record], mapped: list[oracle.Mapping], ruled: list[oracle.Rule]
) -> Outcome:
    rule_set = rule_set_of(
        {
            "fieldMappings": [
                {"sourceField": one.source, "targetField": one.target, "isKey": one.key} for one in mapped
            ],
            "matchingRules": [
                {
                    "sourceField": one.source,
                    "matchType": one.type,
                    "tolerance": one.tolerance,
                    "fuzzyThreshold": one.threshold,
                    "active": one.active,
                }
                for one in ruled
            ],
        }
    )
    names = ["id", "line", "amount", "name"]
    return reconcile(
        rule_set,
        side({name: [row[name] for row in source] for name in names}),
        side({name: [row[name] for row in target] for name in names}, file_id=2),
    )


def exceptions(outcome: Outcome) -> list[tuple[Any, ...]]:
    wanted = [
        "type", "severity", "field", "source_value", "target_value", "source_row", "target_row", "description",
    ]  # fmt: skip
    return outcome.breaks.select(wanted).rows()


@settings(max_examples=400, deadline=None)
@given(records, records, st.booleans(), mappings, rules)
def test_every_exception_is_the_oracles(
    source: list[oracle.Record],
    target: list[oracle.Record],
    two_keys: bool,
    compared: list[oracle.Mapping],
    ruled: list[oracle.Rule],
) -> None:
    keys = [oracle.Mapping("id", "id", key=True), *([oracle.Mapping("line", "line", key=True)] if two_keys else [])]
    mapped = [*compared[:1], *keys, *compared[1:]]
    expected = oracle.legacy(source, target, mapped, ruled)
    outcome = run(source, target, mapped, ruled)

    assert sorted(exceptions(outcome), key=repr) == sorted(expected.exceptions, key=repr)
    assert outcome.matches.select("source_row", "target_row").rows() == sorted(expected.pairs)
    counted = outcome.statistics
    assert counted.on_the_wire() == {
        "totalSourceRecords": len(source),
        "totalTargetRecords": len(target),
        "matchedRecords": expected.matched,
        "unmatchedSourceRecords": expected.unmatched_source,
        "unmatchedTargetRecords": expected.unmatched_target,
        "exceptionCount": len(expected.exceptions),
    }
    assert counted.match_rate == (expected.matched / len(source) * 100 if source else 0.0)


def agrees(rule: dict[str, Any], one: str | None, other: str | None) -> bool:
    outcome = reconcile(
        legacy(["id"], "value", value=rule), side({"id": ["1"], "value": [one]}), side({"id": ["1"], "value": [other]})
    )
    return outcome.breaks.is_empty()


@pytest.mark.parametrize(
    ("one", "other", "similarity"),
    [
        ("kitten", "sitting", 0.5714),
        ("John Smith", "Jon Smith", 0.9),
        ("abcde", "abcdx", 0.8),
        ("ab", "ba", 0.0),
        ("Acme Corp", "ACME Corporation", 0.5625),
        ("café", "cafe\u0301", 0.6),
        # One of two code points; the legacy engine counted UTF-16 units.
        ("😀", "😁", 0.0),
        ("", "", 1.0),
        ("", "a", 0.0),
    ],
)
def test_fuzzy_passes_at_its_similarity_and_not_above(one: str, other: str, similarity: float) -> None:
    assert agrees({"matchType": "FUZZY", "fuzzyThreshold": similarity}, one, other)
    assert not agrees({"matchType": "FUZZY", "fuzzyThreshold": similarity + 0.0001}, one, other)


def test_fuzzy_passes_at_0_8_by_default() -> None:
    assert agrees({"matchType": "FUZZY"}, "abcde", "abcdx")
    assert not agrees({"matchType": "FUZZY"}, "abcd", "abcx")


def test_a_threshold_of_80_never_passes_even_for_a_key() -> None:
    rule = {"matchType": "FUZZY", "fuzzyThreshold": 80}
    assert not agrees(rule, "same", "same")
    outcome = reconcile(legacy(["id"], id=rule), side({"id": ["1", None]}), side({"id": ["1", None]}))
    assert outcome.breaks.select("type", "severity", "field").rows() == [
        ("VALUE_MISMATCH", "CRITICAL", "id"),
        ("MISSING_SOURCE", "CRITICAL", "id"),
    ]


@pytest.mark.parametrize(
    ("one", "other", "tolerance", "expected"),
    [
        ("100.00", "100.01", "0.01", True),
        ("0.01", "0.02", "0.01", True),
        ("1", "1.1", "0.1", True),
        ("10.00", "10.50", "0.5", True),
        ("10.00", "10.51", "0.5", False),
        ("1,000.00", "1000", "0", True),
        ("$1,234.56", "1234.56", "0", True),
        ("12%", "12", "0", True),
        ("(100)", "-100", "0", True),
        ("(100)", "100", "0", False),
        ("100-", "-100", "0", True),
        ("1e3", "1000", "0", True),
        ("1e3", "13", "0", False),
        ("1.234,56", "1.23456", "0", True),
        ("100 USD", "100 EUR", "1000", False),
        ("100 USD", "100", "0", True),
        ("€100", "100 EUR", "0", True),
        ("$100", "€100", "1000", False),
        ("ORD-1", "ORD-1", "0", True),
        ("ORD-1", "-1", "0", False),
        ("ORD-1", "ORD-2", "1000", False),
        ("", "", "0", True),
        ("", "0", "0", False),
        ("2024-01-15", "2024-01-15", "0", True),
        ("2024-01-15", "2024-01-16", "1000", False),
        ("1.2.3", "1.2.3", "0", True),
        ("1.2.3", "1.2.4", "1000", False),
        ("99999999999999999999999999999999999999.01", "99999999999999999999999999999999999999.02", "0.01", True),
        ("99999999999999999999999999999999999999.01", "99999999999999999999999999999999999999.03", "0.01", False),
        ("0.1", "0.10000000000000000000000000000000000000000001", "0", False),
    ],
)
def test_range_is_exact(one: str, other: str, tolerance: str, expected: bool) -> None:
    rule = {"matchType": "RANGE", "tolerance": tolerance}
    assert agrees(rule, one, other) is expected
    assert agrees(rule, other, one) is expected


@pytest.mark.parametrize("tolerance", [0.01, "0.01", "1e-2"])
def test_a_tolerance_is_the_decimal_that_was_written(tolerance: float | str) -> None:
    assert agrees({"matchType": "RANGE", "tolerance": tolerance}, "0.29", "0.30")


@pytest.mark.parametrize(
    ("match_type", "one", "other", "expected"),
    [
        ("CONTAINS", "Acme Corporation", "corp", True),
        ("CONTAINS", "corp", "Acme Corporation", True),
        ("CONTAINS", "Acme", "Corp", False),
        ("CONTAINS", "a.c", "xabcx", False),
        ("CONTAINS", "", "anything", True),
        ("CONTAINS", None, "anything", False),
        ("CONTAINS", None, None, True),
        ("STARTS_WITH", "Acme Corp", "ACME", True),
        ("STARTS_WITH", "Corp", "Acme Corp", False),
        ("ENDS_WITH", "corp", "Acme Corp", True),
        ("ENDS_WITH", "Acme", "Acme Corp", False),
        ("EXACT", "100", "100.00", False),
        ("EXACT", "a", "A", False),
        ("EXACT", None, "", False),
    ],
)
def test_texts_are_judged_either_way_round(match_type: str, one: str | None, other: str | None, expected: bool) -> None:
    assert agrees({"matchType": match_type}, one, other) is expected
    assert agrees({"matchType": match_type}, other, one) is expected


def test_composite_keys_have_no_separator_and_null_is_not_the_word() -> None:
    source = side({"id": ["a|b", None, ""], "line": ["c", "x", ""]})
    target = side({"id": ["a", "null", ""], "line": ["b|c", "x", ""]}, file_id=2)
    outcome = reconcile(legacy(["id", "line"]), source, target)
    assert outcome.matches.select("source_row", "target_row").rows() == [(3, 3)]
    assert outcome.breaks["key"].to_list() == [
        "id=a|b, line=c",
        "id=null, line=x",
        "id=a, line=b|c",
        "id=null, line=x",
    ]


def test_null_keys_pair_are_critical_and_counted_once() -> None:
    outcome = reconcile(legacy(["id"]), side({"id": [None, None]}), side({"id": [None, "1"]}, file_id=2))
    assert exceptions(outcome) == [
        ("MISSING_SOURCE", "CRITICAL", "id", None, None, 1, 1, "Key field 'id' is null"),
        ("DUPLICATE", "HIGH", None, None, None, 2, None, "Duplicate key in source with no matching target record"),
        ("MISSING_SOURCE", "HIGH", None, None, None, None, 2, "No matching record found in source"),
    ]
    assert outcome.statistics.matched_records == 1
    assert outcome.statistics.unmatched_source_records == 0
    assert outcome.statistics.unmatched_target_records == 1


def test_the_first_active_rule_of_a_source_field_counts() -> None:
    rule_set = rule_set_of(
        {
            "fieldMappings": [
                {"sourceField": "id", "targetField": "id", "isKey": True},
                {"sourceField": "v", "targetField": "v"},
            ],
            "matchingRules": [
                {"sourceField": "v", "matchType": "CONTAINS", "active": False, "priority": 99},
                {"sourceField": "w", "matchType": "CONTAINS"},
                {"sourceField": "v", "targetField": "w", "matchType": "RANGE", "tolerance": 1},
                {"sourceField": "v", "matchType": "CONTAINS", "priority": 100},
            ],
        }
    )
    outcome = reconcile(
        rule_set, side({"id": ["1", "2"], "v": ["10", "10"]}), side({"id": ["1", "2"], "v": ["11", "1"]})
    )
    assert outcome.matches["agrees_2_v"].to_list() == [True, False]
    assert outcome.matches["delta_2_v"].to_list() == ["1", "-9"]


def test_severities_of_a_step_go_before_those_of_the_rule_set() -> None:
    rule_set = legacy(["id"], "v").model_copy(
        update={
            "severities": Severities.model_validate(
                {"MISSING_TARGET": "LOW", "DUPLICATE": "LOW", "fields": {"v": "LOW"}}
            )
        }
    )
    source = side({"id": ["1", "1", "2"], "v": ["a", "b", "c"]})
    target = side({"id": ["1"], "v": ["x"]}, file_id=2)
    override = Severities.model_validate({"MISSING_TARGET": "CRITICAL", "VALUE_MISMATCH": "CRITICAL"})
    outcome = reconcile(rule_set, source, target, severities=override)
    assert outcome.breaks.select("type", "severity").rows() == [
        ("VALUE_MISMATCH", "LOW"),
        ("DUPLICATE", "LOW"),
        ("MISSING_TARGET", "CRITICAL"),
    ]


def test_without_a_key_nothing_runs() -> None:
    with pytest.raises(KeyFieldRequired, match="Rule set must have at least one key field"):
        reconcile(legacy([], "v"), side({"v": ["1"]}), side({"v": ["1"]}))


@pytest.mark.parametrize("lacks", ["source", "target"])
@pytest.mark.parametrize("column", ["id", "v"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(lacks: str, column: str) -> None:
    whole = side({"id": ["1"], "v": ["1"], "_recon_reason": ["MISSING"]})
    inputs = [whole.drop(column), whole] if lacks == "source" else [whole, whole.drop(column)]
    with pytest.raises(ColumnNotFound) as raised:
        reconcile(legacy(["id"], "v"), *inputs)
    rest = "v" if column == "id" else "id"
    assert raised.value.message == f"Column '{column}' not found in {lacks}; available: {rest}"
    assert raised.value.attributes == {"side": lacks, "missing": [column], "available": [rest]}


def test_typed_values_compare_by_their_texts() -> None:
    source = side({"id": ["1001", "1002", "true", "2026-01-31", "40.00"]})
    for values, matched in (
        ([1001, 1002], 2),
        ([1001.0, 1002.5], 1),
        ([True, False], 1),
        ([Decimal("40.00"), Decimal("1001.00")], 1),
    ):
        target = side({"id": values}, file_id=2, dtype=None)
        assert reconcile(legacy(["id"]), source, target).statistics.matched_records == matched, values
    dates = side({"id": ["2026-01-31", None]}, file_id=2).with_columns(pl.col("id").str.to_date())
    assert reconcile(legacy(["id"]), source, dates).statistics.matched_records == 1


def test_range_on_numeric_columns_takes_the_exact_text() -> None:
    rule_set = legacy(["id"], "v", v={"matchType": "RANGE", "tolerance": "0.1"})
    ids = pl.Series("id", ["1", "2"])
    source = side({"id": ids, "v": [0.1, 1e300]}, dtype=None)
    target = side({"id": ids, "v": [0.2, 1e301]}, file_id=2, dtype=None)
    assert reconcile(rule_set, source, target).matches["agrees_2_v"].to_list() == [True, False]


def test_column_names_are_names_whatever_they_look_like() -> None:
    names = ["*", "^id$", "a b", "{}", "%s", "_recon_index"]
    source = side({name: ["1", "2"] for name in names})
    target = side({name: ["1", "3"] for name in names}, file_id=2)
    outcome = reconcile(legacy(["^id$"], "*", "a b", "{}"), source, target)
    assert outcome.matches.height == 1
    assert outcome.unmatched_source.columns[: len(names)] == names
    assert outcome.unmatched_target.select(pl.exclude("^_recon_.*$")).row(0) == ("3",) * 5


@example(rows=[3, 1, 2])
@given(st.permutations([1, 2, 3]))
def test_rows_pair_by_number_wherever_they_stand(rows: list[int]) -> None:
    source = side({"id": ["k"] * 3}).with_columns(pl.Series(ROW, rows))
    outcome = reconcile(legacy(["id"]), source, side({"id": ["k"] * 2}, file_id=2))
    assert outcome.matches.select("source_row", "target_row").rows() == [(1, 1), (2, 2)]
    assert outcome.unmatched_source[ROW].to_list() == [3]
