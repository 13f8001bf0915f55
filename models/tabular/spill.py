"""Tables on disk for work that is larger than memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import polars as pl

from models.tabular.writers import ROW_GROUP


@dataclass
class ParquetTable:
    """A `matching.engines.spill.Table`: each piece is a Parquet file."""

    stem: Path
    pieces: list[Path] = field(default_factory=list)

    def append(self, piece: pl.DataFrame) -> None:
        path = self.stem.with_name(f"{self.stem.name}-{len(self.pieces):05}.parquet")
        piece.write_parquet(path, compression="lz4", row_group_size=ROW_GROUP, statistics=False)
        self.pieces.append(path)

    def scan(self) -> pl.LazyFrame:
        scans = [pl.scan_parquet(one, glob=False, cache=False) for one in self.pieces]
        return scans[0] if len(scans) == 1 else pl.concat(scans, how="diagonal")

    def drop(self) -> None:
        for one in self.pieces:
            one.unlink()
        self.pieces.clear()


@dataclass
class ParquetSpill:
    """A `matching.engines.spill.Spill` in a folder that is there and empty, and that its owner removes."""

    folder: Path
    _numbers: count[int] = field(default_factory=count)

    def table(self) -> ParquetTable:
        return ParquetTable(self.folder / f"table-{next(self._numbers):05}")
