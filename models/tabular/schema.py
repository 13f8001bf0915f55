"""What a table's columns look like: names and types, and the statistics that a person sees."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from typing import Any, Literal

import numpy as np
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
"""Of a million rows. Bounds memory: counting the distinct values of a million takes 16 MB a column."""


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
    schema = frame.collect_schema()
    # Plain names to work under: looking for an exact name means looking through all of them.
    names = {name: str(number) for number, name in enumerate(schema)}
    frame = frame.select(exactly(*schema)).rename(names)
    columns = [_Column(names[name], name, dtype, trimmed=trimmed) for name, dtype in schema.items()]
    described: list[dict[str, Any]] = []
    at_once = max(COLUMNS_AT_ONCE, COLUMNS_AT_ONCE * EXACT_ROWS // max(height, 1))
    for start in range(0, len(columns), at_once):
        described += _describe(frame, columns[start : start + at_once], height)
    return described


class _Column:
    """The expressions that describe one column; `shown` is its own name."""

    def __init__(self, name: str, shown: str, dtype: pl.DataType, *, trimmed: bool) -> None:
        self.name = name
        self.shown = shown
        self.dtype = dtype
        self.is_text = isinstance(dtype, pl.String)
        self._trimmed = trimmed
        self.text = self._stripped(pl.col(name))
        self.blank = self._blank(pl.col(name), self.text)

    def _stripped(self, raw: pl.Expr) -> pl.Expr:
        return raw.str.strip_chars(BLANKS) if self.is_text and not self._trimmed else raw

    def _blank(self, raw: pl.Expr, text: pl.Expr) -> pl.Expr:
        if not self.is_text:
            return raw.is_null()
        return text == "" if self._trimmed else raw.is_null() | (text == "")

    @property
    def hashed(self) -> pl.Expr:
        """64 bits per value; every blank has those of `blank_hash`."""
        raw = pl.col(self.name)
        one_blank = self._trimmed or not self.is_text
        return (raw if one_blank else pl.when(~self.blank).then(raw)).hash().alias(self.name)

    @property
    def values(self) -> pl.Expr:
        """Without blanks."""
        return pl.col(self.name).filter(~self.blank)

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
    head = frame.select(column.name for column in columns).head(HEAD).collect()
    hashes = frame.select(column.hashed for column in columns)
    counts = count_distinct(hashes, height, _blank_hashes(columns), exact=height <= EXACT_ROWS)
    kinds = _kinds(frame, head, columns, height, [height - count.blanks for count in counts])
    blanks = head.select(column.blank.alias(column.name) for column in columns)
    described: list[dict[str, Any]] = []
    for column, count, kind in zip(columns, counts, kinds, strict=True):
        first = head.get_column(column.name).filter(~blanks.get_column(column.name)).head(SAMPLES)
        if len(first) < min(SAMPLES, height - count.blanks):
            first = frame.select(column.values.head(SAMPLES)).collect(engine="streaming").to_series()
        described.append(
            {
                "name": column.shown,
                "detectedType": kind,
                "nullCount": count.blanks,
                "uniqueCount": count.distinct,
                "sampleValues": [json_value(value) for value in first],
            }
            | ({"uniqueCountApproximate": True} if count.estimated else {})
        )
    return described


def _blank_hashes(columns: list[_Column]) -> list[int]:
    """What `hashed` gives for a blank of each column; it depends on the type alone."""
    known: dict[pl.DataType, int] = {}
    for column in columns:
        if column.dtype not in known:
            cell = pl.Series(column.name, ["" if column.is_text else None], dtype=column.dtype)
            known[column.dtype] = int(cell.to_frame().select(column.hashed).item())
    return [known[column.dtype] for column in columns]


def _kinds(
    frame: pl.LazyFrame, head: pl.DataFrame, columns: list[_Column], height: int, filled: list[int]
) -> list[str]:
    """The most frequent kind of each column; `filled` values of it are no blanks.

    A kind is guessed from the first rows. If it is proved by a part of the table to be that of more than half of all values,
    the rest need not be looked at; otherwise every value is.
    """
    texts = [column for column in columns if column.is_text]
    guesses = _most_frequent(head.lazy(), texts, "in-memory")
    if head.height < height:
        guesses |= _proved(frame, texts, guesses, height, dict(zip((one.name for one in columns), filled, strict=True)))
    return [(guesses.get(column.name) or TEXT).name if column.is_text else column.kind_of_type for column in columns]


def _proved(
    frame: pl.LazyFrame, columns: list[_Column], guesses: dict[str, Kind], height: int, filled: dict[str, int]
) -> dict[str, Kind]:
    """The kinds of columns whose guess a part of the table does not prove."""
    part = frame.head(height * PROOF // 100 + 1)
    proofs = part.select(column.fitting(guesses[column.name]) for column in columns if column.name in guesses)
    found = next(proofs.collect(engine="streaming").iter_rows(named=True), {}) if guesses else {}
    doubtful = [column for column in columns if found.get(column.name, 0) * 2 <= filled[column.name]]
    better: dict[str, Kind] = {}
    # One by one: the kinds of all values of a column are as many bytes.
    for column in doubtful:
        better |= _most_frequent(frame, [column], "streaming")
    return better


def _most_frequent(
    frame: pl.LazyFrame, columns: list[_Column], engine: Literal["in-memory", "streaming"]
) -> dict[str, Kind]:
    """By column, the kind that most of its values are of; the first of `KINDS` on a tie. Columns of blanks are left out."""
    kinds = frame.select(
        pl.when(~column.blank).then(kind_index(column.text)).alias(column.name) for column in columns
    ).collect(engine=engine)
    counts = {name: np.bincount(kinds.get_column(name).drop_nulls().to_numpy()) for name in kinds.columns}
    return {name: KINDS[int(count.argmax())] for name, count in counts.items() if len(count)}
