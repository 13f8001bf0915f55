"""Rule sets with passes, and what holds for every outcome."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import Outcome, RuleSet, reconcile
from matching.errors import ConservationBroken, RuleInvalid
from matching.identity import FILE_ID, REASON, ROW
from matching.outcome import Fingerprint, check_conservation, fingerprint
from tests.matching.helpers import frames, legacy, one_pass, same, side

RANGE = {"sourceField": "amount", "matchType": "RANGE", "tolerance": "0.01"}
WINDOW = {"sourceField": "day", "matchType": "DATE_WINDOW", "daysTolerance": 1}

RULE_SETS = [
    one_pass(["id"], [RANGE, {**WINDOW, "transforms": ["TRIM"]}, {"sourceField": "name", "matchType": "FUZZY"}]),
    one_pass(["id", {"sourceField": "name", "transforms": ["TRIM", "UPPER"]}], [RANGE]),
    legacy(
        ["id"], "amount", "name", amount={"matchType": "RANGE", "tolerance": "0.01"}, name={"matchType": "CONTAINS"}
    ),
]

rows = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "3", " 1", "", None]),
        st.sampled_from(["1", "1.00", "1.01", "$1.02", "x", None]),
        st.sampled_from(["2026-01-31", "2026-02-01", " 2026-02-02", "20260131", "x", None]),
        st.sampled_from(["ann", "Ann", "anna", "", None]),
    ),
    max_size=12,
)
rule_sets = st.sampled_from(RULE_SETS)
Rows = list[tuple[str | None, ...]]


def frame(written: Rows, file_id: int) -> pl.LazyFrame:
    names = ["id", "amount", "day", "name"]
    return side({name: [row[at] for row in written] for at, name in enumerate(names)}, file_id=file_id)


@settings(max_examples=60, deadline=None)
@given(rows, rows, rule_sets)
def test_every_record_comes_out_once(source: Rows, target: Rows, rule_set: RuleSet) -> None:
    outcome = reconcile(rule_set, frame(source, 1), frame(target, 2))
    for name, written, rest, buckets in (
        ("source", source, outcome.unmatched_source, outcome.totals.source),
        ("target", target, outcome.unmatched_target, outcome.totals.target),
    ):
        matched = outcome.matches[f"{name}_row"].to_list()
        assert sorted([*matched, *rest[ROW]]) == list(range(1, len(written) + 1))
        assert rest[ROW].is_sorted()
        assert rest.select("id", "amount", "day", "name").rows() == [written[row - 1] for row in rest[ROW]]
        assert sum(buckets.values()) == len(written)
        assert buckets.get("MATCHED", 0) == outcome.statistics.matched_records == outcome.matches.height
        counted = rest[REASON].value_counts().rows()
        assert {bucket: rows for bucket, rows in buckets.items() if bucket != "MATCHED"} == dict(counted)
    assert outcome.matches["match_id"].to_list() == list(range(1, outcome.matches.height + 1))


@settings(max_examples=60, deadline=None)
@given(rows, rows, rule_sets, st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_order_of_rows_does_not_matter(
    source: Rows, target: Rows, rule_set: RuleSet, random: Any, chunks: int
) -> None:
    def shuffled(written: Rows, file_id: int) -> pl.LazyFrame:
        ordered = frame(written, file_id).collect()
        order = list(range(len(written)))
        random.shuffle(order)
        mixed = ordered[order]
        size = max(1, -(-len(written) // chunks))
        return pl.concat([mixed.slice(at, size) for at in range(0, max(1, len(written)), size)], rechunk=False).lazy()

    expected = reconcile(rule_set, frame(source, 1), frame(target, 2))
    assert same(reconcile(rule_set, shuffled(source, 1), shuffled(target, 2)), expected)


@settings(max_examples=60, deadline=None)
@given(rows, rows, rule_sets)
def test_swapped_sides_give_the_mirror_image(source: Rows, target: Rows, rule_set: RuleSet) -> None:
    one = reconcile(rule_set, frame(source, 1), frame(target, 2))
    other = reconcile(rule_set, frame(target, 2), frame(source, 1))

    def pairs(outcome: Outcome, first: str, second: str) -> list[Any]:
        verdicts = [name for name in outcome.matches.columns if name.startswith("agrees_")]
        return sorted(outcome.matches.select(f"{first}_row", f"{second}_row", "score", *verdicts).rows())

    assert pairs(one, "source", "target") == pairs(other, "target", "source")
    assert one.unmatched_source.equals(other.unmatched_target)
    assert one.unmatched_target.equals(other.unmatched_source)
    assert one.totals.source == other.totals.target

    def mismatches(outcome: Outcome, first: str, second: str) -> list[Any]:
        wanted = outcome.breaks.filter(pl.col("type").is_in(["VALUE_MISMATCH", "DUPLICATE", "FORMAT_ERROR"]))
        columns = ["type", "severity", f"{first}_row", f"{second}_row", f"{first}_value", f"{second}_value"]
        return sorted(wanted.select(columns).rows(), key=repr)

    assert mismatches(one, "source", "target") == mismatches(other, "target", "source")


@settings(max_examples=40, deadline=None)
@given(rows, rows, st.sampled_from([("0", "0.01"), ("0.01", "0.0100001"), ("0.02", "5")]))
def test_a_tighter_tolerance_never_agrees_more(source: Rows, target: Rows, tolerances: tuple[str, str]) -> None:
    tight, loose = (
        reconcile(
            one_pass(["id"], [{**RANGE, "tolerance": tolerance}, {**WINDOW, "daysTolerance": days}]),
            frame(source, 1),
            frame(target, 2),
        )
        for days, tolerance in enumerate(tolerances)
    )
    for name in ("agrees_1_amount", "agrees_2_day"):
        assert (tight.matches[name] <= loose.matches[name]).all()
    assert tight.breaks.height >= loose.breaks.height


def test_null_and_blank_keys_are_set_aside() -> None:
    source = side({"id": ["1", None, "", "  ", "2"], "line": ["a", "a", "a", "a", None]})
    target = side({"id": [" 1 ", None, ""], "line": ["a", "a", "b"]}, file_id=2)
    outcome = reconcile(one_pass([{"sourceField": "id", "transforms": ["TRIM"]}, "line"]), source, target)
    assert outcome.matches.select("source_row", "target_row").rows() == [(1, 1)]
    assert outcome.unmatched_source[REASON].to_list() == ["NULL_KEY"] * 4
    assert outcome.unmatched_target[REASON].to_list() == ["NULL_KEY"] * 2
    wanted = ["type", "severity", "field", "source_value", "source_row", "target_row", "key", "description"]
    assert outcome.breaks.select(wanted).rows()[2:5] == [
        (
            "FORMAT_ERROR", "HIGH", "id", "  ", 4, None, "id=  , line=a",
            "Key field 'id' is null or blank in source; the record was set aside",
        ),
        (
            "FORMAT_ERROR", "HIGH", "line", None, 5, None, "id=2, line=null",
            "Key field 'line' is null or blank in source; the record was set aside",
        ),
        (
            "FORMAT_ERROR", "HIGH", "id", None, None, 2, "id=null, line=a",
            "Key field 'id' is null or blank in target; the record was set aside",
        ),
    ]  # fmt: skip
    # Counted as set aside, not as missing.
    assert outcome.statistics.unmatched_source_records == 0
    assert outcome.statistics.exception_count == 6


def test_transforms_change_what_is_compared_and_nothing_that_is_shown() -> None:
    rule_set = one_pass(
        [{"sourceField": "id", "targetField": "ref", "transforms": ["TRIM", "UPPER"]}],
        [{"sourceField": "status", "transforms": ["UPPER", "TRIM"]}, {"sourceField": "status"}],
    )
    source = side({"id": [" ab1", "ab2"], "status": [" paid", "straße"]})
    target = side({"ref": ["AB1 ", "aB2"], "status": ["PAID ", "STRASSE"]}, file_id=2)
    outcome = reconcile(rule_set, source, target)
    assert outcome.matches["agrees_1_status"].to_list() == [True, True]
    assert outcome.breaks.select("source_value", "target_value", "key").rows() == [
        (" paid", "PAID ", "id= ab1"),
        ("straße", "STRASSE", "id=ab2"),
    ]


@pytest.mark.parametrize(
    ("one", "other", "days", "agrees", "delta"),
    [
        ("2026-01-31", "2026-02-01", 1, True, 1),
        ("2026-02-01", "2026-01-31", 1, True, -1),
        ("2026-01-31", "2026-02-02", 1, False, 2),
        ("2026-01-31", "2026-01-31T23:59:59", 0, True, 0),
        ("2026-01-31T00:30:00+02:00", "2026-01-30", 0, True, 0),
        ("2026-01-31", "2026-01-31", 0, True, None),
        ("31/01/2026", "31/01/2026", 0, True, None),
        ("31/01/2026", "2026-01-31", 1000, False, None),
        ("", "", 0, True, None),
        ("", "2026-01-31", 1000, False, None),
        (None, None, 0, True, None),
        (None, "2026-01-31", 1000, False, None),
    ],
)
def test_date_window(one: str | None, other: str | None, days: int, agrees: bool, delta: int | None) -> None:
    rule_set = one_pass(["id"], [{**WINDOW, "daysTolerance": days}])
    outcome = reconcile(rule_set, side({"id": ["1"], "day": [one]}), side({"id": ["1"], "day": [other]}))
    assert outcome.matches["agrees_1_day"].item() is agrees
    assert outcome.matches["delta_1_day"].item() == delta
    assert outcome.matches.schema["delta_1_day"] == pl.Int64


def test_date_window_on_dates_and_times_as_types() -> None:
    ids = pl.Series("id", ["1", "2", "3"])
    days = [date(2026, 1, 31), date(2026, 1, 31), None]
    moments = [datetime(2026, 2, 1, 23, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC), None]
    source = side({"id": ids, "day": days}, dtype=None)
    for target in (
        side({"id": ids, "day": moments}, dtype=None),
        side({"id": ids, "day": [None if one is None else one.date() for one in moments]}, dtype=None),
        side({"id": ids, "day": [None if one is None else one.isoformat() for one in moments]}, dtype=None),
    ):
        outcome = reconcile(one_pass(["id"], [WINDOW]), source, target)
        assert outcome.matches["agrees_1_day"].to_list() == [True, False, True]
        assert outcome.matches["delta_1_day"].to_list() == [1, 2, None]


@pytest.mark.parametrize(
    ("rule", "one", "other", "text"),
    [
        ({"matchType": "EXACT"}, "a", None, "'a' in source, null in target; not equal"),
        (
            {"matchType": "RANGE", "tolerance": "0.010"}, "40", "41.5",
            "'40' in source, '41.5' in target; difference 1.5, allowed 0.010",
        ),
        ({"matchType": "RANGE"}, "$1", "€1", "'$1' in source, '€1' in target; no difference can be taken"),
        (
            {"matchType": "DATE_WINDOW"}, "2026-01-01", "2025-12-30",
            "'2026-01-01' in source, '2025-12-30' in target; -2 days apart, allowed 0",
        ),
        ({"matchType": "DATE_WINDOW"}, "x", "2025-12-30", "'x' in source, '2025-12-30' in target; not two dates"),
        (
            {"matchType": "FUZZY", "fuzzyThreshold": 0.9}, "ab", "ba",
            "'ab' in source, 'ba' in target; similarity 0.0, at least 0.9 needed",
        ),
        ({"matchType": "CONTAINS"}, "ab", "ba", "'ab' in source, 'ba' in target; neither contains the other"),
        ({"matchType": "STARTS_WITH"}, "ab", "ba", "'ab' in source, 'ba' in target; neither starts with the other"),
        ({"matchType": "ENDS_WITH"}, "ab", "ba", "'ab' in source, 'ba' in target; neither ends with the other"),
    ],
)  # fmt: skip
def test_a_mismatch_says_what_was_missed(rule: dict[str, Any], one: str, other: str | None, text: str) -> None:
    rule_set = one_pass(["id"], [{"sourceField": "v", **rule}])
    outcome = reconcile(rule_set, side({"id": ["1"], "v": [one]}), side({"id": ["1"], "v": [other]}))
    assert outcome.breaks["description"].to_list() == [f"Value mismatch for field v: {text}"]


def test_the_frames_have_their_columns_and_types_whatever_is_in_them() -> None:
    rule_set = one_pass(["id"], [RANGE, WINDOW, {"sourceField": "id"}])
    empty = reconcile(rule_set, frame([], 1), frame([], 2))
    full = reconcile(rule_set, frame([("1", "1", "x", "y")], 1), frame([("1", "2", "z", "y"), (None,) * 4], 2))
    for one, other in zip(frames(empty), frames(full), strict=True):
        assert one.schema == other.schema
    assert full.matches.columns == [
        "match_id", "pass", "source_file_id", "source_row", "target_file_id", "target_row", "score",
        "agrees_1_amount", "delta_1_amount", "agrees_2_day", "delta_2_day", "agrees_3_id",
    ]  # fmt: skip
    assert full.breaks.columns == [
        "type", "severity", "field", "source_value", "target_value", "delta", "source_file_id", "source_row",
        "target_file_id", "target_row", "match_id", "key", "description",
    ]  # fmt: skip
    assert full.matches["score"].to_list() == [pytest.approx(1 / 3)]
    assert full.unmatched_target.columns == ["id", "amount", "day", "name", FILE_ID, ROW, REASON]
    assert empty.statistics.match_rate == 0.0


def test_a_step_reads_what_an_earlier_one_left_over() -> None:
    source = side({"id": ["1", "2", "3"], "ref": ["a", "b", "c"]}, file_id=7)
    first = reconcile(one_pass(["id"]), source, side({"id": ["2"]}, file_id=8))
    second = reconcile(one_pass(["ref"]), first.unmatched_source.lazy(), side({"ref": ["c"]}, file_id=9))
    assert second.matches.select("source_file_id", "source_row", "target_row").rows() == [(7, 3, 1)]
    assert second.unmatched_source.rows() == [("1", "a", 7, 1, "MISSING")]


def test_records_of_several_files_are_told_apart() -> None:
    both = pl.concat([side({"id": ["a", "b"]}, file_id=2), side({"id": ["a", "c"]}, file_id=1)])
    outcome = reconcile(one_pass(["id"]), both, side({"id": ["a"]}, file_id=1))
    assert outcome.matches.select("source_file_id", "source_row").rows() == [(1, 1)]
    assert outcome.unmatched_source.select(FILE_ID, ROW, REASON).rows() == [
        (1, 2, "MISSING"),
        (2, 1, "DUPLICATE"),
        (2, 2, "MISSING"),
    ]


def test_columns_of_nothing_but_nulls_and_wide_numbers() -> None:
    rule_set = one_pass(["id"], [{"sourceField": "v", "matchType": "RANGE", "tolerance": 1}])
    source = side({"id": [1, 2], "v": [None, None]}, dtype=None)
    target = side({"id": ["1", "2"], "v": [Decimal("1.5"), None]}, dtype=None)
    assert reconcile(rule_set, source, target).matches["agrees_1_v"].to_list() == [False, True]


def test_nested_columns_are_refused_by_name() -> None:
    source = side({"id": [["a"]]}, dtype=None)
    with pytest.raises(RuleInvalid, match=r"Column 'id' of source is List\(String\)"):
        reconcile(one_pass(["id"]), source, source)


def test_progress_rises_to_one() -> None:
    told: list[float] = []
    reconcile(one_pass(["id"]), side({"id": ["1"]}), side({"id": ["1"]}), on_progress=told.append)
    assert told == sorted(told)
    assert told[0] == 0.0
    assert told[-1] == 1.0


@pytest.mark.parametrize("damage", ["lost", "doubled", "swapped", "both"])
def test_conservation_notices_what_is_lost_or_doubled(damage: str) -> None:
    inputs = (side({"id": ["1", "2", "3"]}), side({"id": ["1"]}, file_id=2))
    before: list[Fingerprint] = [fingerprint(one.collect()) for one in inputs]
    outcome = reconcile(one_pass(["id"]), *inputs)
    check_conservation(outcome, *before)
    rest = outcome.unmatched_source
    damaged = {
        "lost": rest.head(1),
        "doubled": pl.concat([rest, rest.head(1)]),
        "swapped": pl.concat([rest.head(1), rest.head(1)]),
        "both": rest.with_columns(pl.lit(1, pl.Int64).alias(ROW)),
    }[damage]
    broken = Outcome(**{**outcome.__dict__, "unmatched_source": damaged})
    with pytest.raises(ConservationBroken, match="3 source records went in"):
        check_conservation(broken, *before)


def test_how_a_file_is_cut_into_row_groups_does_not_matter(tmp_path: Path) -> None:
    numbers = pl.int_range(0, 20_000, eager=True)
    columns = {
        "id": (numbers * 7919 % 15_000).cast(pl.String),
        "amount": (numbers % 97).cast(pl.String),
        "day": pl.Series(["2026-01-31"] * 20_000),
    }
    source, target = (
        side(columns).collect(),
        side({**columns, "amount": (numbers % 89).cast(pl.String)}, file_id=2).collect(),
    )
    rule_set = one_pass(["id"], [RANGE, WINDOW])
    expected = reconcile(rule_set, source.lazy(), target.lazy())
    for rows_a_group in (700, 20_000):
        paths = [tmp_path / f"{name}{rows_a_group}.parquet" for name in ("source", "target")]
        source.write_parquet(paths[0], row_group_size=rows_a_group)
        target.write_parquet(paths[1], row_group_size=rows_a_group)
        assert same(reconcile(rule_set, *(pl.scan_parquet(path) for path in paths)), expected)
