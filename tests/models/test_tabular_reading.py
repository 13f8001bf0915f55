"""Reading twins: identity, single records, previews, and what a schema says of the columns."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.identity import FILE_ID, REASON, ROW
from models.tabular import (
    distinct,
    ingest,
    json_value,
    preview,
    profile,
    records,
    scan,
    schema_snapshot,
    write_parquet,
)
from models.tabular import schema as schema_module
from models.tabular.kinds import KINDS
from models.tabular.writers import ROW_GROUP

LOCAL = datetime(2024, 1, 15, 10, 30, 5)  # noqa: DTZ001 - a local time is what is meant

ROWS = 2 * ROW_GROUP + 10


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A twin of several row groups: n, its square and its last digit."""
    path = tmp_path_factory.mktemp("large") / "twin.parquet"
    numbers = pl.LazyFrame({"n": pl.int_range(1, ROWS + 1, eager=True)})
    write_parquet(numbers.select(pl.col("n").cast(pl.String), square=pl.col("n") ** 2, digit=pl.col("n") % 10), path)
    return path


def test_a_scan_adds_identity_after_the_columns(large: Path) -> None:
    scanned = scan(large, 7)
    assert scanned.collect_schema() == {
        "n": pl.String,
        "square": pl.Int64,
        "digit": pl.Int64,
        FILE_ID: pl.Int64,
        ROW: pl.Int64,
    }
    whole = scanned.collect()
    assert whole[ROW].to_list() == list(range(1, ROWS + 1))
    assert whole[FILE_ID].unique().to_list() == [7]


@pytest.mark.parametrize(
    "ask",
    [
        lambda frame: frame.filter(pl.col("digit") == 3),
        lambda frame: frame.filter(pl.col(ROW) > ROWS - 5),
        lambda frame: frame.filter((pl.col("digit") == 3) & pl.col(ROW).is_between(ROW_GROUP - 20, ROW_GROUP + 20)),
        lambda frame: frame.slice(ROW_GROUP - 1, 3),
        lambda frame: frame.tail(3),
        lambda frame: frame.filter(pl.col("digit") == 3).slice(100, 5),
        lambda frame: frame.sort("square", descending=True).head(5),
    ],
)
def test_row_numbers_stay_right_whatever_is_asked_for(ask, large: Path) -> None:  # pyright: ignore
    for engine in ("streaming", "in-memory"):
        found = ask(scan(large, 7)).select(ROW, "n").collect(engine=engine)
        assert found.height
        assert found[ROW].cast(pl.String).to_list() == found["n"].to_list()
        assert ask(scan(pl.scan_parquet(large), 7)).select(ROW).collect().equals(found.select(ROW))


def test_an_artifact_keeps_the_identity_it_has(tmp_path: Path) -> None:
    artifact = pl.DataFrame({"a": ["x", "y"], FILE_ID: [3, 4], ROW: [17, 5], REASON: ["MISSING", "DUPLICATE"]})
    write_parquet(artifact, tmp_path / "a.parquet")
    assert scan(tmp_path / "a.parquet", 99).collect().equals(artifact)


def test_records_are_found_by_row_number(large: Path) -> None:
    wanted = [ROWS, 1, ROW_GROUP, ROW_GROUP + 1, ROWS + 1, 0]
    found = records(scan(large, 7), wanted)
    assert found == [
        {"n": str(row), "square": row * row, "digit": row % 10, FILE_ID: 7, ROW: row}
        for row in (1, ROW_GROUP, ROW_GROUP + 1, ROWS)
    ]
    assert records(scan(large, 7), []) == []


def test_records_of_an_artifact_are_told_apart_by_file() -> None:
    frame = pl.LazyFrame({"a": ["x", "y", "z"], FILE_ID: [1, 2, 2], ROW: [5, 5, 6]})
    assert [record["a"] for record in records(frame, [5])] == ["x", "y"]
    assert [record["a"] for record in records(frame, [5], file_id=2)] == ["y"]


def test_a_preview_has_one_cell_per_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,a\n1,,3\n4,5,6\n")
    ingested = ingest(tmp_path / "a.csv", "a.csv", tmp_path / "twin")
    twin = pl.scan_parquet(tmp_path / "twin")
    assert preview(twin, 1, ingested.headers) == [["3", "", "3"]]
    assert preview(twin, 100, ingested.headers) == [["3", "", "3"], ["6", "5", "6"]]
    assert preview(twin, 0, ingested.headers) == []
    assert preview(twin, 5) == [["3", ""], ["6", "5"]]
    assert [column["name"] for column in ingested.schema] == ["a", "b", "a"]
    assert ingested.schema[0] == ingested.schema[2]


def test_an_empty_upload_has_an_empty_preview(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    ingested = ingest(tmp_path / "a.csv", "a.csv", tmp_path / "twin")
    assert (ingested.row_count, ingested.column_count, ingested.headers, ingested.schema) == (0, 0, [], [])
    assert preview(pl.scan_parquet(tmp_path / "twin"), 10, []) == []
    assert schema_snapshot(pl.scan_parquet(tmp_path / "twin")) == []
    assert scan(tmp_path / "twin", 1).collect().height == 0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        (math.inf, "inf"),
        (math.nan, "nan"),
        ("x", "x"),
        (Decimal("40.00"), "40.00"),
        (date(2024, 1, 15), "2024-01-15"),
        (LOCAL, "2024-01-15T10:30:05"),
        (LOCAL.replace(tzinfo=UTC), "2024-01-15T10:30:05Z"),
        (LOCAL.replace(tzinfo=timezone(timedelta(hours=2))), "2024-01-15T08:30:05Z"),
        (time(10, 5), "10:05:00"),
        (b"\xff", "ff"),
    ],
)
def test_cells_are_json_scalars(value: object, shown: object) -> None:
    assert json_value(value) == shown
    json.dumps(json_value(value), allow_nan=False)


def test_a_snapshot_names_columns_and_types() -> None:
    frame = pl.LazyFrame({"a": ["x"], "b": [1], "c": [Decimal("1.00")]}, schema_overrides={"c": pl.Decimal(38, 2)})
    assert schema_snapshot(frame) == [
        {"name": "a", "type": "String"},
        {"name": "b", "type": "Int64"},
        {"name": "c", "type": "Decimal(precision=38, scale=2)"},
    ]


OLD_KINDS = {
    "currency": r"[$€£¥]?-?\d{1,3}(,\d{3})*(\.\d\d)?",
    "percentage": r"[-+]?(\d+(\.\d*)?|\.\d+)%",
    "integer": r"-?\d+",
    "number": r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?",
    "date": "|".join(
        [
            r"\d{4}-[01]\d-[0-3]\d([T ][0-2]\d:[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[-+][0-2]\d:?[0-5]\d)?)?",
            r"[0-3]\d/[0-3]\d/\d{4}",
            r"\d{4}/[01]\d/[0-3]\d",
            r"[0-3]\d-[0-3]\d-\d{4}",
            r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-3]\d, \d{4}",
            r"[0-3]\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4}",
        ]
    ),
    "email": r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "boolean": r"(?i:true|false|yes|no)",
    "text": r"(?s:.*)",
}


def kind(value: str) -> str:
    """The first that fits wins."""
    return next(name for name, pattern in OLD_KINDS.items() if re.fullmatch(pattern, value, re.ASCII))


def described(values: list[str | None]) -> dict[str, object]:
    """The statistics of a column of texts, one by one."""
    filled = [value for value in values if value is not None and value.strip("".join(map(chr, range(33))))]
    kinds = Counter(kind(value.strip("".join(map(chr, range(33))))) for value in filled)
    most = max(kinds.values(), default=0)
    return {
        "name": "c",
        "detectedType": next((name for name in OLD_KINDS if kinds[name] == most), "text") if filled else "text",
        "nullCount": len(values) - len(filled),
        "uniqueCount": len(set(filled)),
        "sampleValues": filled[:5],
    }


SAMPLES = [
    *("7", "100", "100.00", "-5", "1,234.56", "$1,234", "€-3.50", "1234", "12345.6", "0012", "+5", ".5", "5.", "1e3"),
    *("12%", "5.5%", "x%", "2024-01-15", "2024-01-15T10:30", "2024-01-15T10:30:05.1Z", "2024-01-15 10:30:05"),
    *("01/15/2024", "15/01/2024", "2024/01/15", "01-15-2024", "Jan 15, 2024", "15 Jan 2024", "a@b.co", "a@b"),
    *("yes", "No", "TRUE", "true1", "ORD-1", "40.00x", "$", "-", "é", "", " ", "\t", " 7 ", " yes", "a b", "x\ny"),
]


def test_there_is_a_word_for_every_kind() -> None:
    assert [some.name for some in KINDS] == list(OLD_KINDS)
    assert {kind(value.strip()) for value in SAMPLES} == set(OLD_KINDS)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.none() | st.sampled_from(SAMPLES) | st.text("0123456789.,-$%e/@ aTZ:", max_size=8), max_size=60),
    st.integers(1, 20),
)
def test_statistics_are_those_of_every_single_value(values: list[str | None], head: int) -> None:
    frame = pl.LazyFrame({"c": values}, schema={"c": pl.String})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(schema_module, "HEAD", head)
        assert profile(frame, len(values)) == [described(values)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(SAMPLES).map(str.strip), max_size=60), st.integers(1, 20))
def test_statistics_of_trimmed_texts_are_the_same(values: list[str], head: int) -> None:
    frame = pl.LazyFrame({"c": values}, schema={"c": pl.String})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(schema_module, "HEAD", head)
        assert profile(frame, len(values), trimmed=True) == [described(list(values))]


def test_a_kind_that_comes_late_still_wins(tmp_path: Path) -> None:
    """Neither the first rows nor the first part of the table decide."""
    values = ["x"] * 45_000 + ["2024-01-15"] * 55_000
    (tmp_path / "a.csv").write_text("c\n" + "\n".join(values))
    [column] = ingest(tmp_path / "a.csv", "a.csv", tmp_path / "twin").schema
    assert column == described(list(values))


def test_samples_are_found_behind_many_blanks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("c,d\n" + ",1\n" * 5_000 + "x,1\ny,1\n")
    column = ingest(tmp_path / "a.csv", "a.csv", tmp_path / "twin").schema[0]
    assert (column["nullCount"], column["uniqueCount"], column["sampleValues"]) == (5_000, 2, ["x", "y"])


def test_many_unique_values_are_estimated_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few are counted, however many rows there are."""
    columns = {"many": [str(n) for n in range(300_000)], "few": ["", "x"] * 150_000, "numbers": [None, 1, 2] * 100_000}
    frame = pl.LazyFrame(columns)
    exact = profile(frame, 300_000)
    assert [column["uniqueCount"] for column in exact] == [300_000, 1, 2]
    assert not any("uniqueCountApproximate" in column for column in exact)
    monkeypatch.setattr(schema_module, "EXACT_ROWS", 299_999)
    many, few, numbers = profile(frame, 300_000)
    assert many["uniqueCountApproximate"] is True
    assert abs(many["uniqueCount"] - 300_000) < 6_000
    assert [few, numbers] == exact[1:]


@given(
    st.lists(st.integers(0, 30).map(str) | st.just("") | st.none(), max_size=200), st.integers(1, 7), st.integers(1, 40)
)
def test_distinct_values_are_counted_exactly_as_long_as_they_are_few(
    values: list[str | None], cut: int, kept: int
) -> None:
    frame = pl.LazyFrame({"c": values}, schema={"c": pl.String})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(schema_module, "EXACT_ROWS", 0)
        patched.setattr(distinct, "KEPT", kept)
        patched.setattr(distinct, "ROWS_AT_ONCE", cut)
        [column] = profile(frame, len(values))
    filled = {value for value in values if value}
    with_blank = len(filled) + (len(values) > sum(map(bool, values)))
    assert column.get("uniqueCountApproximate", False) == (with_blank > kept)
    if with_blank <= kept:
        assert column == described(values)


def test_many_columns_are_described_in_order() -> None:
    frame = pl.LazyFrame({f"c{n}": [str(n), ""] for n in range(30)})
    columns = profile(frame, 2, trimmed=True)
    assert [(column["name"], column["sampleValues"], column["nullCount"]) for column in columns] == [
        (f"c{n}", [str(n)], 1) for n in range(30)
    ]
