"""Where the partitioned engine puts what it does not hold. The engine knows no file system: who calls it brings a place."""

from __future__ import annotations

from typing import Protocol

import polars as pl


class Table(Protocol):
    """Rows in the order in which they were appended. Pieces may lack columns that others have: those are null."""

    def append(self, piece: pl.DataFrame) -> None: ...

    def scan(self) -> pl.LazyFrame:
        """All rows so far (at least one piece), with the columns of the pieces in order of first appearance."""
        ...

    def drop(self) -> None:
        """Forgets the rows; nothing reads them any more."""
        ...


class Spill(Protocol):
    """Makes tables; they live until its owner lets go of it."""

    def table(self) -> Table: ...
