"""CSV: from a file to its twin.

A file that a survey of its bytes proves regular goes through Polars as it is, and the counts are compared afterwards. Any other
is read by `grammar`: its records are written out again so that they need no interpretation, or its fault is named.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from models.errors import FileUnreadable
from models.tabular.grammar import Lines, canonical_records, read_header
from models.tabular.kinds import BLANKS
from models.tabular.survey import Survey, survey
from models.tabular.writers import write_parquet


def read_csv(path: Path, twin: Path) -> list[str]:
    """Writes the twin of a CSV file, all columns String, and gives its header as it stands; empty for an empty file.

    `grammar` says what the file means. Values are trimmed, an empty cell is "", never null. Of columns that share a name the
    last one is kept, in the place of the first. Raises FileUnreadable, naming the physical line.
    """
    with path.open("rb") as source:
        lines = Lines(source)
        headers = read_header(lines)
        if headers is None:
            write_parquet(pl.DataFrame(), twin)
            return []
        if _read_regular(path, headers, twin, lines):
            return headers
        _read_irregular(lines, headers, twin)
    return headers


def regular_csv(path: Path) -> pl.DataFrame | None:
    """What the twin of a CSV file would hold, in memory, where the file can be read as it is; None where it can't."""
    with path.open("rb") as source:
        lines = Lines(source)
        headers = read_header(lines)
        found = None if headers is None else _surveyed(path, headers, lines)
        if headers is None or found is None:
            return None
        try:
            frame = _regular_scan(path, headers, found).collect(engine="streaming")
        except pl.exceptions.PolarsError:
            return None
    return frame if _adds_up(found, frame.lazy(), len(headers)) else None


def _read_regular(path: Path, headers: list[str], twin: Path, lines: Lines) -> bool:
    """Whether the file could be read as it is. If not, there may be a twin that is wrong."""
    found = _surveyed(path, headers, lines)
    if found is None:
        return False
    try:
        write_parquet(_regular_scan(path, headers, found), twin)
    except pl.exceptions.PolarsError:
        return False
    return _adds_up(found, pl.scan_parquet(twin, glob=False), len(headers))


def _surveyed(path: Path, headers: list[str], lines: Lines) -> Survey | None:
    """What the records after the header are made of, where the file may be regular."""
    if lines.number != 1 or not lines.last.endswith(b"\n") or len(set(headers)) != len(headers):
        return None
    found = survey(path, lines.offset)
    return found if found is not None and found.lines else None


def _regular_scan(path: Path, headers: list[str], found: Survey) -> pl.LazyFrame:
    return _scan(path, headers, skip=1, quotes=found.quotes, trim=found.blanks)


def _adds_up(found: Survey, frame: pl.LazyFrame, width: int) -> bool:
    """Whether every record has `width` cells. None has more, or Polars would have refused it, so that the sum would prove it.

    A record with fewer lacks its last one: where that is never empty, there is nothing to prove.
    """
    if not found.quotes:
        height = int(frame.select(pl.len()).collect().item())
        return height == found.lines and found.commas == height * (width - 1)
    if not frame.select((pl.last() == "").any()).collect(engine="streaming").item():
        return True
    inside = pl.all().str.count_matches(",", literal=True).sum()
    counted = frame.select(pl.len().alias("height"), pl.sum_horizontal(inside).alias("commas"))
    height, commas = counted.collect(engine="streaming").row(0)
    return found.commas == height * (width - 1) + commas


def _read_irregular(lines: Lines, headers: list[str], twin: Path) -> None:
    canonical = twin.with_name(f"{twin.name}.csv")
    written = 0
    try:
        with canonical.open("wb") as target:
            for records in canonical_records(lines, len(headers)):
                target.writelines(records)
                written += len(records)
        if not written:
            write_parquet(pl.DataFrame(schema=dict.fromkeys(headers, pl.String)), twin)
            return
        write_parquet(_scan(canonical, headers, skip=0, quotes=True, trim=True), twin)
        read = int(pl.scan_parquet(twin, glob=False).select(pl.len()).collect().item())
        if read != written:
            raise FileUnreadable(f"{written} records were found and {read} could be read")
    except pl.exceptions.PolarsError as error:
        raise FileUnreadable(f"Not readable as CSV: {str(error).partition(chr(10))[0]}") from error
    finally:
        canonical.unlink(missing_ok=True)


def _scan(path: Path, headers: list[str], *, skip: int, quotes: bool, trim: bool) -> pl.LazyFrame:
    frame = pl.scan_csv(
        path,
        has_header=False,
        skip_lines=skip,
        schema={str(position): pl.String() for position in range(len(headers))},
        quote_char='"' if quotes else None,
        empty_string_is_null=False,
        truncate_ragged_lines=False,
        glob=False,
    )
    last = {name: str(position) for position, name in enumerate(headers)}
    cells = {name: pl.col(position) for name, position in last.items()}
    return frame.select((cell.str.strip_chars(BLANKS) if trim else cell).alias(name) for name, cell in cells.items())
