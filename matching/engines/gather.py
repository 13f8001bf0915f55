"""What the partitions found becomes one outcome: by ranges of positions, so that each range is put in order by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.amounts import added_up, amounts_by_bucket, no_amounts
from matching.breaks import BREAK_SCHEMA, Findings, in_order, leftover_breaks, near_breaks
from matching.columns import exactly
from matching.engines.ledger import Ledger
from matching.engines.spill import Spill, Table
from matching.errors import ConservationBroken
from matching.frames import Positions
from matching.identity import FILE_ID, REASON, ROW
from matching.keys import Flags, Numbers
from matching.matches import located_matches, verdict_columns
from matching.outcome import MATCHED, LargeOutcome, Statistics, Totals
from matching.passes import BUCKETS, by_bucket, settle_codes, without_candidate
from matching.plan import Plan
from matching.potential import near_pairs, no_near_pairs
from matching.search import Board
from matching.spec import Severities

_SOURCE, _TARGET = "_recon_source", "_recon_target"
"""Positions of a match's records while matches are gathered."""

_MATCH_SCHEMA: dict[str, type[pl.DataType]] = {
    "match_id": pl.Int64,
    "pass": pl.String,
    "source_file_id": pl.Int64,
    "source_row": pl.Int64,
    "target_file_id": pl.Int64,
    "target_row": pl.Int64,
    "score": pl.Float64,
}


@dataclass
class _Ranges:
    """Rows by ranges of positions, so that what is in order in each range is in order in all."""

    spill: Spill
    size: int
    tables: dict[int, Table] = field(default_factory=dict)

    @classmethod
    def of(cls, spill: Spill, height: int, count: int) -> _Ranges:
        return cls(spill, max(1, -(-height // count)))

    def add(self, rows: pl.DataFrame, by: str) -> None:
        placed = rows.with_columns((pl.col(by) // self.size).alias("_recon_range"))
        for (place,), piece in placed.partition_by("_recon_range", as_dict=True, include_key=False).items():
            self.tables.setdefault(int(place), self.spill.table()).append(piece)

    def read(self) -> Iterator[pl.DataFrame]:
        """The rows of each range in turn, after which they are gone."""
        for place in sorted(self.tables):
            table = self.tables.pop(place)
            yield table.scan().collect()
            table.drop()


@dataclass
class Gathered:
    """What the passes have found so far."""

    plan: Plan
    ledgers: tuple[Ledger, Ledger]
    spill: Spill
    severities: Severities
    matches: _Ranges
    breaks: tuple[_Ranges, _Ranges]
    """Those that have a source record, and the others."""
    is_anchor: Flags
    """Which source records are the first of their match."""
    columns: dict[str, tuple[tuple[int, int], set[pl.DataType]]] = field(default_factory=dict)
    """Of the matches: place and types."""
    candidates: list[tuple[Positions, Positions]] = field(default_factory=list)

    @classmethod
    def of(
        cls, plan: Plan, ledgers: tuple[Ledger, Ledger], spill: Spill, ranges: int, severities: Severities
    ) -> Gathered:
        source, target = ledgers[0].height, ledgers[1].height
        return cls(
            plan,
            ledgers,
            spill,
            severities,
            _Ranges.of(spill, source, ranges),
            (_Ranges.of(spill, source, ranges), _Ranges.of(spill, target, ranges)),
            np.zeros(source, dtype=np.bool_),
        )

    def add(
        self, found: Findings, breaks: pl.DataFrame, anchors: Numbers, at_source: Positions, at_target: Positions
    ) -> None:
        """Takes what a pass found in a partition whose records are at these positions."""
        self.is_anchor[anchors] = True
        for result in found.results:
            for name, place, values in verdict_columns(result):
                self.columns.setdefault(name, (place, set()))[1].add(values.dtype)
            asked = result.candidates
            self.candidates.append((at_source[asked.source], at_target[asked.target]))
        source, target, rows = located_matches(found)
        positions = pl.Series(_SOURCE, at_source[source]), pl.Series(_TARGET, at_target[target])
        self.matches.add(rows.with_columns(positions), _SOURCE)
        self.add_breaks(breaks, at_source, at_target)

    def add_breaks(self, breaks: pl.DataFrame, at_source: Positions, at_target: Positions) -> None:
        """Takes breaks of records that are at these positions."""
        placed = breaks.with_columns(
            pl.Series("source", at_source, dtype=pl.UInt32).gather(breaks["source"]),
            pl.Series("target", at_target, dtype=pl.UInt32).gather(breaks["target"]),
        )
        has_source = placed["source"].is_not_null()
        self.breaks[0].add(placed.filter(has_source), "source")
        self.breaks[1].add(placed.filter(~has_source), "target")


def gather_outcome(gathered: Gathered) -> LargeOutcome:
    """The outcome, in order, when all passes have run. Raises ConservationBroken."""
    ledgers = gathered.ledgers
    open_ones = [
        (source[both], target[both])
        for source, target in gathered.candidates
        for both in [ledgers[0].is_open[source] & ledgers[1].is_open[target]]
    ]
    unmatched: list[Table] = []
    for at, ledger in enumerate(ledgers):
        asked = [one[at] for one in open_ones]
        settle_codes(ledger.codes, ledger.is_open, [one[at] for one in gathered.candidates], asked)
        is_asked = np.zeros(ledger.height, dtype=np.bool_)
        for rows in asked:
            is_asked[rows] = True
        unmatched.append(_gather_unmatched(gathered, ledger, is_asked))
    if gathered.plan.potential_matches is not None:
        _gather_near(gathered, open_ones)
    matches, match_rows = _gather_matches(gathered)
    breaks, exceptions = _gather_breaks(gathered)
    totals = Totals(source=by_bucket(ledgers[0].codes), target=by_bucket(ledgers[1].codes))
    return LargeOutcome(
        matches=matches.scan(),
        unmatched_source=unmatched[0].scan(),
        unmatched_target=unmatched[1].scan(),
        breaks=breaks.scan(),
        statistics=Statistics(
            total_source_records=ledgers[0].height,
            total_target_records=ledgers[1].height,
            matched_records=totals.source.get(MATCHED, 0),
            unmatched_source_records=without_candidate(totals.source),
            unmatched_target_records=without_candidate(totals.target),
            exception_count=exceptions,
        ),
        totals=totals,
        amounts=_amounts(gathered),
        match_rows=match_rows,
        unmatched_rows=(int(ledgers[0].is_open.sum()), int(ledgers[1].is_open.sum())),
    )


def _gather_unmatched(gathered: Gathered, ledger: Ledger, is_asked: Flags) -> Table:
    """The records without a partner, and the breaks that say so."""
    nobody = [one.nobody() for one in gathered.ledgers]
    at = gathered.ledgers.index(ledger)
    names = pl.Series(BUCKETS)
    kept = gathered.spill.table()
    ranges = _Ranges(gathered.spill, gathered.matches.size)
    kept.append(ledger.scan.head(0).select(*_whole(ledger)).collect().with_columns(pl.lit("").alias(REASON)))
    written = 0
    for positions, piece in ledger.rows(ledger.columns):
        codes = ledger.codes[positions]
        records = piece.select(*_whole(ledger)).with_columns(names.gather(codes).alias(REASON))
        written += records.height
        if ledger.rank is None:
            kept.append(records)
        else:
            ranges.add(records.with_columns(pl.Series(_SOURCE, positions)), _SOURCE)
        sides = [*nobody[:at], ledger.side(piece.select(FILE_ID, ROW, exactly(*ledger.fields))), *nobody[at + 1 :]]
        found = Findings(gathered.plan, sides[0], sides[1], (), (), (), codes, codes, no_near_pairs())
        breaks = leftover_breaks(found, sides[at], codes, is_asked[positions], gathered.severities)
        gathered.add_breaks(breaks, positions, positions)
    for rows in ranges.read():
        kept.append(rows.sort(_SOURCE).drop(_SOURCE))
    if written != int(ledger.is_open.sum()):
        _broken(ledger, int(ledger.is_open.sum()), written, "unmatched")
    return kept


def _gather_near(gathered: Gathered, decided: list[tuple[Positions, Positions]]) -> None:
    """The pairs of records without a partner that come near each other."""
    left = [one.open_side() for one in gathered.ledgers]
    (at_source, source), (at_target, target) = left
    told = [(np.searchsorted(at_source, one), np.searchsorted(at_target, other)) for one, other in decided]
    places = [(one.astype(np.uint32), other.astype(np.uint32)) for one, other in told]
    near = near_pairs(gathered.plan, Board.of(source, target), places)
    codes = [one.codes[at] for one, at in zip(gathered.ledgers, (at_source, at_target), strict=True)]
    found = Findings(gathered.plan, source, target, (), (), (), codes[0], codes[1], near)
    gathered.add_breaks(near_breaks(found, gathered.severities), at_source, at_target)


def _whole(ledger: Ledger) -> list[pl.Expr]:
    return [exactly(*ledger.columns), pl.col(FILE_ID), pl.col(ROW)] if ledger.columns else [pl.col(FILE_ID, ROW)]


def _gather_matches(gathered: Gathered) -> tuple[Table, int]:
    ids = np.cumsum(gathered.is_anchor, dtype=np.uint32)
    seen = [np.zeros(one.height, dtype=np.bool_) for one in gathered.ledgers]
    kept = gathered.spill.table()
    height = 0
    kept.append(_as_matches(gathered, pl.DataFrame(schema=_MATCH_SCHEMA)))
    for rows in gathered.matches.read():
        ordered = rows.sort(_SOURCE, _TARGET)
        for flags, name in zip(seen, (_SOURCE, _TARGET), strict=True):
            flags[ordered[name].to_numpy()] = True
        kept.append(_as_matches(gathered, ordered.with_columns(_numbered(ordered["match_id"], ids))))
        height += ordered.height
    for flags, ledger in zip(seen, gathered.ledgers, strict=True):
        if not np.array_equal(flags, ~ledger.is_open):
            _broken(ledger, int((~ledger.is_open).sum()), int(flags.sum()), "matched")
    return kept, height


def _as_matches(gathered: Gathered, rows: pl.DataFrame) -> pl.DataFrame:
    """With the columns of all passes, in their order; one that has several types is text."""
    columns = gathered.columns
    found: list[pl.Expr | pl.Series] = []
    for name in sorted(columns, key=lambda one: columns[one][0]):
        dtypes = columns[name][1]
        dtype = next(iter(dtypes)) if len(dtypes) == 1 else pl.String()
        values = rows[name] if name in rows.columns else pl.repeat(None, rows.height, dtype=dtype, eager=True)
        found.append(values.cast(dtype).alias(name))
    return rows.select(*_MATCH_SCHEMA).with_columns(found)


def _numbered(anchors: pl.Series, ids: npt.NDArray[np.uint32]) -> pl.Series:
    """From the position of its first source record to the id of a match; null stays null."""
    known = anchors.fill_null(0).to_numpy()
    numbers = pl.Series(ids[known] if len(ids) else np.zeros(len(known), dtype=np.uint32), dtype=pl.UInt32)
    return numbers.cast(pl.Int64).set(anchors.is_null(), None).alias("match_id")


def _gather_breaks(gathered: Gathered) -> tuple[Table, int]:
    ids = np.cumsum(gathered.is_anchor, dtype=np.uint32)
    kept = gathered.spill.table()
    kept.append(pl.DataFrame(schema=BREAK_SCHEMA))
    height = 0
    for ranges in gathered.breaks:
        for rows in ranges.read():
            # A pair to decide on is one as long as nobody took either of its records.
            is_pair = rows["source"].is_not_null() & rows["target"].is_not_null() & (rows["number"] == 0)
            at_source, at_target = (rows[name].fill_null(0).to_numpy() for name in ("source", "target"))
            source_open, target_open = (
                np.ones(rows.height, dtype=np.bool_) if not one.height else one.is_open[at]
                for one, at in zip(gathered.ledgers, (at_source, at_target), strict=True)
            )
            ordered = in_order(rows.filter(~is_pair | pl.Series(source_open & target_open)))
            kept.append(ordered.with_columns(_numbered(ordered["match_id"], ids)).select(*BREAK_SCHEMA))
            height += ordered.height
    return kept, height


def _amounts(gathered: Gathered) -> pl.DataFrame:
    amount = gathered.plan.amount
    if amount is None:
        return no_amounts()
    pieces: list[pl.DataFrame] = []
    nobody = [one.nobody() for one in gathered.ledgers]
    for at, ledger in enumerate(gathered.ledgers):
        for positions, piece in ledger.rows(ledger.fields, open_only=False):
            sides = [*nobody[:at], ledger.side(piece), *nobody[at + 1 :]]
            codes = [np.empty(0, dtype=np.uint8)] * 2
            codes[at] = ledger.codes[positions]
            pieces.append(amounts_by_bucket(amount, sides[0], sides[1], (codes[0], codes[1]), BUCKETS))
    return added_up(pieces, BUCKETS)


def _broken(ledger: Ledger, expected: int, found: int, what: str) -> None:
    raise ConservationBroken(
        f"{expected} {ledger.name} records are {what}; {found} came out, and they are not the same records",
        side=ledger.name,
        rows=ledger.height,
    )
