"""Keys and rules on a few pairs of records, each with both values and by how much it was missed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal

import polars as pl

from matching.comparators import FULL_SCORE
from matching.decimals import plain_text
from matching.explained import Judgement
from matching.fields import DateWindowRule, FieldPair, FuzzyRule
from matching.frames import Positions
from matching.groups import Group, judge_groups
from matching.measured import amounts_of
from matching.measures import AmountRule, RangeRule
from matching.nearness import Part, part_of_verdict, parts_of
from matching.pairs import SideName
from matching.plan import Comparison, PassPlan
from matching.rendering import Reader
from matching.search import Board
from matching.texts import key_values, rendered

_EXACT = Context(prec=5000)


def judgements(
    board: Board, plan: PassPlan, source: Positions, target: Positions
) -> tuple[list[Part], list[tuple[Judgement, ...]]]:
    """The parts of a pass, and per pair its judgements, in the order of the parts. For few pairs: each is made by itself."""
    parts = parts_of(board, plan, source, target)
    readers = board.source.reader(source), board.target.reader(target)
    columns = [_judged(one, readers) for one in parts]
    return parts, [tuple(column[at] for column in columns) for at in range(len(source))]


def group_judgements(plan: PassPlan, source: Group, target: Group) -> list[Judgement]:
    """The rules of a pass on one group of each side."""
    found: list[Judgement] = []
    for one in plan.rules:
        judged = judge_groups(one, source, target)
        values = judged.source_value, judged.target_value
        if values[0] is None or values[1] is None:
            continue
        kind = "CONDITION" if one in plan.conditions else "COMPARISON"
        part = part_of_verdict(kind, one, judged.verdict)
        found += _built(part, one.rule, (values[0], values[1]), (values[0], values[1]), [None])
    return found


def _judged(part: Part, readers: tuple[Reader, Reader]) -> list[Judgement]:
    pair = part.pair.rule if isinstance(part.pair, Comparison) else part.pair
    source, target = readers
    raw = rendered(source(pair.source_field)), rendered(target(pair.target_field))
    compared = key_values(pair, "source", source), key_values(pair, "target", target)
    return _built(part, pair, raw, compared, _beyond(part, readers))


def _built(
    part: Part,
    pair: FieldPair,
    raw: tuple[pl.Series, pl.Series],
    compared: tuple[pl.Series, pl.Series],
    beyond: Sequence[str | None],
) -> list[Judgement]:
    match_type = part.pair.rule.match_type.value if isinstance(part.pair, Comparison) else "EXACT"
    says = part.sentence()
    return [
        Judgement(
            kind=part.kind,
            match_type=match_type,
            source_field=pair.field_of("source"),
            target_field=pair.field_of("target"),
            source_value=raw[0][at],
            target_value=raw[1][at],
            source_compared=compared[0][at],
            target_compared=compared[1][at],
            agrees=part.agrees[at],
            score=int(part.nearness[at]) / FULL_SCORE,
            delta=None if part.delta is None or part.delta[at] is None else str(part.delta[at]),
            beyond=beyond[at],
            similarity=None if part.similarity is None else part.similarity[at],
            says=says[at],
        )
        for at in range(len(says))
    ]


def _beyond(part: Part, readers: tuple[Reader, Reader]) -> list[str | None]:
    nothing: list[str | None] = [None] * len(part.agrees)
    rule = part.pair.rule if isinstance(part.pair, Comparison) else part.pair
    wrong = [not one for one in part.agrees]
    if isinstance(rule, FuzzyRule) and part.similarity is not None:
        legacy = part.pair.legacy if isinstance(part.pair, Comparison) else None
        threshold = rule.fuzzy_threshold if legacy is None else legacy.fuzzy_threshold
        lacking = (threshold - part.similarity).round(4)
        return [str(one) if off and one is not None else None for off, one in zip(wrong, lacking, strict=True)]
    if part.delta is None:
        return nothing
    if isinstance(rule, DateWindowRule):
        before, after = rule.days_allowed
        return [
            str(days - after if days > 0 else -days - before) if off and days is not None else None
            for off, days in zip(wrong, part.delta, strict=True)
        ]
    if isinstance(rule, RangeRule | AmountRule) and isinstance(part.pair, Comparison):
        return _amounts_beyond(part.pair, rule, part.delta, wrong, readers)
    return nothing


def _amounts_beyond(
    comparison: Comparison,
    rule: RangeRule | AmountRule,
    deltas: pl.Series,
    wrong: list[bool],
    readers: tuple[Reader, Reader],
) -> list[str | None]:
    sides: tuple[SideName, SideName] = ("source", "target")
    amounts = [
        amounts_of(rule, side, key_values(rule, side, read), read) for side, read in zip(sides, readers, strict=True)
    ]
    found: list[str | None] = []
    for at, delta in enumerate(deltas):
        number = amounts[1]["number"][at]
        if delta is None or number is None or not wrong[at]:
            found.append(None)
            continue
        target, gap = Decimal(number), Decimal(delta)
        currency = amounts[1]["currency"][at] or amounts[0]["currency"][at]
        allowed = _allowed(comparison, rule, _EXACT.subtract(target, gap), target, currency)
        found.append(plain_text(_EXACT.subtract(abs(gap), allowed)))
    return found


def _allowed(
    comparison: Comparison, rule: RangeRule | AmountRule, source: Decimal, target: Decimal, currency: str | None
) -> Decimal:
    """The most that two amounts may be apart; `source` is the converted amount where there is a rate."""
    if isinstance(rule, RangeRule):
        return rule.tolerance if comparison.legacy is None else comparison.legacy.tolerance
    absolute = rule.per_currency.get(currency or "", rule.absolute)
    bounds = [] if absolute is None else [absolute]
    if rule.percent is not None:
        of = {"SOURCE": abs(source), "TARGET": abs(target), "LARGER": max(abs(source), abs(target))}[rule.percent_of]
        bounds.append(_EXACT.multiply(of, rule.percent.scaleb(-2)))
    return min(bounds) if rule.combine == "SMALLER" else max(bounds)
