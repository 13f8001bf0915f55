"""What matching gives back, and the proof that no row was lost or doubled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from matching.amounts import no_amounts
from matching.errors import ConservationBroken
from matching.identity import FILE_ID, ROW

MATCHED = "MATCHED"
"""The bucket of records with a partner; the other buckets are named as in `spec.Reason`."""


@dataclass(frozen=True)
class Statistics:
    """Counts as the legacy API gives them."""

    total_source_records: int
    total_target_records: int
    matched_records: int
    """Pairs, whatever their field differences."""
    unmatched_source_records: int
    """Source records whose key the target lacks; surplus duplicates and null keys are in no unmatched count."""
    unmatched_target_records: int
    exception_count: int
    """Rows of `Outcome.breaks`."""

    @property
    def match_rate(self) -> float:
        """Matched of all source records, in percent, unrounded; 0.0 where there are none."""
        return self.matched_records / self.total_source_records * 100 if self.total_source_records else 0.0

    def on_the_wire(self) -> dict[str, int]:
        """The `statistics` object of a reconciliation."""
        return {
            "totalSourceRecords": self.total_source_records,
            "totalTargetRecords": self.total_target_records,
            "matchedRecords": self.matched_records,
            "unmatchedSourceRecords": self.unmatched_source_records,
            "unmatchedTargetRecords": self.unmatched_target_records,
            "exceptionCount": self.exception_count,
        }


@dataclass(frozen=True)
class Totals:
    """Rows by bucket (MATCHED, MISSING, DUPLICATE, NULL_KEY) on each side; buckets without rows are left out."""

    source: dict[str, int]
    target: dict[str, int]


@dataclass(frozen=True)
class Outcome:
    """Everything that one rule set says about two inputs. All frames are in a fixed order that no input order changes.

    `matches`: one row per pair, by source identity. `match_id` Int64 from 1; `pass` String; `source_file_id`, `source_row`,
    `target_file_id`, `target_row` Int64; `score` Float64, the share of the compared fields that agree (1.0 where none is
    compared); then per comparison, n being its number: `agrees_<n>_<source field>` Boolean, and for RANGE (String, an exact
    decimal) and DATE_WINDOW (Int64, days) `delta_<n>_<source field>`, target minus source, null where the texts are identical
    or nothing can be subtracted. Comparisons of a key field that can't disagree have no columns.

    `unmatched_source`, `unmatched_target`: every record without a partner, by identity: the input's columns in their order and
    untouched; `_recon_file_id`, `_recon_row` Int64; `_recon_reason` String (`spec.Reason`).

    `breaks`: one row per disagreement, by source identity, then target identity (records without the other side last), then the
    comparison's number. String: `type` (`spec.BreakType`), `severity`, `field` (the source field, null for whole records; that of
    the record's own side for a null key), `source_value`, `target_value`, `delta` (as above); Int64: `source_file_id`,
    `source_row`, `target_file_id`, `target_row`, `match_id` (null where there is none); String: `key` (such as
    `order_id=O-1, line=2`), `description`.

    `amounts`: where the rule set has `amount`, one row per side, bucket (as in `totals`) and currency: String: `side`, `bucket`,
    `currency` (null where none is named), `amount` (the exact sum); Int64: `rows`, and `unread`, those of them without a readable
    amount. By side, then bucket, then currency. Empty otherwise.
    """

    matches: pl.DataFrame
    unmatched_source: pl.DataFrame
    unmatched_target: pl.DataFrame
    breaks: pl.DataFrame
    statistics: Statistics
    totals: Totals
    amounts: pl.DataFrame = field(default_factory=no_amounts)


@dataclass(frozen=True)
class LargeOutcome:
    """An `Outcome` that is not held in memory: the same rows in the same order, to be read as often as is wanted.

    The frames are there as long as what they were spilled to. `match_rows` and `unmatched_rows` (source, target) are heights.
    """

    matches: pl.LazyFrame
    unmatched_source: pl.LazyFrame
    unmatched_target: pl.LazyFrame
    breaks: pl.LazyFrame
    statistics: Statistics
    totals: Totals
    amounts: pl.DataFrame
    match_rows: int
    unmatched_rows: tuple[int, int]


@dataclass(frozen=True)
class Fingerprint:
    """How many records there are, and which ones, in whatever order."""

    rows: int
    identities: int

    def __add__(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint(self.rows + other.rows, (self.identities + other.identities) % 2**64)


def fingerprint(frame: pl.DataFrame, file_id: str = FILE_ID, row: str = ROW) -> Fingerprint:
    """The fingerprint of the records that two columns of a frame name. One lost and another doubled changes it."""
    identities = frame.select((pl.col(file_id).hash(1) + pl.col(row).hash(2)).hash(3).sum()).item()
    return Fingerprint(frame.height, int(identities or 0))


def check_conservation(outcome: Outcome, source: Fingerprint, target: Fingerprint, *, several: bool = False) -> None:
    """Raises ConservationBroken unless each side's every record is in exactly one of matches and unmatched.

    `several`: matches may be of several records, which are then in more than one row.
    """
    for side, before, unmatched in (
        ("source", source, outcome.unmatched_source),
        ("target", target, outcome.unmatched_target),
    ):
        identity = [f"{side}_file_id", f"{side}_row"]
        linked = outcome.matches.select(identity)
        # Of a match of several records, one may be in several rows.
        matched = fingerprint(linked.unique() if several else linked, *identity)
        rest = fingerprint(unmatched)
        if matched + rest != before:
            attributes: dict[str, Any] = {"side": side, "rows": before.rows}
            raise ConservationBroken(
                f"{before.rows} {side} records went in; {matched.rows} matched and {rest.rows} unmatched came out, "
                "and they are not the same records",
                matched=matched.rows,
                unmatched=rest.rows,
                **attributes,
            )
