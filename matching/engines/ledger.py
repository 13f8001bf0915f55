"""What is held of one side for all of its records while its values are elsewhere: 2 bytes a record, as a rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.columns import exactly
from matching.fields import SideName
from matching.frames import Positions, Side, checked_scan, identity_order
from matching.identity import FILE_ID, ROW
from matching.keys import Flags
from matching.links import Codes


@dataclass(frozen=True)
class Ledger:
    """One side's records by position, in order of identity: which are open, and why."""

    name: SideName
    scan: pl.LazyFrame
    columns: tuple[str, ...]
    fields: tuple[str, ...]
    """The columns that rules name."""
    height: int
    rank: Positions | None
    """The position of each row of `scan`; None where they come in order."""
    is_open: Flags
    codes: Codes
    rows_at_once: int

    @classmethod
    def of(cls, name: SideName, scan: pl.LazyFrame, fields: Sequence[str], rows_at_once: int) -> Ledger:
        """Raises as `frames.read_side` does."""
        scan, columns = checked_scan(name, scan, fields)
        identities = scan.select(FILE_ID, ROW)
        height = int(identities.select(pl.len()).collect().item())
        rank: Positions | None = None
        if not _is_in_order(identities, rows_at_once):
            order = identity_order(identities.collect(engine="streaming"))
            if order is not None:
                rank = np.empty(len(order), dtype=np.uint32)
                rank[order] = np.arange(len(order), dtype=np.uint32)
        needed = tuple(dict.fromkeys(one for one in fields if one in columns))
        return cls(
            name,
            scan,
            columns,
            needed,
            height,
            rank,
            np.ones(height, dtype=np.bool_),
            np.zeros(height, dtype=np.uint8),
            rows_at_once,
        )

    def rows(self, columns: Sequence[str], *, open_only: bool = True) -> Iterator[tuple[Positions, pl.DataFrame]]:
        """The open records, or all, in pieces, in the order of `scan`: positions, and identity with some columns."""
        start = 0
        wanted = self.scan.select(FILE_ID, ROW, exactly(*columns))
        for piece in wanted.collect_batches(chunk_size=self.rows_at_once, maintain_order=True):
            end = start + piece.height
            positions = np.arange(start, end, dtype=np.uint32) if self.rank is None else self.rank[start:end]
            start = end
            kept = self.is_open[positions]
            if not open_only or kept.all():
                yield positions, piece
            else:
                yield positions[kept], piece.filter(pl.Series(kept))

    def side(self, frame: pl.DataFrame) -> Side:
        """Some of the records, in order of identity, as a side of their own."""
        return Side(self.name, frame.lazy(), self.columns, frame.rechunk(), None)

    def open_side(self) -> tuple[Positions, Side]:
        """All open records, in order of identity, with the columns that rules name."""
        pieces = list(self.rows(self.fields))
        positions = np.concatenate([np.empty(0, dtype=np.uint32), *(one for one, _ in pieces)])
        frame = pl.concat([self.nobody().frame, *(piece for _, piece in pieces)])
        order = np.argsort(positions)
        return positions[order], self.side(frame[order])

    def nobody(self) -> Side:
        """A side without records that has the columns that rules name."""
        return self.side(self.scan.select(FILE_ID, ROW, exactly(*self.fields)).head(0).collect())


def _is_in_order(identities: pl.LazyFrame, rows_at_once: int) -> bool:
    """Whether the rows come by file, then row. Looked at in pieces: identities are the one thing that a record always has."""
    last: tuple[int, int] | None = None
    file, row = pl.col(FILE_ID), pl.col(ROW)
    follows = (file > file.shift()) | ((file == file.shift()) & (row > row.shift()))
    for piece in identities.collect_batches(chunk_size=rows_at_once, maintain_order=True):
        if not piece.height:
            continue
        if (last is not None and piece.row(0) <= last) or not piece.select(follows.slice(1).all()).item():
            return False
        last = piece.row(-1)
    return True
