"""Runs a rule set on two inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from matching.breaks import Judged, find_breaks
from matching.candidates import MATCHED_CODE, REASON_CODES, Codes, Pairing, pair_by_key
from matching.comparators import judge
from matching.frames import Side, read_side
from matching.identity import FILE_ID, ROW
from matching.outcome import MATCHED, Outcome, Statistics, Totals, check_conservation, fingerprint
from matching.plan import PassPlan, compile_rule_set, required_columns
from matching.spec import RuleSet, Severities
from matching.terms import Reason
from matching.texts import comparable

_BUCKETS = [MATCHED, *(reason.value for reason in REASON_CODES)]
"""By code."""


def reconcile(
    rule_set: RuleSet,
    source: pl.LazyFrame,
    target: pl.LazyFrame,
    *,
    severities: Severities | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Outcome:
    """Matches two inputs by a rule set and says where they disagree.

    Each input has its columns and `_recon_file_id`, `_recon_row` (no two rows share both); it is collected more than once and
    must give its rows in one order each time. `severities` go before those of the rule set, key by key. `on_progress` is told
    the part that is done, from 0 to 1. The outcome depends neither on the order of rows nor on threads.

    Raises KeyFieldRequired, ColumnNotFound, RuleInvalid, and ConservationBroken on a defect of the engine.
    """
    report = on_progress or _nobody
    plan = compile_rule_set(rule_set)
    source_fields, target_fields = required_columns(rule_set)
    report(0.0)
    source_side = read_side("source", source, source_fields)
    report(0.2)
    target_side = read_side("target", target, target_fields)
    report(0.4)
    pairing = _pair(plan, source_side, target_side)
    report(0.6)
    judged = [
        Judged(
            one,
            judge(one, source_side.reader(pairing.source), target_side.reader(pairing.target)),
        )
        for one in plan.comparisons
    ]
    report(0.8)
    effective = (rule_set.severities or Severities()).overridden_by(severities)
    breaks = find_breaks(plan, source_side, target_side, pairing, judged, effective)
    totals = Totals(source=_by_bucket(pairing.source_codes), target=_by_bucket(pairing.target_codes))
    outcome = Outcome(
        matches=_matches(plan, source_side, target_side, pairing, judged),
        unmatched_source=_unmatched(source_side, pairing.source_codes),
        unmatched_target=_unmatched(target_side, pairing.target_codes),
        breaks=breaks,
        statistics=Statistics(
            total_source_records=source_side.height,
            total_target_records=target_side.height,
            matched_records=len(pairing.source),
            unmatched_source_records=totals.source.get(Reason.MISSING, 0),
            unmatched_target_records=totals.target.get(Reason.MISSING, 0),
            exception_count=breaks.height,
        ),
        totals=totals,
    )
    check_conservation(outcome, fingerprint(source_side.frame), fingerprint(target_side.frame))
    report(1.0)
    return outcome


def _nobody(_: float) -> None:
    """Nobody wants to know."""


def _pair(plan: PassPlan, source: Side, target: Side) -> Pairing:
    columns = [comparable(key.pair, source.reader(), target.reader()) for key in plan.keys]
    return pair_by_key([one for one, _ in columns], [one for _, one in columns], set_aside_blanks=not plan.legacy)


def _by_bucket(codes: Codes) -> dict[str, int]:
    counts = np.bincount(codes, minlength=len(_BUCKETS))
    return {bucket: int(count) for bucket, count in zip(_BUCKETS, counts, strict=True) if count}


def _matches(plan: PassPlan, source: Side, target: Side, pairing: Pairing, judged: Sequence[Judged]) -> pl.DataFrame:
    verdicts: list[pl.Series] = []
    for one in judged:
        name = f"{one.comparison.number}_{one.comparison.source_field}"
        verdicts.append(one.verdict.agrees.alias(f"agrees_{name}"))
        if one.verdict.delta is not None:
            verdicts.append(one.verdict.delta.alias(f"delta_{name}"))
    pairs = len(pairing.source)
    return pl.DataFrame(
        [
            pl.int_range(1, pairs + 1, dtype=pl.Int64, eager=True).alias("match_id"),
            pl.repeat(plan.name, pairs, dtype=pl.String, eager=True).alias("pass"),
            source.values(FILE_ID, pairing.source).alias("source_file_id"),
            source.values(ROW, pairing.source).alias("source_row"),
            target.values(FILE_ID, pairing.target).alias("target_file_id"),
            target.values(ROW, pairing.target).alias("target_row"),
            _score([one.verdict.agrees for one in judged], pairs).alias("score"),
            *verdicts,
        ]
    )


def _score(agreeing: Sequence[pl.Series], pairs: int) -> pl.Series:
    """The share of the comparisons that agree."""
    if not agreeing:
        return pl.repeat(1.0, pairs, dtype=pl.Float64, eager=True)
    frame = pl.DataFrame([one.alias(f"agrees{number}") for number, one in enumerate(agreeing)])
    return frame.select(pl.sum_horizontal(pl.all().cast(pl.UInt32)) / len(agreeing)).to_series()


def _unmatched(side: Side, codes: Codes) -> pl.DataFrame:
    positions = np.flatnonzero(codes != MATCHED_CODE).astype(np.uint32)
    reasons = pl.Series(codes[positions]).replace_strict(dict(enumerate(_BUCKETS)), return_dtype=pl.String)
    return side.whole_records(positions, reasons)
