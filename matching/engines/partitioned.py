"""Bounded memory: each pass runs on one hash partition of its keys after the other, and what it finds is spilled.

Equal keys are in one partition, in their order, so that a pass finds there what it finds for them in the whole. A pass that equal
keys alone don't settle (no keys, SUBSET, probabilistic) runs on all records that are left at once; so does the search for near
pairs. What stays in memory is two bytes for each record (six where an input is not in order of identity), and the pairs that are
put to a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.breaks import Findings, pass_breaks
from matching.engines.gather import Gathered, gather_outcome
from matching.engines.ledger import Ledger
from matching.engines.spill import Spill, Table
from matching.frames import Side
from matching.keys import Numbers, key_hash
from matching.links import MATCHED_CODE, Links, PassResult, no_links
from matching.outcome import LargeOutcome
from matching.passes import run_pass
from matching.plan import PassPlan, Plan, compile_rule_set, required_columns
from matching.potential import no_near_pairs
from matching.search import Board
from matching.spec import RuleSet, Severities
from matching.terms import Cardinality, Grouping
from matching.texts import comparable

ROWS_AT_ONCE = 1 << 20
"""Of an input, while it is read in pieces."""

_POSITION, _PART = "_recon_position", "_recon_part"


def reconcile_partitioned(
    rule_set: RuleSet,
    source: pl.LazyFrame,
    target: pl.LazyFrame,
    spill: Spill,
    partitions: int,
    *,
    severities: Severities | None = None,
    rows_at_once: int = ROWS_AT_ONCE,
    on_progress: Callable[[float], None] | None = None,
) -> LargeOutcome:
    """What `passes.reconcile` gives, holding about one of `partitions` (at least 1) parts of the inputs at a time.

    The inputs are read once for each pass and twice more. Raises as `passes.reconcile` does, except that the bound of
    SearchTooWide is one for each partition.
    """
    report = on_progress or _nobody
    plan = compile_rule_set(rule_set)
    fields = required_columns(rule_set)
    report(0.0)
    ledgers = (
        Ledger.of("source", source, fields[0], rows_at_once),
        Ledger.of("target", target, fields[1], rows_at_once),
    )
    gathered = Gathered.of(plan, ledgers, spill, partitions, plan.severities.overridden_by(severities))
    for number, one in enumerate(plan.passes):
        for done in _run(gathered, number, one, partitions if is_partitionable(one) else 1):
            report(0.05 + 0.75 * (number + done) / len(plan.passes))
    outcome = gather_outcome(gathered)
    report(1.0)
    return outcome


def _nobody(_: float) -> None:
    """Nobody wants to know."""


def is_partitionable(plan: PassPlan) -> bool:
    """Whether a pass finds among the records of some keys what it finds for them among all records."""
    settled_by_key = plan.cardinality is Cardinality.ONE_TO_ONE or plan.grouping is Grouping.BY_KEY
    return bool(plan.keys) and plan.linkage is None and settled_by_key


@dataclass(frozen=True)
class _Partition:
    """Some of the open records of a side: their positions, and themselves as a side of their own."""

    positions: np.ndarray[tuple[int], np.dtype[np.uint32]]
    side: Side

    @classmethod
    def read(cls, ledger: Ledger, table: Table) -> _Partition:
        frame = table.scan().collect()
        table.drop()
        positions = frame.get_column(_POSITION)
        if not positions.is_sorted():
            order = positions.arg_sort()
            frame, positions = frame[order], positions.gather(order)
        return cls(positions.to_numpy(), ledger.side(frame.drop(_POSITION)))


def _run(gathered: Gathered, number: int, plan: PassPlan, partitions: int) -> Iterator[float]:
    """Runs a pass on all partitions; gives the part that is done, up to 1."""
    tables = [_distributed(gathered, at, plan, partitions) for at in (0, 1)]
    for part, both in enumerate(zip(*tables, strict=True), start=1):
        source, target = (_Partition.read(one, table) for one, table in zip(gathered.ledgers, both, strict=True))
        _settle(gathered, number, plan, source, target)
        yield part / partitions


def _distributed(gathered: Gathered, at: int, plan: PassPlan, partitions: int) -> list[Table]:
    """The open records of a side, by the hash of their keys."""
    ledger = gathered.ledgers[at]
    readers = [one.nobody().reader() for one in gathered.ledgers]
    tables = [gathered.spill.table() for _ in range(partitions)]
    for table in tables:
        table.append(ledger.nobody().frame.with_columns(pl.lit(0, pl.UInt32).alias(_POSITION)))
    for positions, piece in ledger.rows(ledger.fields):
        placed = piece.with_columns(pl.Series(_POSITION, positions))
        if partitions == 1:
            tables[0].append(placed)
            continue
        # The other side matters for the type in which the keys are compared: a side without records will do.
        readers[at] = ledger.side(piece).reader()
        keys = [comparable(key.pair, readers[0], readers[1])[at] for key in plan.keys]
        parts = placed.with_columns((key_hash(keys) % partitions).alias(_PART)).partition_by(
            _PART, as_dict=True, include_key=False
        )
        for (part,), rows in parts.items():
            tables[int(part)].append(rows)
    return tables


def _settle(gathered: Gathered, number: int, plan: PassPlan, source: _Partition, target: _Partition) -> None:
    """Runs a pass on one partition, and hands on what it finds."""
    result = run_pass(Board.of(source.side, target.side), plan)
    for ledger, own, codes, linked in (
        (gathered.ledgers[0], source, result.source_codes, result.links.source),
        (gathered.ledgers[1], target, result.target_codes, result.links.target),
    ):
        ledger.codes[own.positions] = np.maximum(ledger.codes[own.positions], codes)
        ledger.is_open[own.positions[linked]] = False
    links = result.links
    count = int(links.match.max()) + 1 if len(links) else 0
    anchors = np.full(count, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(anchors, links.match, source.positions[links.source].astype(np.int64))
    found = _findings(gathered.plan, number, (source.side, target.side), result, anchors[links.match])
    gathered.add(found, pass_breaks(found, gathered.severities), anchors, source.positions, target.positions)


def _findings(plan: Plan, number: int, sides: tuple[Side, Side], result: PassResult, anchors: Numbers) -> Findings:
    """What one pass found, among others that found nothing. The position of a match's first source record stands for its id."""
    count = len(plan.passes)
    results = [PassResult(one, no_links(), result.source_codes, result.target_codes) for one in plan.passes]
    match_ids: list[Numbers] = [np.empty(0, dtype=np.int64)] * count
    candidates: list[Links] = [no_links()] * count
    results[number], match_ids[number], candidates[number] = result, anchors, result.candidates
    return Findings(
        plan=plan,
        source=sides[0],
        target=sides[1],
        results=results,
        match_ids=match_ids,
        candidates=candidates,
        source_codes=np.full(sides[0].height, MATCHED_CODE, dtype=np.uint8),
        target_codes=np.full(sides[1].height, MATCHED_CODE, dtype=np.uint8),
        near=no_near_pairs(),
    )
