"""Runs a rule set on two inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from matching.amounts import amounts_by_bucket
from matching.breaks import Findings, find_breaks
from matching.candidates import pair_by_key
from matching.frames import Positions, Side, read_side
from matching.groups import settle_groups
from matching.keys import Flags
from matching.linkage_pass import settle_by_linkage
from matching.links import MATCHED_CODE, REASON_CODES, Codes, Links, PassResult, no_links, pairs_as_links
from matching.matches import match_ids, matches_frame
from matching.one_to_one import settle_one_to_one
from matching.outcome import MATCHED, Outcome, Statistics, Totals, check_conservation, fingerprint
from matching.plan import PassPlan, Plan, compile_rule_set, required_columns
from matching.potential import near_pairs
from matching.search import Board, eligible, judge_all, unreadable
from matching.spec import RuleSet, Severities
from matching.subset.settle import settle_by_subsets
from matching.terms import Ambiguity, Cardinality, Decision, Grouping, Reason
from matching.threads import at_once

BUCKETS = [MATCHED, *(reason.value for reason in REASON_CODES)]
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

    Raises KeyFieldRequired, ColumnNotFound, RuleInvalid, SearchTooWide, and ConservationBroken on a defect of the engine.
    """
    report = on_progress or _nobody
    plan = compile_rule_set(rule_set)
    source_fields, target_fields = required_columns(rule_set)
    report(0.0)
    source_side, target_side = at_once(
        [
            lambda: read_side("source", source, source_fields),
            lambda: read_side("target", target, target_fields),
        ]
    )
    report(0.4)
    found = run_passes(plan, source_side, target_side, lambda part: report(0.4 + 0.4 * part))
    report(0.8)
    totals = Totals(source=by_bucket(found.source_codes), target=by_bucket(found.target_codes))
    breaks, matches, unmatched_source, unmatched_target = at_once(
        [
            lambda: find_breaks(found, plan.severities.overridden_by(severities)),
            lambda: matches_frame(found),
            lambda: _unmatched(source_side, found.source_codes),
            lambda: _unmatched(target_side, found.target_codes),
        ]
    )
    outcome = Outcome(
        matches=matches,
        unmatched_source=unmatched_source,
        unmatched_target=unmatched_target,
        breaks=breaks,
        statistics=Statistics(
            total_source_records=source_side.height,
            total_target_records=target_side.height,
            matched_records=totals.source.get(MATCHED, 0),
            unmatched_source_records=without_candidate(totals.source),
            unmatched_target_records=without_candidate(totals.target),
            exception_count=breaks.height,
        ),
        totals=totals,
        amounts=amounts_by_bucket(
            plan.amount, source_side, target_side, (found.source_codes, found.target_codes), BUCKETS
        ),
    )
    several = any(one.cardinality is not Cardinality.ONE_TO_ONE for one in plan.passes)
    check_conservation(outcome, fingerprint(source_side.frame), fingerprint(target_side.frame), several=several)
    report(1.0)
    return outcome


def _nobody(_: float) -> None:
    """Nobody wants to know."""


def run_passes(plan: Plan, source: Side, target: Side, report: Callable[[float], None] = _nobody) -> Findings:
    """Runs the passes in order; what one matches, the next doesn't see."""
    board = Board.of(source, target)
    codes = [np.zeros(source.height, dtype=np.uint8), np.zeros(target.height, dtype=np.uint8)]
    results: list[PassResult] = []
    for number, one in enumerate(plan.passes, start=1):
        result = run_pass(board, one)
        results.append(result)
        for kept, told in zip(codes, (result.source_codes, result.target_codes), strict=True):
            np.maximum(kept, told, out=kept)
        board.source_open[result.links.source] = False
        board.target_open[result.links.target] = False
        report(number / len(plan.passes))
    candidates = [_open_ones(board, one.candidates) for one in results]
    settle_codes(
        codes[0], board.source_open, [one.candidates.source for one in results], [one.source for one in candidates]
    )
    settle_codes(
        codes[1], board.target_open, [one.candidates.target for one in results], [one.target for one in candidates]
    )
    return Findings(
        plan=plan,
        source=source,
        target=target,
        results=results,
        match_ids=match_ids([one.links for one in results]),
        candidates=candidates,
        source_codes=codes[0],
        target_codes=codes[1],
        near=near_pairs(plan, board, [(one.source, one.target) for one in candidates]),
    )


def settle_codes(code: Codes, is_open: Flags, had: Sequence[Positions], asked: Sequence[Positions]) -> None:
    """Makes of the highest code of all passes the final one. `had` are the rows with candidates, `asked` those that keep one.

    Who was in doubt, and whose candidates have all found another partner, has none.
    """
    lost = np.zeros(len(code), dtype=np.bool_)
    for rows in had:
        lost[rows] = True
    for rows in asked:
        lost[rows] = False
    code[lost] = np.minimum(code[lost], REASON_CODES[Reason.MISSING])
    code[~is_open] = MATCHED_CODE


def _open_ones(board: Board, candidates: Links) -> Links:
    if not len(candidates):
        return candidates
    both = board.source_open[candidates.source] & board.target_open[candidates.target]
    return candidates if both.all() else candidates.at(np.flatnonzero(both))


def run_pass(board: Board, plan: PassPlan) -> PassResult:
    """What one pass finds in the open records of a board."""
    by_key_alone = (
        plan.cardinality is Cardinality.ONE_TO_ONE
        and plan.ambiguity is Ambiguity.IN_ORDER
        and not plan.conditions
        and plan.linkage is None
        and plan.keys
    )
    if by_key_alone:
        return _decided(_pair(board, plan), plan)
    rows = eligible(board, plan)
    if plan.linkage is not None:
        result = settle_by_linkage(board, plan, plan.linkage, rows)
    elif plan.cardinality is Cardinality.ONE_TO_ONE:
        result = settle_one_to_one(board, plan, rows)
    elif plan.grouping is Grouping.BY_KEY:
        result = settle_groups(board, plan, rows)
    else:
        result = settle_by_subsets(board, plan, rows)
    for side, blanks, code in (
        (board.source, rows.source_blank, result.source_codes),
        (board.target, rows.target_blank, result.target_codes),
    ):
        code[blanks] = _blank_codes(board, plan, side, blanks)
    return _decided(result, plan)


def _decided(result: PassResult, plan: PassPlan) -> PassResult:
    """What a pass that only suggests has found is put to a person."""
    if plan.decision is Decision.MATCH:
        return result
    source_codes, target_codes = result.source_codes.copy(), result.target_codes.copy()
    source_codes[result.links.source] = REASON_CODES[Reason.AMBIGUOUS]
    target_codes[result.links.target] = REASON_CODES[Reason.AMBIGUOUS]
    return PassResult(plan, no_links(), source_codes, target_codes, result.links)


def _pair(board: Board, plan: PassPlan) -> PassResult:
    """Keys alone decide: the n-th of a key with the n-th of the other side."""
    sides = (board.source, board.target)
    open_rows = [_open_rows(one) for one in (board.source_open, board.target_open)]
    keys = [
        columns if rows is None else [one.gather(rows) for one in columns]
        for columns, rows in zip(board.keys(plan), open_rows, strict=True)
    ]
    pairing = pair_by_key(*keys, set_aside_blanks=not plan.legacy)
    codes: list[Codes] = []
    for side, rows, own in zip(sides, open_rows, (pairing.source_codes, pairing.target_codes), strict=True):
        everywhere = own if rows is None else np.zeros(side.height, dtype=np.uint8)
        if rows is not None:
            everywhere[rows] = own
        if not plan.legacy:
            blanks = np.flatnonzero(everywhere == REASON_CODES[Reason.NULL_KEY]).astype(np.uint32)
            everywhere[blanks] = _blank_codes(board, plan, side, blanks)
        codes.append(everywhere)
    source = pairing.source if open_rows[0] is None else open_rows[0][pairing.source]
    target = pairing.target if open_rows[1] is None else open_rows[1][pairing.target]
    judged = judge_all(board, plan.comparisons, source, target)
    return PassResult(plan, pairs_as_links(source, target, judged), codes[0], codes[1])


def _open_rows(is_open: Flags) -> Positions | None:
    return None if is_open.all() else np.flatnonzero(is_open).astype(np.uint32)


def _blank_codes(board: Board, plan: PassPlan, side: Side, rows: Positions) -> Codes:
    codes = np.full(len(rows), REASON_CODES[Reason.NULL_KEY], dtype=np.uint8)
    if len(rows):
        codes[unreadable(board, plan, side, rows)] = REASON_CODES[Reason.FORMAT_ERROR]
    return codes


def by_bucket(codes: Codes) -> dict[str, int]:
    """Rows by bucket; buckets without rows are left out."""
    counts = np.bincount(codes, minlength=len(BUCKETS))
    return {bucket: int(count) for bucket, count in zip(BUCKETS, counts, strict=True) if count}


def without_candidate(buckets: dict[str, int]) -> int:
    """Unmatched records as the legacy API counts them."""
    return buckets.get(Reason.MISSING, 0) + buckets.get(Reason.SEARCH_TRUNCATED, 0)


def _unmatched(side: Side, codes: Codes) -> pl.DataFrame:
    positions = np.flatnonzero(codes != MATCHED_CODE).astype(np.uint32)
    reasons = pl.Series(codes[positions]).replace_strict(dict(enumerate(BUCKETS)), return_dtype=pl.String)
    return side.whole_records(positions, reasons)
