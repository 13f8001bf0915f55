"""A stored table in the format that someone asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import polars as pl

from matching.columns import exactly
from models.errors import NotRenderable
from models.tabular.writers import ROW_GROUP, text_columns, write_csv, write_parquet

SHEET_ROWS = 1_048_576
"""Rows of an Excel sheet, its header among them."""

SHEET_COLUMNS = 16_384
CELL_CHARACTERS = 32_767

_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands where Excel wants to know when: the same table is the same bytes."""


class Format(StrEnum):
    """What `?format=` takes."""

    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"
    XLSX = "xlsx"

    @property
    def extension(self) -> str:
        return f".{self.value}"

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self]


_CONTENT_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def render(source: Path | pl.LazyFrame, wanted: Format, target: Path) -> None:
    """Writes all columns of a Parquet file or frame to `target`, streaming.

    CSV and Parquet as `writers` say; Arrow as an IPC stream; Excel as texts on as many sheets as it takes, each with the
    header, a null as an empty cell; integers of up to 15 digits as numbers. Raises NotRenderable on what Excel can't hold.
    """
    frame = pl.scan_parquet(source, glob=False) if isinstance(source, Path) else source
    _WRITERS[wanted](frame, target)


def _write_arrow(frame: pl.LazyFrame, target: Path) -> None:
    # Imported here, as below: only a download in that format pays for it.
    import pyarrow as pa

    empty = frame.head(0).collect().to_arrow()
    with target.open("wb") as sink, pa.ipc.new_stream(sink, empty.schema) as stream:
        for batch in frame.collect_batches(chunk_size=ROW_GROUP, maintain_order=True):
            stream.write_table(batch.to_arrow().cast(empty.schema))


def _write_xlsx(frame: pl.LazyFrame, target: Path) -> None:
    from xlsxwriter import Workbook

    schema = frame.collect_schema()
    if len(schema) > SHEET_COLUMNS:
        raise NotRenderable(
            f"An Excel sheet holds {SHEET_COLUMNS:,} columns; the table has {len(schema):,}", columns=len(schema)
        )
    whole = {name for name, dtype in schema.items() if dtype.is_integer()}
    cells = (
        text_columns(frame).with_columns(exactly(*whole).cast(pl.Int64, strict=False)) if whole else text_columns(frame)
    )
    # Texts stay texts: `=1+1` is no formula, `007` keeps its zeros, and no digit is lost.
    options = {"constant_memory": True, "tmpdir": str(target.parent), "strings_to_formulas": False}
    with Workbook(target, options) as book:
        book.set_properties({"created": _NO_TIME})
        bold = book.add_format({"bold": True})
        sheet = _new_sheet(book, schema.names(), bold)
        at = 0
        for batch in cells.collect_batches(chunk_size=10_000, maintain_order=True):
            for record in batch.iter_rows():
                at += 1
                if at == SHEET_ROWS:
                    sheet, at = _new_sheet(book, schema.names(), bold), 1
                for column, value in enumerate(record):
                    _write_cell(sheet, at, column, value, schema.names())


def _new_sheet(book: Any, names: list[str], bold: Any) -> Any:
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    for column, name in enumerate(names):
        sheet.write_string(0, column, name, bold)
    return sheet


def _write_cell(sheet: Any, row: int, column: int, value: str | int | None, names: list[str]) -> None:
    if value is None:
        return
    if isinstance(value, int):
        # A number in Excel has 15 digits.
        if abs(value) < 10**15:
            sheet.write_number(row, column, value)
        else:
            sheet.write_string(row, column, str(value))
    elif len(value) > CELL_CHARACTERS:
        raise NotRenderable(
            f"An Excel cell holds {CELL_CHARACTERS:,} characters; column '{names[column]}' has a value of {len(value):,}",
            column=names[column],
        )
    else:
        sheet.write_string(row, column, value)


_WRITERS: dict[Format, Callable[[pl.LazyFrame, Path], None]] = {
    Format.CSV: write_csv,
    Format.PARQUET: write_parquet,
    Format.ARROW: _write_arrow,
    Format.XLSX: _write_xlsx,
}
