"""Matches of several records by key: each group of a side becomes one virtual record, which ordinary rules judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.comparators import Verdict, judge
from matching.fields import FieldRule, SideName
from matching.frames import Positions, Side
from matching.keys import Flags, Numbers
from matching.links import REASON_CODES, Judged, Links, PassResult, no_links
from matching.measured import amounts_of, days_of
from matching.measures import AmountRule, DateWindowRule, RangeRule
from matching.plan import Comparison, PassPlan
from matching.search import Board, Eligible, equal_groups
from matching.sums import common, extremes, sums
from matching.terms import Cardinality, Reason
from matching.texts import Reader, key_values, rendered

_MANY_SOURCES = (Cardinality.MANY_TO_ONE, Cardinality.MANY_TO_MANY)
_MANY_TARGETS = (Cardinality.ONE_TO_MANY, Cardinality.MANY_TO_MANY)


@dataclass(frozen=True)
class Group:
    """One side's records by group: `rows[i]` belongs to group `numbers[i]`; both ascend, by group and then by record."""

    side: Side
    rows: Positions
    numbers: Numbers
    count: int

    @property
    def sizes(self) -> Numbers:
        return np.bincount(self.numbers, minlength=self.count).astype(np.int64)

    def kept(self, groups: Flags) -> Group:
        """The flagged groups, numbered anew in their order."""
        numbers = np.cumsum(groups) - 1
        flags = groups[self.numbers]
        return Group(self.side, self.rows[flags], numbers[self.numbers[flags]].astype(np.int64), int(groups.sum()))


def settle_groups(board: Board, plan: PassPlan, rows: Eligible) -> PassResult:
    """Matches all records of a key with all of the other side, where the cardinality and every condition allow it.

    A side that the cardinality wants one record of, and that has several with a key, is AMBIGUOUS, and so are its partners.
    """
    codes = [np.zeros(side.height, dtype=np.uint8) for side in (board.source, board.target)]
    for code, looked_at in zip(codes, (rows.source, rows.target), strict=True):
        code[looked_at] = REASON_CODES[Reason.MISSING]
    source, target = _shared(board, plan, rows)
    allowed = np.ones(source.count, dtype=np.bool_)
    if plan.cardinality not in _MANY_SOURCES:
        allowed &= source.sizes == 1
    if plan.cardinality not in _MANY_TARGETS:
        allowed &= target.sizes == 1
    for side, code in ((source, codes[0]), (target, codes[1])):
        code[side.kept(~allowed).rows] = REASON_CODES[Reason.AMBIGUOUS]
    source, target = source.kept(allowed), target.kept(allowed)
    judged = [judge_groups(one, source, target) for one in plan.conditions]
    holds = np.ones(source.count, dtype=np.bool_)
    for one in judged:
        holds &= one.verdict.agrees.to_numpy()
    judged = [one.at(np.flatnonzero(holds)) for one in judged]
    source, target = source.kept(holds), target.kept(holds)
    judged += [judge_groups(one, source, target) for one in plan.comparisons]
    codes[0][source.rows] = 0
    codes[1][target.rows] = 0
    return PassResult(plan, linked(source, target, judged), codes[0], codes[1], no_links())


def _shared(board: Board, plan: PassPlan, rows: Eligible) -> tuple[Group, Group]:
    """The groups that both sides have, numbered in the order of their first source records."""
    numbers = equal_groups(board, [key.pair for key in plan.keys], rows)
    count = 1 + max((int(one.max()) for one in numbers if len(one)), default=-1)
    both = np.ones(count, dtype=np.bool_)
    for one in numbers:
        both &= np.bincount(one, minlength=count) > 0
    at_source = both[numbers[0]]
    present, first = np.unique(numbers[0][at_source], return_index=True)
    place = np.zeros(count, dtype=np.int64)
    place[present[np.argsort(first)]] = np.arange(len(present))
    made: list[Group] = []
    for side, looked_at, number in zip((board.source, board.target), (rows.source, rows.target), numbers, strict=True):
        flags = both[number]
        own = place[number[flags]]
        order = np.argsort(own, kind="stable")
        made.append(Group(side, looked_at[flags][order], own[order], len(present)))
    return made[0], made[1]


def judge_groups(comparison: Comparison, source: Group, target: Group) -> Judged:
    """A rule's verdict on each pair of groups: amounts by their sums, dates by the earliest and the latest, the rest as it is."""
    rule = comparison.rule
    bare = Comparison(comparison.number, _bare(rule), comparison.severity)
    if isinstance(rule, DateWindowRule):
        return _judge_dates(bare, rule, source, target)
    values = _values(rule, source), _values(rule, target)
    readers = _reader(rule, source, values[0]), _reader(rule, target, values[1])
    return Judged(comparison, judge(bare, *readers), *values)


def _judge_dates(bare: Comparison, rule: DateWindowRule, source: Group, target: Group) -> Judged:
    ends: list[tuple[pl.Series, pl.Series]] = []
    for side in (source, target):
        texts = _texts(rule, side)
        ends.append(extremes(texts, days_of(rule, side.side.name, texts), side.numbers, side.count))
    verdicts = [
        judge(bare, _reader(rule, source, one), _reader(rule, target, other)) for one, other in zip(*ends, strict=True)
    ]
    first, last = verdicts
    agrees = first.agrees & last.agrees
    delta: pl.Series | None = None
    if first.delta is not None and last.delta is not None:
        farther = (last.delta.abs() > first.delta.abs()).fill_null(value=False)
        delta = last.delta.zip_with(farther, first.delta)
    score = first.score.zip_with(first.score <= last.score, last.score)
    shown = [_shown(*one) for one in ends]
    return Judged(bare, Verdict(agrees, delta, score * agrees.cast(pl.Int64)), shown[0], shown[1])


def _shown(first: pl.Series, last: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"first": first, "last": last})
    return frame.select(
        pl.when(pl.col("first") == pl.col("last")).then("first").otherwise(pl.format("{} to {}", "first", "last"))
    ).to_series()


def _texts(rule: FieldRule, side: Group) -> pl.Series:
    return key_values(rule, side.side.name, side.side.reader(side.rows))


def _values(rule: FieldRule, side: Group) -> pl.Series:
    """The value that each group has in the field that a rule compares."""
    texts = _texts(rule, side)
    if isinstance(rule, RangeRule | AmountRule):
        amounts = amounts_of(rule, side.side.name, texts, side.side.reader(side.rows))
        return sums(amounts, texts, side.numbers, side.count)
    return common(texts, side.numbers, side.count)


def _reader(rule: FieldRule, side: Group, values: pl.Series) -> Reader:
    """Reads virtual records: the field that the rule compares, and what its groups have in common in any other field."""
    own = rule.field_of(side.side.name)

    def read(field: str) -> pl.Series:
        if field == own:
            return values
        return common(rendered(side.side.values(field, side.rows)), side.numbers, side.count)

    return read


def _bare(rule: FieldRule) -> FieldRule:
    """The rule for values that have been transformed already, and sums that are written plainly with their currency."""
    done: dict[str, object] = {"source_transforms": (), "target_transforms": (), "transforms": ()}
    if isinstance(rule, AmountRule):
        done |= dict.fromkeys(
            ("source_currency_field", "target_currency_field", "source_locale", "target_locale", "decimal")
        )
    return rule.model_copy(update=done)


def linked(source: Group, target: Group, judged: list[Judged]) -> Links:
    """The pairs that link each group of the source with that of the target, with the verdicts on their groups."""
    sizes = np.maximum(source.sizes, target.sizes)
    match = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    within = np.arange(len(match)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    sides: dict[SideName, Positions] = {}
    for one in (source, target):
        start = np.cumsum(one.sizes) - one.sizes
        sides[one.side.name] = one.rows[(start[match] + np.minimum(within, one.sizes[match] - 1)).astype(np.int64)]
    return Links(sides["source"], sides["target"], match, tuple(one.at(match) for one in judged))
