"""What a pass that matches groups by key says of two records with the same key: all records of the key together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from matching.explained import PassVerdict
from matching.frames import Positions, Side
from matching.groups import Group
from matching.identity import FILE_ID, ROW
from matching.judgements import group_judgements
from matching.keys import Flags
from matching.outcome import Outcome
from matching.plan import PassPlan
from matching.search import Board
from matching.terms import Cardinality, Grouping


def of_groups(
    board: Board,
    passes: Sequence[PassPlan],
    plan: PassPlan,
    outcome: Outcome,
    pairs: tuple[Positions, Positions],
    verdicts: Sequence[PassVerdict],
) -> list[PassVerdict]:
    """The verdicts on pairs of records, and on their groups in their place where the pass matches groups and the keys agree.

    A group has the records that no earlier pass has matched. One look at the key columns per pair: for few of them.
    """
    keyed = [all(one.agrees for one in verdict.judgements if one.kind == "KEY") for verdict in verdicts]
    if plan.cardinality is Cardinality.ONE_TO_ONE or plan.grouping is Grouping.SUBSET or not any(keyed):
        return list(verdicts)
    earlier = [one.name for one in passes[: passes.index(plan)]]
    sides = board.source, board.target
    is_open = [_open(side, outcome, earlier) for side in sides]
    keys = board.keys(plan)
    found: list[PassVerdict] = []
    for verdict, has_key, *rows in zip(verdicts, keyed, *(one.tolist() for one in pairs), strict=True):
        if not has_key or not all(flags[row] for flags, row in zip(is_open, rows, strict=True)):
            found.append(verdict)
            continue
        source, target = (
            _group(side, flags, columns, row)
            for side, flags, columns, row in zip(sides, is_open, keys, rows, strict=True)
        )
        found.append(_together(plan, source, target, verdict))
    return found


def _together(plan: PassPlan, source: Group, target: Group, verdict: PassVerdict) -> PassVerdict:
    rules = group_judgements(plan, source, target)
    counts = len(source.rows), len(target.rows)
    said = f"{counts[0]} source and {counts[1]} target records with the key together"
    one_source = plan.cardinality is Cardinality.ONE_TO_MANY and counts[0] > 1
    one_target = plan.cardinality is Cardinality.MANY_TO_ONE and counts[1] > 1
    wrong = [one.says for one in rules if one.says]
    if one_source or one_target:
        wrong.insert(0, f"the pass wants one {'source' if one_source else 'target'} record of a key")
    allowed = not (one_source or one_target) and all(one.agrees for one in rules if one.kind == "CONDITION")
    keys = tuple(one for one in verdict.judgements if one.kind == "KEY")
    text = f"{said}: {'; '.join(wrong) if wrong else 'all rules agree'}"
    return replace(verdict, fits=allowed, judgements=(*keys, *rules), sentence=text)


def _open(side: Side, outcome: Outcome, earlier: Sequence[str]) -> Flags:
    """Which records no pass of these names has matched."""
    ids = [f"{side.name}_file_id", f"{side.name}_row"]
    taken = outcome.matches.lazy().filter(pl.col("pass").is_in(list(earlier))).select(ids)
    own = side.frame.lazy().select(FILE_ID, ROW).with_row_index("at")
    rows = own.join(taken, left_on=[FILE_ID, ROW], right_on=ids, how="semi").select("at").collect()
    flags = np.ones(side.height, dtype=np.bool_)
    flags[rows["at"].to_numpy()] = False
    return flags


def _group(side: Side, is_open: Flags, keys: Sequence[pl.Series], row: int) -> Group:
    same = is_open.copy()
    for one in keys:
        same &= one.eq_missing(one[row]).to_numpy()
    rows = np.flatnonzero(same).astype(np.uint32)
    return Group(side, rows, np.zeros(len(rows), dtype=np.int64), 1)
