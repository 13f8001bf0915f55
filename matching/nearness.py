"""How near two records are by the keys and rules of a pass, part by part, whether or not it would match them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.comparators import FULL_SCORE, judge
from matching.fields import DateWindowRule, FuzzyRule, KeyPair, OneOfRule, RegexRule
from matching.frames import Positions
from matching.keys import blank
from matching.linkage_options import LinkageField
from matching.links import Numbers
from matching.measured import amounts_of
from matching.measures import AmountRule, RangeRule
from matching.plan import Comparison, PassPlan
from matching.search import Board
from matching.sentences import allowed_text, missed
from matching.similarity import similarities
from matching.texts import Reader, key_values, rendered
from matching.verdicts import Verdict

PartKind = Literal["KEY", "FIELD", "CONDITION", "COMPARISON"]
"""FIELD is one that a probabilistic pass compares."""

_HALF = 0.5
"""The most that a value counts which does not agree; one that does agree by its tolerance counts at least so much."""


@dataclass(frozen=True)
class Part:
    """One key or rule of a pass on pairs of records, in their order."""

    kind: PartKind
    pair: KeyPair | LinkageField | Comparison
    agrees: pl.Series
    """Boolean without nulls. A key agrees where it is equal, and neither null nor blank unless the rule set is a legacy one."""
    nearness: Numbers
    """Millionths: the score where the part agrees; otherwise by how little amounts, days or texts differ."""
    delta: pl.Series | None = None
    """As in `verdicts.Verdict`."""
    note: pl.Series | None = None
    similarity: pl.Series | None = None
    """Float64 of texts that don't agree."""

    @property
    def field(self) -> str:
        return self.pair.source_field

    def sentence(self) -> pl.Series:
        """String: what does not agree, and by how much; null where the part agrees."""
        empty = pl.repeat(None, len(self.agrees), dtype=pl.String, eager=True)
        columns = {
            "agrees": self.agrees,
            "delta": empty if self.delta is None else self.delta.cast(pl.String),
            "note": empty if self.note is None else self.note,
        }
        said = pl.lit(f"{self.field} is not equal")
        if isinstance(self.pair, Comparison):
            said = _said(self.pair, self.field)
        return pl.DataFrame(columns).select(pl.when(~pl.col("agrees")).then(said)).to_series()


def _said(comparison: Comparison, field: str) -> pl.Expr:
    rule = comparison.rule
    if isinstance(rule, RangeRule | AmountRule):
        allowed = f"{rule.tolerance:f}" if isinstance(rule, RangeRule) else allowed_text(rule)
        if comparison.legacy is not None:
            allowed = f"{comparison.legacy.tolerance:f}"
        gap = pl.concat_str(
            pl.lit(f"{field} differs by "), pl.col("delta").str.strip_prefix("-"), pl.lit(f", allowed {allowed}")
        )
        return pl.coalesce(
            pl.concat_str(pl.lit(f"{field}: "), "note"), gap, pl.lit(f"{field} is not comparable as amounts")
        )
    return pl.concat_str(pl.lit(f"{field}: "), pl.coalesce("note", missed(rule)))


def parts_of(board: Board, plan: PassPlan, source: Positions, target: Positions) -> list[Part]:
    """Keys, conditions and comparisons of a pass, judged on pairs of records."""
    fields = () if plan.linkage is None else plan.linkage.fields
    found = [_equal(board, key.pair, "KEY", source, target, blanks=plan.legacy) for key in plan.keys]
    found += [_equal(board, one, "FIELD", source, target, blanks=False) for one in fields]
    conditions = {one.number for one in plan.conditions}
    for one in plan.rules:
        found.append(_judged(board, one, "CONDITION" if one.number in conditions else "COMPARISON", source, target))
    return found


def _equal(
    board: Board, pair: KeyPair | LinkageField, kind: PartKind, source: Positions, target: Positions, *, blanks: bool
) -> Part:
    one, other = (column.gather(rows) for column, rows in zip(board.comparable(pair), (source, target), strict=True))
    equal = one.eq_missing(other)
    if not blanks:
        equal &= ~blank([one])
    similarity = _similarity(one, other, ~equal)
    return Part(kind, pair, equal, _near(equal, similarity * _HALF), similarity=similarity)


def _judged(board: Board, comparison: Comparison, kind: PartKind, source: Positions, target: Positions) -> Part:
    rule = comparison.rule
    readers = board.source.reader(source), board.target.reader(target)
    verdict = judge(comparison, *readers)
    agrees, similarity = verdict.agrees, None
    if isinstance(rule, RangeRule | AmountRule):
        nearness = _amounts_near(rule, verdict.delta, readers[1])
    elif isinstance(rule, DateWindowRule):
        nearness = _days_near(rule, verdict.delta)
    elif isinstance(rule, RegexRule | OneOfRule):
        nearness = pl.repeat(0.0, len(agrees), dtype=pl.Float64, eager=True)
    else:
        texts = key_values(rule, "source", readers[0]), key_values(rule, "target", readers[1])
        similarity = _similarity(*texts, ~agrees, rule if isinstance(rule, FuzzyRule) else None)
        nearness = similarity * (1.0 if isinstance(rule, FuzzyRule) else _HALF)
    near = np.where(agrees.to_numpy(), verdict.score.to_numpy(), _near(agrees, nearness))
    return Part(kind, comparison, agrees, near, verdict.delta, verdict.note, similarity)


def part_of_verdict(kind: PartKind, comparison: Comparison, verdict: Verdict) -> Part:
    """A rule's verdicts as they are; what does not agree is near by nothing."""
    return Part(kind, comparison, verdict.agrees, verdict.score.to_numpy(), verdict.delta, verdict.note)


def _near(agrees: pl.Series, nearness: pl.Series) -> Numbers:
    rest = nearness.fill_nan(0).fill_null(0).clip(0, 1).to_numpy() * FULL_SCORE
    return np.where(agrees.to_numpy(), FULL_SCORE, np.rint(rest)).astype(np.int64)


def _similarity(source: pl.Series, target: pl.Series, wanted: pl.Series, rule: FuzzyRule | None = None) -> pl.Series:
    """Of two texts where it is wanted and both are given; null elsewhere."""
    rows = (wanted & source.is_not_null() & target.is_not_null()).arg_true()
    found = pl.repeat(None, len(wanted), dtype=pl.Float64, eager=True)
    if not len(rows):
        return found
    texts = rendered(source.gather(rows)), rendered(target.gather(rows))
    measured = similarities(*texts, "LEVENSHTEIN" if rule is None else rule.algorithm)
    return found.scatter(rows, measured.fill_nan(0).clip(0, 1))


def _amounts_near(rule: RangeRule | AmountRule, delta: pl.Series | None, read: Reader) -> pl.Series:
    """Half of one less the difference as a share of the larger amount; `read` gives the target's fields."""
    assert delta is not None  # noqa: S101
    number = amounts_of(rule, "target", key_values(rule, "target", read), read)["number"].cast(pl.Float64, strict=False)
    gap = delta.cast(pl.Float64, strict=False)
    larger = pl.max_horizontal(pl.col("number").abs(), (pl.col("number") - pl.col("gap")).abs())
    frame = pl.DataFrame({"number": number, "gap": gap})
    return frame.select(_HALF * (1 - pl.col("gap").abs() / larger)).to_series()


def _days_near(rule: DateWindowRule, delta: pl.Series | None) -> pl.Series:
    """Half at the first day too many, a quarter a week later."""
    assert delta is not None  # noqa: S101
    before, after = rule.days_allowed
    days = pl.col("delta")
    beyond = pl.max_horizontal(days - after, -days - before, 1) - 1
    return pl.DataFrame({"delta": delta}).select(_HALF / (1 + beyond / 7)).to_series()


def score_of(parts: Sequence[Part]) -> Numbers:
    """Millionths: the mean of the parts."""
    total = np.zeros(len(parts[0].agrees), dtype=np.int64)
    for one in parts:
        total += one.nearness
    return total // len(parts)


def fits(parts: Sequence[Part]) -> npt.NDArray[np.bool_]:
    """Whether keys and conditions would let the pass match the two, if nothing else were in the way."""
    every = np.ones(len(parts[0].agrees), dtype=np.bool_)
    for one in parts:
        if one.kind != "COMPARISON":
            every &= one.agrees.to_numpy()
    return every


def sentence_of(parts: Sequence[Part]) -> pl.Series:
    """String: what does not agree, part by part; then the fields that do."""
    failing = [one.sentence().alias(f"failing{number}") for number, one in enumerate(parts)]
    agreeing = [
        pl.DataFrame({"agrees": one.agrees})
        .select(pl.when("agrees").then(pl.lit(one.field)).alias(f"field{number}"))
        .to_series()
        for number, one in enumerate(parts)
    ]
    frame = pl.DataFrame([*failing, *agreeing])
    wrong = pl.concat_list(one.name for one in failing).list.drop_nulls().list.join("; ")
    right = pl.concat_list(one.name for one in agreeing).list.drop_nulls().list.unique(maintain_order=True)
    said = pl.format(
        "{} {}", right.list.join(", "), pl.when(right.list.len() > 1).then(pl.lit("agree")).otherwise(pl.lit("agrees"))
    )
    text = (
        pl.when(right.list.len() == 0)
        .then(wrong)
        .when(wrong == "")
        .then(said)
        .otherwise(pl.concat_str(wrong, pl.lit("; "), said))
    )
    return frame.select(text.alias("sentence")).to_series()
