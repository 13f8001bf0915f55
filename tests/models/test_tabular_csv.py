"""CSV uploads: what they mean, judged by a reference that shares nothing with the reader."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matching.identity import RESERVED
from models.errors import FileUnreadable
from models.tabular import delimited, grammar, ingest, survey
from tests.models import csv_reference
from tests.models.csv_reference import Fault, Table


def named(error: FileUnreadable) -> Fault:
    line = error.attributes["line"]
    assert error.message.startswith(f"Line {line}: ")
    return Fault(line)


def read(content: bytes) -> Table | Fault:
    """What the reader makes of an upload."""
    with TemporaryDirectory() as directory:
        upload, twin = Path(directory, "upload"), Path(directory, "twin.parquet")
        upload.write_bytes(content)
        try:
            ingested = ingest(upload, "any.csv", twin)
        except FileUnreadable as error:
            assert [path.name for path in Path(directory).iterdir()] == ["upload"]
            return named(error)
        assert sorted(path.name for path in Path(directory).iterdir()) == ["twin.parquet", "upload"]
        frame = pl.read_parquet(twin)
        assert frame.columns == list(dict.fromkeys(ingested.headers))
        assert set(frame.dtypes) <= {pl.String}
        assert ingested.row_count == frame.height
        assert ingested.column_count == len(ingested.headers) == len(ingested.schema)
        return Table(ingested.headers, frame.to_dicts())


NASTY = [
    b"",
    b"a",
    b"b",
    b"1",
    b"40.00",
    b"007",
    b'"',
    b'""',
    b'"x"',
    b'"x,y"',
    b'"x""y"',
    b'"x\ny"',
    b'"x\r\ny"',
    b'"x\ry"',
    b'" x "',
    b' "x"',
    b'"x" ',
    b'"x"y',
    b'x"y',
    b'"\n',
    b" ",
    b"\t",
    b" x ",
    b"\x1f",
    b"\x7f",
    "\u00a0".encode(),
    "é".encode(),
    "日本".encode(),
    b"\xef\xbb\xbf",
    b"null",
    b"\x00",
    b"\xff",
    b"\xc3",
    b"_recon_row",
]
ENDS = [b"\n", b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b"\n\r", b"\n \n", b""]
cells = st.sampled_from(NASTY) | st.binary(max_size=4)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Mostly sound files, with something wrong in them as often as not."""
    width = draw(st.integers(1, 4))
    end = draw(st.sampled_from(ENDS[:4]))
    sound = st.sampled_from([cell for cell in NASTY if cell.count(b'"') % 2 == 0 and b"\xff" not in cell])
    kind = draw(st.sampled_from([sound, cells]))
    names = draw(
        st.lists(
            st.sampled_from([b"a", b"b", b"c", b'"d"', b" e ", b'"f,g"', b'"h""i"']), min_size=width, max_size=width
        )
    )
    lines = [b",".join(names)]
    for _ in range(draw(st.integers(0, 5))):
        count = draw(st.sampled_from([width] * 8 + [width - 1, width + 1]))
        lines.append(b",".join(draw(st.lists(kind, min_size=count, max_size=count))))
    ends = [draw(st.sampled_from([end] * 8 + ENDS)) for _ in lines]
    start = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\n"]))
    return start + b"".join(line + ending for line, ending in zip(lines, ends, strict=True))


@settings(max_examples=600, deadline=None)
@given(tables() | st.lists(cells | st.sampled_from([b",", b"\n", b"\r", b'"']), max_size=30).map(b"".join))
@example(b"")
@example(b"a\n1")
@example(b"\xef\xbb\xbf")
@example(b'a,b\r\n"1","2"\r\n')
@example(b"a,b\n1,2\r")
@example(b'a,b\n"x ",2\n')
@example(b'a,b\n"x, y",2\n')
@example(b'a,b\n"a\n1",2\n3\n')
@example(b'a\n"x\n\ny"\n\n""\n z\n')
@example(b"a,b\n1,2\n1,2,3\n4\n")
@example(b"a\n\xef\xbb\xbf\n")
@example(b'a,b\n",\n",\n')
def test_every_file_means_what_the_reference_says(content: bytes) -> None:
    assert read(content) == csv_reference.read(content)


@settings(max_examples=300, deadline=None)
@given(tables(), st.integers(3, 40))
def test_nothing_depends_on_where_chunks_end(content: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(grammar, "CHUNK", size)
        patched.setattr(grammar, "LINES_AT_ONCE", 2)
        patched.setattr(survey, "WINDOW", size)
        assert read(content) == csv_reference.read(content)


def plain_cell(source: random.Random) -> str:
    return source.choice(["", "x", "40.00", " y", "é", "z "])


def quoted_cell(source: random.Random) -> str:
    """Quotes as they should be, and no empty line in them."""
    text = "".join(source.choices('ab," é', k=source.randrange(12)))
    if source.random() < 0.2:
        text = f"a{text}\n{text}b"
    return '"' + text.replace('"', '""') + '"' if source.random() < 0.5 else "x"


def nasty_cell(source: random.Random) -> str:
    if source.random() < 0.5:
        return "".join(source.choices("abc 123é", k=source.randrange(12)))
    return (
        '"'
        + "".join(source.choices('ab,"\n\r é\t', k=source.randrange(12))).replace('"', '""')
        + '"'
        + " " * source.randrange(2)
    )


@pytest.mark.parametrize(("cell", "regular"), [(plain_cell, True), (quoted_cell, True), (nasty_cell, False)])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_large_file_means_what_the_reference_says(
    cell: Callable[[random.Random], str], regular: bool, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large enough for all threads of Polars' reader to take part, on the fast way where it may be taken."""
    if regular:
        monkeypatch.delattr(delimited, "canonical_records")
    source = random.Random(7)
    lines = ["a,b,c", *(",".join(cell(source) for _ in range(3)) for _ in range(50_000))]
    content = (end.join(lines) + end).encode()
    assert read(content) == csv_reference.read(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n3\n", "Line 3: 2 cells expected, as in the header; 1 found"),
        (b"a,b\n1,2\n3,4,5\n", "Line 3: 2 cells expected, as in the header; 3 found"),
        (b'a,b\n"1\n\n1",2\n3\n', "Line 5: 2 cells expected, as in the header; 1 found"),
        (b"a,b\n   \n", "Line 2: 2 cells expected, as in the header; 1 found"),
        (b"a,,c\n", "Line 1: column 2 of the header has no name"),
        (b"a,b,\n", "Line 1: column 3 of the header has no name"),
        (b"\n\n _recon_row ,b\n", "Line 3: column name '_recon_row' is reserved"),
        (b'a,b\n1,"2\n3,4\n', "Line 2: a quote is opened here and not closed"),
        (b'a,b\n1,2\n"3" x,4\n', "Line 3: text after a closing quote"),
        (b'a,b\n"1\n2"3,4\n', "Line 3: text after a closing quote"),
        (b"a,b\n1,2\n3,\xff\n", "Line 3: not UTF-8"),
        (b"a,b\n1,2\n3,\x00\n", "Line 3: holds a NUL character"),
    ],
)
def test_a_fault_is_named_by_line_and_reason(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(content)
    with pytest.raises(FileUnreadable) as raised:
        ingest(tmp_path / "upload", "any.csv", tmp_path / "twin")
    assert raised.value.message == message
    assert raised.value.code == "FILE_UNREADABLE"


def test_a_quote_left_open_does_not_take_the_file_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "RECORD_LIMIT", 10_000)
    (tmp_path / "upload").write_text('a,b\n1,"2\n' + "3,4\n" * 100_000 + '5,"6\n')
    with pytest.raises(FileUnreadable, match="Line 2: a quote is opened here and not closed"):
        ingest(tmp_path / "upload", "any.csv", tmp_path / "twin")


def test_a_line_without_end_does_not_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "RECORD_LIMIT", 10_000)
    monkeypatch.setattr(grammar, "CHUNK", 1_000)
    (tmp_path / "upload").write_text('a,"b"\n1,2\n' + "3," * 100_000)
    with pytest.raises(FileUnreadable, match="Line 3: longer than 10,000 bytes"):
        ingest(tmp_path / "upload", "any.csv", tmp_path / "twin")


PEAK = """
import sys
from pathlib import Path
from models.tabular import ingest
print(ingest(Path(sys.argv[1]), "any.csv", Path(sys.argv[2])).row_count)
# Not ru_maxrss, which a new process takes over from the one that started it.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(int(peak.split()[1]) >> 10)
"""


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_large_file_is_not_taken_into_memory(end: str, tmp_path: Path) -> None:
    """On both ways: an empty line at the end is enough for the slow one. As a whole the table takes more than 800 MB."""
    block = "".join(f"{n},{n % 7},{n / 100:.2f},EUR,customer {n % 999},PAY-{n:09}\n" for n in range(100_000))
    with (tmp_path / "upload").open("w") as upload:
        upload.write("id,line,amount,currency,customer,reference\n")
        for _ in range(50):
            upload.write(block)
        upload.write(end)
    arguments = [str(tmp_path / "upload"), str(tmp_path / "twin")]
    output = subprocess.run([sys.executable, "-c", PEAK, *arguments], check=True, capture_output=True, text=True).stdout
    rows, megabytes = map(int, output.split())
    assert rows == 5_000_000
    assert megabytes < 600


@pytest.mark.parametrize("name", RESERVED)
def test_identity_columns_are_refused(name: str) -> None:
    assert read(f"a,{name}\n1,2\n".encode()) == Fault(1)


def test_of_columns_with_one_name_the_last_is_kept_in_the_place_of_the_first() -> None:
    assert read(b"a,b,a\n1,2,3\n") == Table(["a", "b", "a"], [{"a": "3", "b": "2"}])


def test_surplus_empty_cells_are_fine() -> None:
    assert read(b'a,b\n1,2,\n3,4,, "" ,""\n5,6\n') == Fault(3)
    assert read(b'a,b\n1,2,\n3,4,  ,""\n5,6\n') == Table(
        ["a", "b"], [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}, {"a": "5", "b": "6"}]
    )
