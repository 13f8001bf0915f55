"""What the acceptance data says about itself: which row of which file belongs to which bucket at each step.

Rows are numbered from 1 in their file, the header not counted; every source row is a row of `oms_orders.csv`, whatever
step it has reached.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SOURCE_FILE = "oms_orders.csv"


class Leftover(NamedTuple):
    """Why a row has no partner; `field` is the blank key of NULL_KEY."""

    reason: str
    field: str | None = None


class Break(NamedTuple):
    """A break's grain: `field` where one field is to blame; a row is None where the break has no record on that side."""

    type: str
    severity: str
    field: str | None
    source_row: int | None
    target_row: int | None


@dataclass
class StepTruth:
    """The buckets of one step. Every row that enters it is in exactly one of the three."""

    order: int
    target_file: str
    severities: dict[str, str]
    """By break type, and by field for VALUE_MISMATCH."""
    matched: dict[tuple[int, int], tuple[str, ...]] = field(default_factory=dict[tuple[int, int], tuple[str, ...]])
    """(source row, target row) -> the compared fields that disagree."""
    unmatched_source: dict[int, Leftover] = field(default_factory=dict[int, Leftover])
    """By source row."""
    unmatched_target: dict[int, Leftover] = field(default_factory=dict[int, Leftover])
    """By target row."""

    @property
    def source_rows(self) -> int:
        return len(self.matched) + len(self.unmatched_source)

    @property
    def target_rows(self) -> int:
        return len(self.matched) + len(self.unmatched_target)

    @property
    def breaks(self) -> Counter[Break]:
        """One per record without a partner, and one per field that disagrees."""
        found: Counter[Break] = Counter()
        for (source, target), fields in self.matched.items():
            for name in fields:
                found[Break("VALUE_MISMATCH", self.severities[name], name, source, target)] += 1
        for row, why in self.unmatched_source.items():
            kind = _TYPES.get(why.reason, "MISSING_TARGET")
            found[Break(kind, self.severities[kind], why.field, row, None)] += 1
        for row, why in self.unmatched_target.items():
            kind = _TYPES.get(why.reason, "MISSING_SOURCE")
            found[Break(kind, self.severities[kind], why.field, None, row)] += 1
        return found


_TYPES = {"DUPLICATE": "DUPLICATE", "NULL_KEY": "FORMAT_ERROR"}


@dataclass
class Truth:
    """The truth of one set of acceptance data."""

    seed: int
    files: dict[str, int]
    """File name -> rows."""
    steps: tuple[StepTruth, ...]
    slices: dict[str, list[tuple[str, int]]]
    """What was injected -> the rows (file name, row) that it was injected with."""

    def write(self, path: Path) -> None:
        """As JSON, per step: `matched` [source row, target row, fields]; `unmatchedSource`, `unmatchedTarget` [row, reason,
        blank key]; `breaks` [type, severity, field, source row, target row].
        """
        steps = [
            {
                "stepOrder": step.order,
                "source": SOURCE_FILE,
                "target": step.target_file,
                "matched": sorted([source, target, list(fields)] for (source, target), fields in step.matched.items()),
                "unmatchedSource": sorted([row, *why] for row, why in step.unmatched_source.items()),
                "unmatchedTarget": sorted([row, *why] for row, why in step.unmatched_target.items()),
                "breaks": sorted(
                    (list(one) for one in step.breaks.elements()), key=lambda one: [str(part) for part in one]
                ),
            }
            for step in self.steps
        ]
        content = {"seed": self.seed, "files": self.files, "slices": self.slices, "steps": steps}
        path.write_text(json.dumps(content) + "\n", encoding="utf-8")
