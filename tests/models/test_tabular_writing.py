"""Writing tables: the same bytes every time, in every format."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import fastexcel
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.identity import FILE_ID, REASON, ROW
from models.errors import NotRenderable
from models.tabular import (
    Format,
    ingest,
    render,
    scan,
    write_csv,
    write_parquet,
)
from models.tabular import render as render_function
from models.tabular.writers import ROW_GROUP, text_columns

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
LOCAL = datetime(2024, 1, 15, 10, 30, 5)  # noqa: DTZ001 - a local time is what is meant


MIXED = """
import sys
from pathlib import Path
import polars as pl
from models.tabular import Format, render, write_csv, write_parquet

rows = 300_000
numbers = pl.int_range(rows, eager=True)
frame = pl.DataFrame({
    "text": [f"text {n % 977}" for n in range(rows)],
    "long": [("x" * (n % 50)) + str(n) for n in range(rows)],
    "null": [None if n % 3 else str(n) for n in range(rows)],
    "decimal": numbers.cast(pl.Decimal(38, 2)),
    "day": (numbers % 1000).cast(pl.Date),
    "_recon_row": numbers,
})
cut = int(sys.argv[2])
frame = pl.concat([frame[at : at + cut] for at in range(0, rows, cut)], rechunk=False)
directory = Path(sys.argv[1])
frame.write_parquet(directory / "source")
write_parquet(frame, directory / "eager.parquet")
write_parquet(pl.scan_parquet(directory / "source").filter(pl.col("_recon_row") >= 0), directory / "lazy.parquet")
write_csv(frame, directory / "eager.csv")
write_csv(frame.lazy(), directory / "lazy.csv")
for wanted in Format:
    source = directory / "eager.parquet"
    if wanted is Format.XLSX:
        source = pl.scan_parquet(source).head(30_000)
    render(source, wanted, directory / f"rendered.{wanted}")
"""


def test_one_frame_is_one_sequence_of_bytes(tmp_path: Path) -> None:
    """However many threads there are, however the frame is cut, and however often it is written."""
    seen: dict[str, set[str]] = {}
    for attempt, (threads, cut) in enumerate([("1", 300_000), ("2", 37_111), ("4", 1_000), ("4", 131_072)]):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        env = os.environ | {"POLARS_MAX_THREADS": threads}
        subprocess.run([sys.executable, "-c", MIXED, str(directory), str(cut)], check=True, env=env)
        for path in directory.iterdir():
            if path.name != "source":
                kind = (
                    "csv"
                    if path.suffix == ".csv"
                    else path.name.replace("eager", "rendered").replace("lazy", "rendered")
                )
                seen.setdefault(kind, set()).add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert set(seen) == {"csv", "rendered.parquet", "rendered.arrow", "rendered.xlsx"}
    assert {kind: len(found) for kind, found in seen.items()} == dict.fromkeys(seen, 1)


def test_parquet_has_fixed_row_groups_and_no_time(tmp_path: Path) -> None:
    write_parquet(pl.LazyFrame({"n": pl.int_range(2 * ROW_GROUP + 10, eager=True)}), tmp_path / "a.parquet")
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [ROW_GROUP, ROW_GROUP, 10]
    assert not any(b"time" in key.lower() for key in metadata.metadata or {})


def test_csv_quotes_only_what_needs_it(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a,b": ["40.00", "x,y", 'q"q', "l\nl", "c\rc", " s ", "", None], "n": range(8)})
    write_csv(frame, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == (
        b'"a,b",n\n40.00,0\n"x,y",1\n"q""q",2\n"l\nl",3\n"c\rc",4\n s ,5\n"",6\n,7\n'
    )


def test_values_become_text_that_reads_well(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "decimal": pl.Series([Decimal("40.00"), Decimal("-0.10"), None], dtype=pl.Decimal(38, 2)),
            "float": [0.1, 1e20, None],
            "flag": [True, False, None],
            "day": [date(2024, 1, 15), date(1, 1, 1), None],
            "moment": pl.Series([LOCAL.replace(tzinfo=UTC), None, None]).dt.convert_time_zone("Europe/Berlin"),
            "local": [LOCAL, LOCAL.replace(microsecond=120_000), None],
            "time": [time(10, 5), time(0, 0, 0, 5), None],
            "span": [timedelta(days=1, seconds=5), timedelta(0), None],
            "bytes": [b"\xff\x00", b"", None],
            "list": [["a", 'b"'], [], None],
            "struct": [{"x": 1, "y": None}, {"x": None, "y": "z"}, None],
            "category": pl.Series(["x", "y", None], dtype=pl.Categorical),
        }
    )
    assert text_columns(frame.lazy()).collect().rows() == [
        (
            "40.00",
            "0.1",
            "true",
            "2024-01-15",
            "2024-01-15T10:30:05Z",
            "2024-01-15T10:30:05",
            "10:05:00",
            "P1DT5S",
            "ff00",
            '["a","b\\""]',
            '{"x":1,"y":null}',
            "x",
        ),
        (
            "-0.10",
            "1e+20",
            "false",
            "0001-01-01",
            None,
            "2024-01-15T10:30:05.120",
            "00:00:00.000005",
            "PT0S",
            "",
            "[]",
            '{"x":null,"y":"z"}',
            "y",
        ),
        (None,) * 12,
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(texts, texts), max_size=20))
def test_text_comes_out_of_csv_as_it_went_in(rows: list[tuple[str, str]]) -> None:
    """An upload, its twin, the artifact as CSV: the values of the upload, trimmed as the reader does."""
    blanks = "".join(map(chr, range(33)))
    upload = io.StringIO(newline="")
    csv.writer(upload, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    with TemporaryDirectory() as directory:
        (source := Path(directory, "upload")).write_bytes(upload.getvalue().encode())
        ingest(source, "a.csv", twin := Path(directory, "twin"))
        write_csv(scan(twin, 3), artifact := Path(directory, "artifact.csv"))
        written = artifact.read_bytes().decode()
        again = (
            ingest(artifact, "a.jsonl.csv", Path(directory, "again")) if not written.startswith("a,b,_recon") else None
        )
    assert again is None
    found = list(csv.reader(io.StringIO(written, newline=""), strict=True))
    assert found == [
        ["a", "b", FILE_ID, ROW],
        *([a.strip(blanks), b.strip(blanks), "3", str(row)] for row, (a, b) in enumerate(rows, start=1)),
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.none() | texts, st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=20))
def test_parquet_and_arrow_give_back_what_they_were_given(rows: list[tuple[str | None, int | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.Int64}, orient="row")
    with TemporaryDirectory() as directory:
        write_parquet(frame, source := Path(directory, "a.parquet"))
        for wanted, reader in ((Format.PARQUET, pl.read_parquet), (Format.ARROW, pl.read_ipc_stream)):
            render(source, wanted, target := Path(directory, "target"))
            assert reader(target).equals(frame)


def test_arrow_is_for_every_reader(tmp_path: Path) -> None:
    write_parquet(pl.DataFrame({"a": ["x"], "b": pl.Series(["y"], dtype=pl.Categorical)}), tmp_path / "a.parquet")
    render(tmp_path / "a.parquet", Format.ARROW, tmp_path / "a.arrow")
    with pa.ipc.open_stream(tmp_path / "a.arrow") as stream:
        assert stream.read_all().to_pylist() == [{"a": "x", "b": "y"}]


def sheets(path: Path) -> dict[str, list[tuple[str | None, ...]]]:
    book = fastexcel.read_excel(path)
    return {
        name: book.load_sheet(name, header_row=None, dtypes="string").to_polars().rows() for name in book.sheet_names
    }


def test_excel_holds_texts_as_texts(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "=1+1": ["=1+1", "007", "40.00", "http://example.org", None, ""],
            "amount": pl.Series(["40.00", "-0.10", None, "1", "2", "3"]).cast(pl.Decimal(38, 2)),
            FILE_ID: [1, 10**15, -(10**15), 2**63 - 1, None, 0],
            REASON: ["MISSING"] * 6,
        }
    )
    render(frame.lazy(), Format.XLSX, tmp_path / "a.xlsx")
    assert sheets(tmp_path / "a.xlsx") == {
        "Sheet1": [
            ("=1+1", "amount", FILE_ID, REASON),
            ("=1+1", "40.00", "1", "MISSING"),
            ("007", "-0.10", "1000000000000000", "MISSING"),
            ("40.00", None, "-1000000000000000", "MISSING"),
            ("http://example.org", "1.00", "9223372036854775807", "MISSING"),
            (None, "2.00", None, "MISSING"),
            ("", "3.00", "0", "MISSING"),
        ]
    }


def test_excel_goes_on_on_another_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[render_function.__module__], "SHEET_ROWS", 4)
    render(pl.LazyFrame({"a": [str(n) for n in range(7)]}), Format.XLSX, tmp_path / "a.xlsx")
    assert sheets(tmp_path / "a.xlsx") == {
        "Sheet1": [("a",), ("0",), ("1",), ("2",)],
        "Sheet2": [("a",), ("3",), ("4",), ("5",)],
        "Sheet3": [("a",), ("6",)],
    }


def test_an_empty_table_is_rendered_in_every_format(tmp_path: Path) -> None:
    frame = pl.LazyFrame(schema={"a": pl.String, "b": pl.Int64})
    for wanted in Format:
        render(frame, wanted, tmp_path / f"a{wanted.extension}")
    assert (tmp_path / "a.csv").read_bytes() == b"a,b\n"
    assert pl.read_parquet(tmp_path / "a.parquet").schema == frame.collect_schema()
    assert pl.read_ipc_stream(tmp_path / "a.arrow").schema == frame.collect_schema()
    assert sheets(tmp_path / "a.xlsx") == {"Sheet1": [("a", "b")]}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.LazyFrame({"a": ["x", "y" * 32_768]}), "column 'a' has a value of 32,768"),
        (pl.LazyFrame({f"c{n}": [1] for n in range(16_385)}), "the table has 16,385"),
    ],
)
def test_what_excel_can_not_hold_is_refused(frame: pl.LazyFrame, message: str, tmp_path: Path) -> None:
    with pytest.raises(NotRenderable, match=message):
        render(frame, Format.XLSX, tmp_path / "a.xlsx")


def test_formats_have_types_and_extensions() -> None:
    assert {wanted: (wanted.extension, wanted.content_type.partition(";")[0]) for wanted in Format} == {
        "csv": (".csv", "text/csv"),
        "parquet": (".parquet", "application/vnd.apache.parquet"),
        "arrow": (".arrow", "application/vnd.apache.arrow.stream"),
        "xlsx": (".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    }
