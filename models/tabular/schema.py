"""What a table's columns look like: names and types, and the statistics that a person sees."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl

from matching.columns import exactly
from models.tabular.distinct import count_distinct
from models.tabular.kinds import BLANKS, KINDS, TEXT, Kind, kind_index

EXACT_ROWS = 1_000_000
"""Up to this many rows unique values are counted; above they are estimated where they are many."""

SAMPLES = 5
HEAD = 1_000
"""Rows that a column's kind is guessed from, and its samples taken."""

PROOF = 55
"""Percent of the rows that must prove the guess: more than half of all values being of a kind is enough."""

COLUMNS_AT_ONCE = 8
"""Bounds memory: counting the distinct values of a million takes 16 MB a column."""


def schema_snapshot(frame: pl.LazyFrame) -> list[dict[str, str]]:
    """`[{name, type}]` in column order; `type` is Polars' word for it (`String`, `Int64`, `Decimal(precision=38, scale=2)`)."""
    return [{"name": name, "type": str(dtype)} for name, dtype in frame.collect_schema().items()]


def json_value(value: Any) -> Any:
    """A cell as a JSON scalar: null, a boolean, an integer, a finite float, or a text (a Decimal keeps its digits)."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def profile(frame: pl.LazyFrame, height: int, *, trimmed: bool = False) -> list[dict[str, Any]]:
    """One dict per column: name, detectedType, nullCount, uniqueCount, sampleValues, and uniqueCountApproximate if it is.

    `detectedType` is the most frequent kind among a text column's values (see `kinds`; the first of `KINDS` on a tie), and
    follows from the type of any other column. A blank is a null, or a text of nothing but characters up to U+0020: `nullCount`
    counts blanks, `uniqueCount` (distinct values) and `sampleValues` (the first five, repeats kept) leave them out. `height` is
    the frame's number of rows. `trimmed` promises that no text is null, or begins or ends with such a character.
    """
    columns = [_Column(name, dtype, trimmed=trimmed) for name, dtype in frame.collect_schema().items()]
    described: list[dict[str, Any]] = []
    for start in range(0, len(columns), COLUMNS_AT_ONCE):
        described += _describe(frame, columns[start : start + COLUMNS_AT_ONCE], height)
    return described


class _Column:
    """The expressions that describe one column."""

    def __init__(self, name: str, dtype: pl.DataType, *, trimmed: bool) -> None:
        self.name = name
        self.dtype = dtype
        self.is_text = isinstance(dtype, pl.String)
        self._trimmed = trimmed
        self.text = self._stripped(exactly(name))
        self.blank = self._blank(exactly(name), self.text)

    def _stripped(self, raw: pl.Expr) -> pl.Expr:
        return raw.str.strip_chars(BLANKS) if self.is_text and not self._trimmed else raw

    def _blank(self, raw: pl.Expr, text: pl.Expr) -> pl.Expr:
        if not self.is_text:
            return raw.is_null()
        return text == "" if self._trimmed else raw.is_null() | (text == "")

    @property
    def hashed(self) -> pl.Expr:
        """64 bits per value; every blank has those of `blank_hash`."""
        raw = exactly(self.name)
        one_blank = self._trimmed or not self.is_text
        return (raw if one_blank else pl.when(~self.blank).then(raw)).hash().alias(self.name)

    @property
    def blank_hash(self) -> int:
        cell = "" if self.is_text else None
        return int(pl.DataFrame({self.name: [cell]}, schema={self.name: self.dtype}).select(self.hashed).item())

    @property
    def values(self) -> pl.Expr:
        """Without blanks."""
        return exactly(self.name).filter(~self.blank)

    def fitting(self, kind: Kind) -> pl.Expr:
        """How many texts are of a kind."""
        return (kind.fits(self.text) & ~self.blank).sum()

    @property
    def kind_of_type(self) -> str:
        if self.dtype == pl.Boolean:
            return "boolean"
        if self.dtype.is_integer():
            return "integer"
        if self.dtype.is_numeric():
            return "number"
        return "date" if isinstance(self.dtype, (pl.Date, pl.Datetime)) else TEXT.name


def _describe(frame: pl.LazyFrame, columns: list[_Column], height: int) -> list[dict[str, Any]]:
    head = frame.select(exactly(*(column.name for column in columns))).head(HEAD).collect()
    hashes = frame.select(column.hashed for column in columns)
    blanks = [column.blank_hash for column in columns]
    counts = count_distinct(hashes, height, blanks, exact=height <= EXACT_ROWS)
    kinds = _kinds(frame, head, columns, height, [height - count.blanks for count in counts])
    return [
        {
            "name": column.name,
            "detectedType": kind,
            "nullCount": count.blanks,
            "uniqueCount": count.distinct,
            "sampleValues": _samples(frame, head, column, height - count.blanks),
        }
        | ({"uniqueCountApproximate": True} if count.estimated else {})
        for column, count, kind in zip(columns, counts, kinds, strict=True)
    ]


def _samples(frame: pl.LazyFrame, head: pl.DataFrame, column: _Column, filled: int) -> list[Any]:
    found = head.select(column.values.head(SAMPLES)).to_series()
    if len(found) < min(SAMPLES, filled):
        found = frame.select(column.values.head(SAMPLES)).collect(engine="streaming").to_series()
    return [json_value(value) for value in found]


def _kinds(
    frame: pl.LazyFrame, head: pl.DataFrame, columns: list[_Column], height: int, filled: list[int]
) -> list[str]:
    """The most frequent kind of each column; `filled` values of it are no blanks.

    A kind is guessed from the first rows. If it is proved by a part of the table to be that of more than half of all values,
    the rest need not be looked at; otherwise every value is.
    """
    guesses = {
        column.name: guess
        for column in columns
        if column.is_text and (guess := _most_frequent(head.lazy(), column)) is not None
    }
    part = frame.head(height * PROOF // 100 + 1)
    proofs = part.select(column.fitting(guesses[column.name]) for column in columns if column.name in guesses)
    proved = next(proofs.collect(engine="streaming").iter_rows(named=True), {}) if guesses else {}
    kinds: list[str] = []
    for column, count in zip(columns, filled, strict=True):
        if not column.is_text:
            kinds.append(column.kind_of_type)
        elif column.name in guesses and proved[column.name] * 2 > count:
            kinds.append(guesses[column.name].name)
        else:
            kinds.append((_most_frequent(frame, column) or TEXT).name)
    return kinds


def _most_frequent(frame: pl.LazyFrame, column: _Column) -> Kind | None:
    counts = (
        frame.filter(~column.blank)
        .select(kind_index(column.text).alias("kind"))
        .group_by("kind")
        .len()
        .sort(pl.col("len"), -pl.col("kind").cast(pl.Int16), descending=True)
        .head(1)
        .collect(engine="streaming")
    )
    return KINDS[counts["kind"][0]] if counts.height else None
