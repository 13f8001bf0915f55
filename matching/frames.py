"""Inputs as the engine holds them: record identity, values as they came, whole records of chosen rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.columns import exactly
from matching.errors import ColumnNotFound, RuleInvalid
from matching.fields import SideName
from matching.identity import FILE_ID, REASON, RESERVED, ROW

Positions = npt.NDArray[np.uint32]
"""Rows of a `Side.frame`."""

_VALUE = "value"
"""A name to work under: a column's own may look like a pattern to Polars (`*`, `^x$`)."""


@dataclass(frozen=True)
class Side:
    """One input, with the columns that its rules name held in memory.

    `frame` has `_recon_file_id`, `_recon_row` (Int64) and those columns as they came, ordered by identity, in one chunk.
    `scan_rows[p]` is the row that position p has in `scan`; None where both orders are the same.
    """

    name: SideName
    scan: pl.LazyFrame
    columns: tuple[str, ...]
    """The input's own columns, in order."""
    frame: pl.DataFrame
    scan_rows: Positions | None
    file_id: int | None = None
    """The file that all rows are of, if it is one."""
    first_row: int | None = None
    """The row of the first position, if those of one file follow each other without a gap."""

    @property
    def height(self) -> int:
        return self.frame.height

    def values(self, field: str, positions: Positions | None = None) -> pl.Series:
        """A field's values as they came, of all rows or of those at `positions`, in their order."""
        if positions is None:
            return self.frame.get_column(field).alias(_VALUE)
        if field == FILE_ID and self.file_id is not None:
            return pl.repeat(self.file_id, len(positions), dtype=pl.Int64, eager=True)
        if field == ROW and self.first_row is not None:
            return pl.Series(positions).cast(pl.Int64) + self.first_row
        return self.frame.get_column(field).alias(_VALUE).gather(positions)

    def reader(self, positions: Positions | None = None) -> Callable[[str], pl.Series]:
        """Gives the values of a field by its name, as `values` does."""
        return partial(self.values, positions=positions)

    def whole_records(self, positions: Positions, reasons: pl.Series) -> pl.DataFrame:
        """Every column of the rows at `positions` (ascending), then identity and `_recon_reason`, by identity."""
        records = self.frame[positions].hstack([reasons.cast(pl.String).alias(REASON)])
        others = [name for name in self.columns if name not in self.frame.columns]
        if others:
            records = records.hstack(self._unread(others, positions))
        return records.select(exactly(*self.columns), FILE_ID, ROW, REASON)

    def _unread(self, columns: Sequence[str], positions: Positions) -> list[pl.Series]:
        """Columns that no rule names, of the rows at `positions`, in their order."""
        rows = positions if self.scan_rows is None else self.scan_rows[positions]
        index = _unused_name("_recon_index", self.columns)
        place = _unused_name("_recon_place", self.columns)
        wanted = pl.LazyFrame({index: pl.Series(rows, dtype=pl.get_index_type())}).with_row_index(place)
        found = self.scan.select(exactly(*columns)).with_row_index(index).join(wanted, on=index, how="inner")
        return found.sort(place).select(exactly(*columns)).collect(engine="streaming").get_columns()


def read_side(name: SideName, scan: pl.LazyFrame, fields: Sequence[str]) -> Side:
    """Reads identity and `fields` of an input; `_recon_reason` of an earlier step is dropped.

    Raises ColumnNotFound for a field or an identity column that is not there, RuleInvalid for one whose values have no text.
    """
    scan, columns = checked_scan(name, scan, fields)
    needed = list(dict.fromkeys(one for one in fields if one in columns))
    # One chunk: picking rows from many is ten times slower.
    frame = scan.select(FILE_ID, ROW, exactly(*needed)).collect().rechunk()
    files, rows = frame.get_column(FILE_ID), frame.get_column(ROW)
    file_id = int(files[0]) if frame.height and files.min() == files.max() and not files.null_count() else None
    if file_id is not None and bool((rows.diff().slice(1) > 0).all()):
        without_gap = rows[-1] - rows[0] == frame.height - 1
        return Side(name, scan, columns, frame, None, file_id, int(rows[0]) if without_gap else None)
    order = identity_order(frame)
    if order is None:
        return Side(name, scan, columns, frame, None, file_id)
    return Side(name, scan, columns, frame[order].rechunk(), order, file_id)


def identity_order(frame: pl.DataFrame) -> Positions | None:
    """The rows of a frame in order of identity; None where they are in that order."""
    order = frame.select(pl.arg_sort_by(FILE_ID, ROW)).to_series().cast(pl.UInt32)
    return None if order.is_sorted() else order.to_numpy()


def checked_scan(name: SideName, scan: pl.LazyFrame, fields: Sequence[str]) -> tuple[pl.LazyFrame, tuple[str, ...]]:
    """An input with its own columns, then identity as Int64; and the names of its own columns. Raises as `read_side`."""
    schema = scan.collect_schema()
    missing = [one for one in (*fields, FILE_ID, ROW) if one not in schema or one == REASON]
    columns = tuple(one for one in schema.names() if one not in RESERVED)
    if missing:
        raise ColumnNotFound(name, missing, columns)
    for field in fields:
        if schema[field].is_nested() or isinstance(schema[field], (pl.Binary, pl.Object)):
            raise RuleInvalid(
                f"Column '{field}' of {name} is {schema[field]}: only plain values can be matched",
                side=name,
                column=field,
                type=str(schema[field]),
            )
    identity = [pl.col(FILE_ID).cast(pl.Int64), pl.col(ROW).cast(pl.Int64)]
    return scan.select(exactly(*columns), *identity), columns


def _unused_name(wish: str, taken: Iterable[str]) -> str:
    names = set(taken)
    while wish in names:
        wish += "_"
    return wish
