"""Excel, JSON lines and Parquet uploads."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
import xlwt
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.errors import FileUnreadable
from models.tabular import Ingested, ingest, jsonl, preview, records, scan, write_csv
from models.tabular.excel import plain_number

Rows = list[list[Any]]


def read(upload: Path, twin: Path, name: str | None = None) -> tuple[Ingested, pl.DataFrame]:
    return ingest(upload, name or upload.name, twin), pl.read_parquet(twin)


def xlsx(path: Path, rows: Rows, first: tuple[int, int] = (0, 0), sheets: int = 1) -> Path:
    with xlsxwriter.Workbook(path, {"strings_to_numbers": False, "strings_to_formulas": False}) as book:
        formats = {
            datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            date: book.add_format({"num_format": "yyyy-mm-dd"}),
            time: book.add_format({"num_format": "hh:mm:ss"}),
        }
        sheet = book.add_worksheet()
        for _ in range(sheets - 1):
            book.add_worksheet().write_string(0, 0, "another sheet")
        for row, cells in enumerate(rows, start=first[0]):
            for column, cell in enumerate(cells, start=first[1]):
                if isinstance(cell, str):
                    sheet.write_string(row, column, cell)
                elif isinstance(cell, tuple):
                    sheet.write_formula(row, column, cell[0], None, cell[1])
                elif isinstance(cell, (date, time)):
                    sheet.write_datetime(row, column, cell, formats[type(cell)])
                elif cell is not None:
                    sheet.write(row, column, cell)
    return path


def xls(path: Path, rows: Rows) -> Path:
    book = xlwt.Workbook()
    sheet = book.add_sheet("first")
    formats = {datetime: "YYYY-MM-DD HH:MM:SS", date: "YYYY-MM-DD", time: "HH:MM:SS"}
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            if cell is not None and not isinstance(cell, tuple):
                style = xlwt.Style.default_style
                if isinstance(cell, (date, time)):
                    style = xlwt.easyxf(num_format_str=formats[type(cell)])
                sheet.write(row, column, cell, style)
    book.save(str(path))
    return path


LOCAL = datetime(2024, 1, 15, 10, 30, 5)  # noqa: DTZ001 - what spreadsheets and files have
CELLS: list[tuple[Any, str | None]] = [
    (1001, "1001"),
    (-3, "-3"),
    (0, "0"),
    (1001.0, "1001"),
    (1001.5, "1001.5"),
    (0.1, "0.1"),
    (100.10, "100.1"),
    (0.1 + 0.2, "0.3"),
    (1 / 3, "0.333333333333333"),
    (1e-12, "0.000000000001"),
    (123456789.123, "123456789.123"),
    (12345678901, "12345678901"),
    (1e21, "1000000000000000000000"),
    ("007", "007"),
    ("40.00", "40.00"),
    ("0", "0"),
    ("1", "1"),
    ("1e3", "1e3"),
    ("12345678901234567890", "12345678901234567890"),
    ("123456789.122999996", "123456789.122999996"),
    ("2024-01-15 00:00:00", "2024-01-15 00:00:00"),
    ("TRUE", "TRUE"),
    ("true", "true"),
    ("  text ", "  text "),
    ("a\nb", "a\nb"),
    ("é €", "é €"),
    ("=1+2", "=1+2"),
    (True, "true"),
    (False, "false"),
    (date(2024, 1, 15), "2024-01-15"),
    (LOCAL, "2024-01-15T10:30:05"),
    (LOCAL.replace(hour=0, minute=0, second=0), "2024-01-15"),
    (time(10, 5), "10:05:00"),
    (None, None),
]


@pytest.mark.parametrize("write", [xlsx, xls])
@pytest.mark.parametrize("together", [False, True])
def test_cells_become_the_text_that_csv_would_have(write: Any, together: bool, tmp_path: Path) -> None:
    """Each kind in a column of its own, and all of them in one column."""
    cells, texts = zip(*CELLS, strict=True)
    header = [f"c{n}" for n in range(len(cells))]
    rows = [["c"], *([cell] for cell in cells), ["end"]] if together else [header, list(cells)]
    ingested, frame = read(write(tmp_path / f"a.{write.__name__}", rows), tmp_path / "twin")
    if together:
        assert frame["c"].to_list() == [*texts, "end"]
    else:
        assert frame.row(0) == texts
        assert ingested.headers == header


def test_formulas_are_their_values_and_errors_are_null(tmp_path: Path) -> None:
    rows = [["f"], [("=1+2", 3)], [('="x"&2', "x2")], [("=1/0", "#DIV/0!")], [("=1>0", True)]]
    _, frame = read(xlsx(tmp_path / "a.xlsx", rows), tmp_path / "twin")
    assert frame["f"].to_list() == ["3", "x2", None, "true"]


def test_only_the_first_sheet_counts_and_it_may_begin_anywhere(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "a.xlsx", [[" id ", 2024], [1, "x"], [None, None], [2, "y"]], first=(3, 2), sheets=2)
    ingested, frame = read(path, tmp_path / "twin")
    assert ingested.headers == ["id", "2024"]
    assert frame.rows() == [("1", "x"), (None, None), ("2", "y")]


def test_an_empty_sheet_is_an_empty_table(tmp_path: Path) -> None:
    ingested, frame = read(xlsx(tmp_path / "a.xlsx", []), tmp_path / "twin")
    assert (ingested.row_count, ingested.column_count, frame.shape) == (0, 0, (0, 0))
    ingested, frame = read(xlsx(tmp_path / "b.xlsx", [["a", "b"]]), tmp_path / "twin")
    assert (ingested.row_count, ingested.headers, frame.schema) == (0, ["a", "b"], {"a": pl.String, "b": pl.String})


def test_a_column_without_name_is_dropped_if_it_is_empty(tmp_path: Path) -> None:
    _, frame = read(xlsx(tmp_path / "a.xlsx", [["a", None, "c"], [1, None, 3]]), tmp_path / "twin")
    assert frame.columns == ["a", "c"]
    with pytest.raises(FileUnreadable, match="Column AB has values and no name"):
        read(xlsx(tmp_path / "b.xlsx", [["a", None, "c"], [1, 2, 3]], first=(0, 26)), tmp_path / "twin")


def test_of_excel_columns_with_one_name_the_last_is_kept(tmp_path: Path) -> None:
    ingested, frame = read(xlsx(tmp_path / "a.xlsx", [["a", "b", "a"], [1, 2, 3]]), tmp_path / "twin")
    assert ingested.headers == ["a", "b", "a"]
    assert frame.to_dicts() == [{"a": "3", "b": "2"}]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(10**15) + 1, 10**15 - 1),
            st.floats(-1e15, 1e15, allow_subnormal=False).filter(lambda number: number == 0 or abs(number) > 1e-9),
            st.text(
                st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"),
                min_size=1,
            ),
            st.text("0123456789.-e ", min_size=1, max_size=24),
            st.dates(date(1901, 1, 1), date(2100, 1, 1)),
        ),
        min_size=1,
    )
)
@example([2097152.7086187247])
def test_excel_cells_round_trip(cells: list[Any]) -> None:
    def text(cell: Any) -> str | None:
        if cell is None or isinstance(cell, str):
            return cell
        if isinstance(cell, bool):
            return str(cell).lower()
        # The file is written with 16 digits of a number.
        return cell.isoformat() if isinstance(cell, date) else plain_number(float(f"{cell:.16G}"))

    with TemporaryDirectory() as directory:
        path = xlsx(Path(directory, "a.xlsx"), [["c"], *([cell] for cell in cells), ["end"]])
        _, frame = read(path, Path(directory, "twin"))
    assert frame["c"].to_list() == [*map(text, cells), "end"]


@given(st.floats(-1e15, 1e15))
def test_plain_numbers_have_fifteen_digits(number: float) -> None:
    text = plain_number(number)
    assert math.isclose(float(text), number, rel_tol=1e-14)
    assert "e" not in text.lower()
    assert not ("." in text and text.endswith(("0", ".")))


def test_zero_has_no_sign_in_excel(tmp_path: Path) -> None:
    _, frame = read(xlsx(tmp_path / "a.xlsx", [["a"], [-0.0], [0], ["-0"]]), tmp_path / "twin")
    assert frame["a"].to_list() == ["0", "0", "-0"]


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"PK\x03\x04broken", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)]
)
@pytest.mark.parametrize("name", ["a.xlsx", "a.xls", "A.XLSX"])
def test_what_is_no_excel_is_refused(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(content)
    with pytest.raises(FileUnreadable, match="Not a readable Excel file"):
        ingest(tmp_path / "upload", name, tmp_path / "twin")
    assert not (tmp_path / "twin").exists()


def test_excel_is_told_by_its_content(tmp_path: Path) -> None:
    _, frame = read(xlsx(tmp_path / "upload", [["a"], [1]]), tmp_path / "twin", "old.xls")
    assert frame["a"].to_list() == ["1"]


def jsonl_upload(directory: Path, text: str | bytes, name: str = "a.jsonl") -> tuple[Ingested, pl.DataFrame]:
    (directory / "upload").write_bytes(text.encode() if isinstance(text, str) else text)
    return read(directory / "upload", directory / "twin", name)


def test_json_values_keep_their_literals(tmp_path: Path) -> None:
    line = '{"a": 40.00, "b": 1e3, "c": 12345678901234567890.10, "d": "007", "e": true, "f": null, '
    line += '"g": [1.50, {"h": "é\\n"}], "i": -0}'
    _, frame = jsonl_upload(tmp_path, line)
    assert frame.row(0) == ("40.00", "1e3", "12345678901234567890.10", "007", "true", None, '[1.50,{"h":"é\\n"}]', "-0")


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_json_keys_come_in_order_of_first_appearance(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "BATCH", batch)
    text = '\ufeff{"b": 1}\n\n  \r\n{"a": 2, "b": 3, "a": 4}\r\n{}\n{"c": "x"}'
    ingested, frame = jsonl_upload(tmp_path, text, "a.NDJSON")
    assert ingested.headers == ["b", "a", "c"]
    assert frame.rows() == [("1", None, None), ("3", "4", None), (None, None, None), (None, None, "x")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["twin", "upload"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip),
            st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
            max_size=4,
        ),
        min_size=1,
    ),
    st.booleans(),
)
def test_json_texts_round_trip(objects: list[dict[str, str | None]], escaped: bool) -> None:
    keys = list(dict.fromkeys(key for some in objects for key in some))
    text = "\n".join(json.dumps(some, ensure_ascii=escaped) for some in objects)
    with TemporaryDirectory() as directory:
        if not keys:
            with pytest.raises(FileUnreadable, match="no record has a key"):
                jsonl_upload(Path(directory), text)
            return
        _, frame = jsonl_upload(Path(directory), text)
    assert frame.columns == keys
    assert frame.rows() == [tuple(some.get(key) for key in keys) for some in objects]


def test_a_json_array_of_objects_is_read_too(tmp_path: Path) -> None:
    _, frame = jsonl_upload(tmp_path, ' \n[{"a": 1},\n {"b": 2.0}]', "a.json")
    assert frame.rows() == [("1", None), (None, "2.0")]
    _, frame = jsonl_upload(tmp_path, '{"a": 1}\n{"a": 2}', "a.json")
    assert frame.rows() == [("1",), ("2",)]


@pytest.mark.parametrize("text", ["", "\n\n", "[]"])
def test_no_json_is_an_empty_table(text: str, tmp_path: Path) -> None:
    ingested, frame = jsonl_upload(tmp_path, text)
    assert (ingested.row_count, ingested.column_count, frame.shape) == (0, 0, (0, 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": }\n', "Line 2: not JSON: Expecting value at character 7"),
        ('{"a": 1}\n\n{"a": 1\n', "Line 3: not JSON"),
        ('{"a": 1}\n[1]\n', "Line 2: an object is expected"),
        ('{"a": 1}\n7\n', "Line 2: an object is expected"),
        ('{"a": NaN}\n', "Line 1: not JSON: NaN is no JSON number"),
        ('{"a": 1} {"a": 2}\n', "Line 1: not JSON: Extra data"),
        ('{"a": "\\ud800"}\n', "Line 1: half of a surrogate pair stands alone"),
        ('{"a": 1}\n{"a": "x\\u0000"}\n', "Line 2: holds a NUL character"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "Line 2: not UTF-8"),
        ('{"a": 1}\n{" ": 2}\n', "Line 2: a key has no name"),
        ('{"_recon_row": 2}\n', "Column name '_recon_row' is reserved"),
        ('[{"a": 1},\n 7]', "Record 2: an object is expected"),
        ('[{"a": 1},\n {"a": ]', "Line 2: not JSON: Expecting value at character 8"),
        ("[" * 100_000, "Line 1: not JSON"),
        ('{"a": ' + "[" * 100_000, "Line 1: not JSON"),
    ],
)
def test_a_bad_json_line_is_named(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable) as raised:
        jsonl_upload(tmp_path, text)
    assert raised.value.message.startswith(message)
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


def test_a_json_array_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "ARRAY_LIMIT", 100)
    with pytest.raises(FileUnreadable, match="JSON lines"):
        jsonl_upload(tmp_path, json.dumps([{"a": "x" * 100}]))


TYPED = pl.DataFrame(
    {
        "text": ["a", None, "b"],
        "small": pl.Series([1, None, 3], dtype=pl.Int16),
        "decimal": pl.Series([Decimal("40.00"), None, Decimal("0.10")], dtype=pl.Decimal(38, 2)),
        "float": [1.5, None, math.inf],
        "day": [date(2024, 1, 15), None, date(1999, 12, 31)],
        "moment": pl.Series([datetime(2024, 1, 15, 10, tzinfo=UTC), None, None], dtype=pl.Datetime("us", "UTC")),
        "local": pl.Series([LOCAL, None, None], dtype=pl.Datetime("ms")),
        "time": [time(10, 5), None, None],
        "span": [timedelta(hours=1), None, None],
        "flag": [True, None, False],
    }
)


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    TYPED.write_parquet(tmp_path / "a.parquet")
    ingested, frame = read(tmp_path / "a.parquet", tmp_path / "twin")
    assert frame.schema == TYPED.schema
    assert frame.equals(TYPED)
    kinds = {column["name"]: column["detectedType"] for column in ingested.schema}
    assert kinds == {
        "text": "text",
        "small": "integer",
        "decimal": "number",
        "float": "number",
        "day": "date",
        "moment": "date",
        "local": "date",
        "time": "text",
        "span": "text",
        "flag": "boolean",
    }
    assert all(column["nullCount"] == 1 for column in ingested.schema if column["name"] in ("text", "small", "float"))
    assert json.loads(json.dumps(ingested.schema)) == ingested.schema


def test_parquet_texts_of_other_types_become_texts(tmp_path: Path) -> None:
    pl.DataFrame(
        {
            "category": pl.Series(["x", None, "y"], dtype=pl.Categorical),
            "enum": pl.Series(["x", None, "y"], dtype=pl.Enum(["x", "y"])),
            "utf8": [b"x", None, "é".encode()],
            "bytes": [b"\xff", None, b"a"],
            "nothing": [None, None, None],
        }
    ).write_parquet(tmp_path / "a.parquet")
    _, frame = read(tmp_path / "a.parquet", tmp_path / "twin")
    assert set(frame.dtypes) == {pl.String}
    assert frame.rows() == [("x", "x", "x", "ff", None), (None,) * 5, ("y", "y", "é", "61", None)]


def test_a_parquet_twin_depends_on_the_rows_alone(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": range(300_000), "b": [f"text {n % 1000}" for n in range(300_000)]})
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=1_000, compression="snappy")
    frame.write_parquet(tmp_path / "b.parquet", compression="zstd")
    for name in ("a", "b"):
        read(tmp_path / f"{name}.parquet", tmp_path / f"{name}.twin")
    assert (tmp_path / "a.twin").read_bytes() == (tmp_path / "b.twin").read_bytes()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            pl.DataFrame({"a": [1], "b": [[1, 2]], "c": [{"x": 1}]}),
            "Column 'b', 'c' is nested; a table of plain columns is expected",
        ),
        (pl.DataFrame({"a": [1], " ": [2]}), "Column 2 has no name"),
        (pl.DataFrame({"a": ["x\0y"]}), "Column 'a' holds a NUL character"),
        (pl.DataFrame({"a\0": ["x"]}), "The name of column 1 holds a NUL character"),
        (pl.DataFrame({"_recon_reason": ["x"]}), "Column name '_recon_reason' is reserved"),
        (
            pl.DataFrame({"a": [0], "b": [2**50]}).cast({"b": pl.Datetime("ms")}),
            "Column 'b' holds a time that is out of range",
        ),
        (
            pl.DataFrame({"a": [-(10**17)]}).cast(pl.Datetime("us", "UTC")),
            "Column 'a' holds a time that is out of range",
        ),
        (pl.DataFrame({"a": [3_000_000]}).cast(pl.Date), "Column 'a' holds a time that is out of range"),
        (pl.DataFrame({"a": [2**62]}).cast(pl.Duration("ms")), "Column 'a' holds a time that is out of range"),
    ],
)
def test_a_parquet_file_that_is_no_plain_table_is_refused(frame: pl.DataFrame, message: str, tmp_path: Path) -> None:
    frame.write_parquet(tmp_path / "a.parquet")
    with pytest.raises(FileUnreadable) as raised:
        ingest(tmp_path / "a.parquet", "a.parquet", tmp_path / "twin")
    assert raised.value.message == message
    assert not (tmp_path / "twin").exists()


def test_parquet_numbers_of_128_bits_become_texts(tmp_path: Path) -> None:
    least, most = -(2**127), 2**128 - 1
    wide = {"signed": pl.Int128, "unsigned": pl.UInt128}
    frame = pl.DataFrame({"signed": [least, -7777], "unsigned": [most, None]}, schema=wide)
    frame.write_parquet(tmp_path / "a.parquet")
    ingested, twin = read(tmp_path / "a.parquet", tmp_path / "twin")
    assert twin.rows() == [(str(least), str(most)), ("-7777", None)]
    assert [column["detectedType"] for column in ingested.schema] == ["integer", "integer"]


def test_parquet_extension_types_become_what_they_are_stored_as(tmp_path: Path) -> None:
    documents = pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}']))
    keys = pa.array([bytes(range(240, 256))], pa.uuid())
    pq.write_table(pa.table({"document": documents, "key": keys}), tmp_path / "a.parquet")
    _, twin = read(tmp_path / "a.parquet", tmp_path / "twin")
    assert twin.schema == {"document": pl.String, "key": pl.String}
    assert twin.rows() == [('{"a":1}', bytes(range(240, 256)).hex())]


def test_decimals_beyond_38_digits_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([Decimal("1.5")], pa.decimal256(50, 3))}), tmp_path / "a.parquet")
    with pytest.raises(FileUnreadable, match="Not a readable Parquet file"):
        ingest(tmp_path / "a.parquet", "a.parquet", tmp_path / "twin")


@pytest.mark.parametrize("cut", [0, 4, 100, -10])
def test_a_damaged_parquet_file_is_refused(cut: int, tmp_path: Path) -> None:
    TYPED.write_parquet(tmp_path / "whole")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "whole").read_bytes()[:cut])
    with pytest.raises(FileUnreadable, match="Not a readable Parquet file"):
        ingest(tmp_path / "a.parquet", "a.parquet", tmp_path / "twin")


def test_damage_inside_a_parquet_file_is_found(tmp_path: Path) -> None:
    TYPED.write_parquet(tmp_path / "whole", compression="zstd")
    content = bytearray((tmp_path / "whole").read_bytes())
    content[40:80] = bytes(40)
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(FileUnreadable, match="Not a readable Parquet file"):
        ingest(tmp_path / "a.parquet", "a.parquet", tmp_path / "twin")


@pytest.mark.parametrize("name", ["a.txt", "a", "csv", "a.csv.gz", ".csv", "a.pdf"])
def test_another_extension_is_not_supported(name: str, tmp_path: Path) -> None:
    (tmp_path / "upload").write_text("a\n1\n")
    with pytest.raises(FileUnreadable, match=f"Unsupported file type: {name}; supported: .csv"):
        ingest(tmp_path / "upload", name, tmp_path / "twin")


@pytest.mark.parametrize("name", ["A.CSV", "a.b.Csv", "dir/a.csv"])
def test_the_case_of_an_extension_does_not_matter(name: str, tmp_path: Path) -> None:
    (tmp_path / "upload").write_text("a\n1\n")
    assert ingest(tmp_path / "upload", name, tmp_path / "twin").row_count == 1


@pytest.mark.parametrize("extension", [".csv", ".jsonl", ".parquet"])
def test_names_that_look_like_patterns_are_names(extension: str, tmp_path: Path) -> None:
    names = ["0", "*", "^x$", "^.*$"]
    upload = tmp_path / f"upload{extension}"
    if extension == ".parquet":
        pl.DataFrame({name: [name] for name in names}).write_parquet(upload)
    else:
        header = ",".join(names) + "\n"
        upload.write_text(header * 2 if extension == ".csv" else json.dumps({name: name for name in names}) + "\n")
    found, twin = read(upload, tmp_path / "twin")
    assert found.headers == names
    assert [column["sampleValues"] for column in found.schema] == [[name] for name in names]
    frame = scan(tmp_path / "twin", 7)
    assert twin.rows() == [tuple(names)]
    assert preview(frame, 1, names) == [names]
    assert records(frame, [1])[0] == {name: name for name in names} | {"_recon_file_id": 7, "_recon_row": 1}
    write_csv(frame.select(pl.all().exclude("_recon_file_id", "_recon_row")), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == ",".join(names) + "\n" + ",".join(names) + "\n"
    assert preview(pl.LazyFrame(), 1) == []
