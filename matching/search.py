"""Candidates of a pass: pairs with equal keys that its conditions allow, and how well each pair agrees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import polars as pl

from matching.comparators import judge
from matching.errors import SearchTooWide
from matching.fields import FieldPair, FieldRule
from matching.frames import Positions, Side
from matching.keys import Flags, Numbers, blank, group_numbers
from matching.links import Judged, Links, joined_verdicts, pairs_as_links
from matching.plan import Comparison, PassPlan
from matching.reach import Reach, reach_of
from matching.terms import MatchType
from matching.texts import comparable, rendered
from matching.threads import at_once
from matching.windows import near_pairs

CANDIDATES = 100_000_000
"""More candidates than this are not held: the pass needs another key or condition."""


@dataclass
class Board:
    """Both sides while passes run: which records are open still, and what has been worked out once for all passes."""

    source: Side
    target: Side
    source_open: Flags
    target_open: Flags
    _comparable: dict[tuple[str, ...], tuple[pl.Series, pl.Series]] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Side, target: Side) -> Board:
        return cls(source, target, np.ones(source.height, np.bool_), np.ones(target.height, np.bool_))

    def comparable(self, pair: FieldPair) -> tuple[pl.Series, pl.Series]:
        """A field of all records of both sides, after its transforms."""
        # Not the pair itself: a rule may hold tables, and two rules with the same fields and transforms have the same values.
        name = (pair.source_field, pair.target_field, repr(pair.chain_of("source")), repr(pair.chain_of("target")))
        found = self._comparable.get(name)
        if found is None:
            found = self._comparable[name] = comparable(pair, self.source.reader(), self.target.reader())
        return found

    def keys(self, plan: PassPlan) -> tuple[list[pl.Series], list[pl.Series]]:
        """The keys of all records of both sides."""
        columns = [self.comparable(key.pair) for key in plan.keys]
        return [one for one, _ in columns], [one for _, one in columns]


@dataclass(frozen=True)
class Eligible:
    """The records that a pass looks at, and those that it can't look at for want of a key."""

    source: Positions
    target: Positions
    source_blank: Positions
    target_blank: Positions


def eligible(board: Board, plan: PassPlan) -> Eligible:
    """Open records, without those whose keys are null or blank."""
    rows: list[Positions] = []
    blanks: list[Positions] = []
    for columns, is_open in zip(board.keys(plan), (board.source_open, board.target_open), strict=True):
        without = blank(columns).to_numpy() if columns else np.zeros(len(is_open), np.bool_)
        rows.append(np.flatnonzero(is_open & ~without).astype(np.uint32))
        blanks.append(np.flatnonzero(is_open & without).astype(np.uint32))
    return Eligible(rows[0], rows[1], blanks[0], blanks[1])


def equalities(plan: PassPlan) -> list[FieldPair]:
    """What must be equal for two records to be candidates: the keys, and EXACT conditions (for which null equals null)."""
    exact = [one.rule for one in plan.conditions if one.rule.match_type is MatchType.EXACT]
    return [*(key.pair for key in plan.keys), *exact]


Pair = tuple[pl.Series, pl.Series]


def equal_groups(
    board: Board, pairs: Sequence[FieldPair], rows: Eligible, also: Sequence[Pair] = ()
) -> tuple[Numbers, Numbers]:
    """One number per eligible record of each side, equal where all pairs of fields are, and the columns in `also` too."""
    columns = [board.comparable(pair) for pair in pairs]
    source = [one.gather(rows.source) for one, _ in columns] + [one for one, _ in also]
    target = [other.gather(rows.target) for _, other in columns] + [other for _, other in also]
    if not source:
        return np.zeros(len(rows.source), dtype=np.int64), np.zeros(len(rows.target), dtype=np.int64)
    return group_numbers(source, target, len(rows.source))


def find_candidates(board: Board, plan: PassPlan, rows: Eligible) -> Links:
    """Every pair of eligible records with equal keys that all conditions allow, with the verdicts of all rules.

    In order of source, then target. Raises SearchTooWide.
    """
    parts: list[Links] = []
    for source, target, judged in _search(board, plan, rows, plan.conditions, None):
        compared = judge_all(board, plan.comparisons, source, target)
        parts.append(pairs_as_links(source, target, [*judged, *compared]))
    return in_order(_joined(parts))


def allowed_places(
    board: Board, plan: PassPlan, rows: Eligible, leave_out: FieldRule, also: Pair | None
) -> tuple[Numbers, Numbers]:
    """Every pair that all conditions but one allow, as places in `rows`; the columns in `also` are equal too."""
    conditions = [one for one in plan.conditions if one.rule is not leave_out]
    found = [(source, target) for source, target, _ in _search(board, plan, rows, conditions, also)]
    empty = np.empty(0, dtype=np.uint32)
    source = np.concatenate([empty, *(one for one, _ in found)])
    target = np.concatenate([empty, *(other for _, other in found)])
    return np.searchsorted(rows.source, source), np.searchsorted(rows.target, target)


def _search(
    board: Board, plan: PassPlan, rows: Eligible, conditions: Sequence[Comparison], also: Pair | None
) -> Iterator[tuple[Positions, Positions, list[Judged]]]:
    """In parts: the pairs that are equal where they must be and that the conditions allow, with the conditions' verdicts."""
    reaches: list[Reach] = []
    for condition in conditions:
        reach = reach_of(condition.rule, board.source.reader(rows.source), board.target.reader(rows.target))
        if reach is not None:
            reaches.append(reach)
    columns = [(one.source_other, one.target_other) for one in reaches]
    groups = equal_groups(board, equalities(plan), rows, [*columns, *([] if also is None else [also])])
    count = 0
    for source, target in near_pairs(*groups, [one.dimension for one in reaches]):
        part = _allowed(board, conditions, rows.source[source], rows.target[target])
        count += len(part[0])
        if count > CANDIDATES:
            raise SearchTooWide(plan.name, CANDIDATES)
        yield part


def _allowed(
    board: Board, conditions: Sequence[Comparison], source: Positions, target: Positions
) -> tuple[Positions, Positions, list[Judged]]:
    """The pairs that every condition allows, with the verdicts."""
    judged: list[Judged] = []
    # Texts are dear to compare: numbers and dates go first.
    for condition in sorted(conditions, key=lambda one: one.rule.match_type in _DEAR):
        verdict = judge(condition, board.source.reader(source), board.target.reader(target))
        kept = verdict.agrees.arg_true().to_numpy()
        one = Judged(condition, verdict)
        if len(kept) < len(source):
            source, target = source[kept], target[kept]
            judged = [before.at(kept) for before in judged]
            one = one.at(kept)
        judged.append(one)
    judged.sort(key=lambda one: one.comparison.number)
    return source, target, judged


_DEAR = (MatchType.FUZZY, MatchType.CONTAINS, MatchType.STARTS_WITH, MatchType.ENDS_WITH, MatchType.REGEX)


def judge_all(board: Board, rules: Sequence[Comparison], source: Positions, target: Positions) -> list[Judged]:
    """The verdicts of some rules on pairs of records."""
    readers = board.source.reader(source), board.target.reader(target)
    verdicts = at_once(partial(judge, one, *readers) for one in rules)
    return [Judged(*one) for one in zip(rules, verdicts, strict=True)]


def _joined(parts: Sequence[Links]) -> Links:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        nothing = np.empty(0, dtype=np.uint32)
        return pairs_as_links(nothing, nothing)
    source = np.concatenate([one.source for one in parts])
    target = np.concatenate([one.target for one in parts])
    ruled = range(len(parts[0].judged))
    return pairs_as_links(source, target, [joined_verdicts([part.judged[rule] for part in parts]) for rule in ruled])


def in_order(links: Links) -> Links:
    """The pairs by source, then target."""
    order = np.lexsort((links.target, links.source))
    if np.array_equal(order, np.arange(len(order))):
        return links
    return links.at(order)


def unreadable(board: Board, plan: PassPlan, side: Side, rows: Positions) -> Flags:
    """Which of the records without a key do have a value in it, of which the transforms leave nothing."""
    found = np.zeros(len(rows), dtype=np.bool_)
    columns = board.keys(plan)[0 if side.name == "source" else 1]
    for key, column in zip(plan.keys, columns, strict=True):
        raw = rendered(side.values(key.pair.field_of(side.name), rows)).str.strip_chars()
        gone = column.gather(rows).is_null() & raw.is_not_null() & (raw != "").fill_null(value=False)
        found |= gone.fill_null(value=False).to_numpy()
    return found
