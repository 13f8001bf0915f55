"""Excel, old and new: the first sheet, every cell as the text that CSV would have for it."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Literal

import fastexcel
import polars as pl

from models.errors import FileUnreadable
from models.tabular.kinds import BLANKS
from models.tabular.writers import write_parquet

_TIME = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?$")
_WHOLE = r"^-?(?:[1-9][0-9]{0,14}|[^0-9-].*)?$"
"""Texts that stand as they are, whatever the cell was: whole numbers of up to 15 digits, and what begins like no number."""

_NO_DAY = "1899-12-31 "
"""A cell that holds a time only counts from here."""


def read_excel(path: Path, twin: Path) -> list[str]:
    """Writes the twin of an Excel file's first sheet, all columns String, and gives its header as it stands, trimmed.

    The first row that has a cell is the header, every row after it is a record, an empty one too. Numbers have up to 15
    digits, as Excel shows them, without exponent or superfluous zeros: `1001`, `1001.5`, `12345678901`. Dates are `2024-01-15`,
    with a time `2024-01-15T10:30:05`, times alone `10:30:05`; booleans `true` and `false`. A formula is its stored value. Texts
    are as they are. Blank cells and errors are null. A column without a name is dropped if it is empty. Of columns that
    share a name the last one is kept, in the place of the first. Raises FileUnreadable.
    """
    try:
        sheet = _Sheet(path.read_bytes())
    except fastexcel.FastExcelError as error:
        raise FileUnreadable("Not a readable Excel file: damaged, encrypted, or of another format") from error
    if not sheet.texts.height:
        write_parquet(pl.DataFrame(), twin)
        return []
    headers: list[str] = []
    cells: dict[str, pl.Series] = {}
    for position, column in enumerate(sheet.columns()):
        name = (column[0] or "").strip(BLANKS)
        values = column[1:]
        if name:
            headers.append(name)
            cells[name] = values
        elif values.null_count() < len(values):
            raise FileUnreadable(
                f"Column {sheet.letters(position)} has values and no name", column=sheet.letters(position)
            )
    nul = [name for name, values in cells.items() if values.str.contains("\0", literal=True).any()]
    if nul:
        raise FileUnreadable(f"Column '{nul[0]}' holds a NUL character", column=nul[0])
    write_parquet(pl.DataFrame(cells), twin)
    return headers


class _Sheet:
    """A sheet as texts, and, where a text is not enough to tell, as what else its cells may be."""

    def __init__(self, content: bytes) -> None:
        self._book = fastexcel.read_excel(content)
        if not self._book.sheet_names:
            raise FileUnreadable("The Excel file has no sheet")
        loaded = self._book.load_sheet(0, header_row=None, dtypes="string")
        self._places = [column.absolute_index for column in loaded.available_columns()]
        self.texts = loaded.to_polars() if self._places else pl.DataFrame()

    def letters(self, position: int) -> str:
        """What Excel calls a column."""
        number = self._places[position] + 1
        letters = ""
        while number:
            number, rest = divmod(number - 1, 26)
            letters = chr(ord("A") + rest) + letters
        return letters

    def columns(self) -> list[pl.Series]:
        """All columns, the header's cells first."""
        columns = self.texts.get_columns()
        unclear = [not column.str.contains(_WHOLE).all() for column in columns]
        if any(unclear):
            # A text of digits reads as a number, too: only a number reads as a boolean.
            numbers, is_number = self._load("float"), self._load("boolean")
            columns = [
                _with_numbers(column, numbers[at], is_number[at]) if unclear[at] else column
                for at, column in enumerate(columns)
            ]
        timed = [column.str.contains(_TIME.pattern).any() for column in columns]
        if any(timed):
            since = self._load("duration")
            columns = [_with_times(column, since[at]) if timed[at] else column for at, column in enumerate(columns)]
        return columns

    def _load(self, kind: Literal["float", "boolean", "duration"]) -> list[pl.Series]:
        dtypes: fastexcel.DTypeMap = dict.fromkeys(range(len(self._places)), kind)
        return self._book.load_sheet(0, header_row=None, dtypes=dtypes).to_polars().get_columns()


def _with_numbers(texts: pl.Series, numbers: pl.Series, is_number: pl.Series) -> pl.Series:
    numeric = numbers.is_not_null() & is_number.is_not_null() & ~texts.is_in(["true", "false"])
    shown = {number: plain_number(number) for number in numbers.filter(numeric).unique()}
    plain = numbers.replace_strict(list(shown), list(shown.values()), default=None, return_dtype=pl.String)
    return plain.zip_with(numeric, texts).alias(texts.name)


def _with_times(texts: pl.Series, since: pl.Series) -> pl.Series:
    """`since` is how long after Excel's first day: null for all that is neither date nor time."""
    found = texts.str.contains(_TIME.pattern) & since.is_not_null()
    frame = pl.DataFrame({"text": texts, "found": found, "since": since})
    text = pl.col("text")
    shown = (
        pl.when(~pl.col("found"))
        .then(text)
        .when((pl.col("since") < pl.duration(days=1)) & text.str.starts_with(_NO_DAY))
        .then(text.str.strip_prefix(_NO_DAY))
        .otherwise(text.str.strip_suffix(" 00:00:00").str.replace(" ", "T", literal=True))
    )
    return frame.select(shown.alias(texts.name)).to_series()


def plain_number(number: float) -> str:
    """Up to 15 significant digits, without exponent, zero without a sign: what Excel shows when the cell is wide enough."""
    text = f"{Decimal(f'{number:.15g}') or Decimal(0):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
