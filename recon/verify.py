"""Downloaded artifacts against the truth: every bucket of a step, by file and row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from matching.identity import FILE_ID, REASON, RESERVED, ROW
from recon.truth import Break, StepTruth

TYPES = ("UNMATCHED_SOURCE", "UNMATCHED_TARGET", "MATCHED", "EXCEPTIONS")
_SHOWN = 3
_NUMBERS = ("source_file_id", "source_row", "target_file_id", "target_row", FILE_ID, ROW)


@dataclass
class StepResult:
    """What a step left, counted from its artifacts, and how that differs from the truth."""

    order: int
    source_rows: int
    target_rows: int
    matched: int
    unmatched_source: int
    unmatched_target: int
    exceptions: dict[str, int]
    seconds: float
    artifacts: list[dict[str, Any]]
    differences: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Inputs:
    """The uploaded files of a step: ids, and the rows as they were written (all texts)."""

    source_id: int
    target_id: int
    source: pl.DataFrame
    target: pl.DataFrame


def read_rows(path: Path) -> pl.DataFrame:
    """A generated file: every column String, a blank cell an empty text."""
    return pl.read_csv(path, infer_schema=False).fill_null("")


def check_step(
    truth: StepTruth, seconds: float, artifacts: dict[str, Path], facts: list[dict[str, Any]], inputs: Inputs
) -> StepResult:
    """Compares the four artifacts (type -> downloaded file) with the truth; `facts` is what the API says about them."""
    frames = {kind: _read(path) for kind, path in artifacts.items()}
    breaks = frames["EXCEPTIONS"]
    matched, lost, unclaimed = frames["MATCHED"], frames["UNMATCHED_SOURCE"], frames["UNMATCHED_TARGET"]
    result = StepResult(
        truth.order,
        source_rows=matched.height + lost.height,
        target_rows=matched.height + unclaimed.height,
        matched=matched.height,
        unmatched_source=lost.height,
        unmatched_target=unclaimed.height,
        exceptions=dict(sorted(Counter(breaks["type"].to_list()).items())),
        seconds=seconds,
        artifacts=facts,
    )
    ids = (inputs.source_id, inputs.target_id)
    pairs = matched.select("source_file_id", "source_row", "target_file_id", "target_row").rows()
    expected_pairs = [(ids[0], source, ids[1], target) for source, target in truth.matched]
    _compare(result, "MATCHED", pairs, expected_pairs)
    sides = (
        ("UNMATCHED_SOURCE", lost, truth.unmatched_source, inputs.source_id, inputs.source),
        ("UNMATCHED_TARGET", unclaimed, truth.unmatched_target, inputs.target_id, inputs.target),
    )
    for kind, frame, leftovers, file_id, original in sides:
        expected = [(file_id, row, why.reason) for row, why in leftovers.items()]
        _compare(result, kind, frame.select(FILE_ID, ROW, REASON).rows(), expected)
        _check_untouched(result, kind, frame, original)
    _compare(result, "EXCEPTIONS", _breaks(breaks, ids), list(truth.breaks.elements()))
    for fact in facts:
        height = frames[fact["artifactType"]].height
        if fact["rowCount"] != height:
            result.differences.append(f"{fact['filename']}: rowCount {fact['rowCount']}, {height} rows downloaded")
    return result


def _read(path: Path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    frame = pl.read_csv(path, infer_schema=False)
    return frame.with_columns(pl.col(name).cast(pl.Int64) for name in _NUMBERS if name in frame.columns)


def _breaks(frame: pl.DataFrame, ids: tuple[int, int]) -> list[Break]:
    """A row of a foreign file gets a number that no expected row has."""
    return [
        Break(kind, severity, name, _own(source, source_id, ids[0]), _own(target, target_id, ids[1]))
        for kind, severity, name, source_id, source, target_id, target in frame.select(
            "type", "severity", "field", "source_file_id", "source_row", "target_file_id", "target_row"
        ).rows()
    ]


def _own(row: int | None, file_id: int | None, expected: int) -> int | None:
    return row if row is None or file_id == expected else -row


def _compare(result: StepResult, bucket: str, found: Collection[Hashable], expected: Collection[Hashable]) -> None:
    """Adds a difference for rows that are too many or too few, naming the first of them."""
    there, right = Counter(found), Counter(expected)
    for word, difference in (("unexpected", there - right), ("missing", right - there)):
        if difference:
            some = ", ".join(str(tuple(one)) for one in sorted(difference, key=str)[:_SHOWN])  # pyright: ignore[reportArgumentType]
            result.differences.append(
                f"step {result.order} {bucket}: {difference.total()} {word} of {len(expected)}, such as {some}"
            )


def _check_untouched(result: StepResult, bucket: str, frame: pl.DataFrame, original: pl.DataFrame) -> None:
    """The input's columns in their order, each cell as it was."""
    columns = [name for name in frame.columns if name not in RESERVED]
    if columns != original.columns:
        result.differences.append(f"step {result.order} {bucket}: columns {columns}, expected {original.columns}")
        return
    numbered = original.with_row_index(ROW, offset=1).cast({ROW: pl.Int64})
    expected = frame.select(ROW).join(numbered, on=ROW, how="left", maintain_order="left").drop(ROW)
    if not frame.select(pl.col(columns).fill_null("")).equals(expected):
        result.differences.append(f"step {result.order} {bucket}: cells differ from the uploaded file")
