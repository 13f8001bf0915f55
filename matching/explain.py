"""Why records are a match, and why a record is in none: on demand, of the same frames that were matched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.columns import exactly
from matching.comparators import FULL_SCORE
from matching.errors import RecordUnknown
from matching.explained import Candidate, ExplainedMatch, Judgement, PassVerdict, Record, RecordId, Taken, WhyNot
from matching.fields import SideName
from matching.frames import Positions, Side, read_side
from matching.group_views import of_groups
from matching.groups import Group
from matching.identity import FILE_ID, REASON, ROW
from matching.judgements import group_judgements, judgements
from matching.near_search import nearest as find_nearest
from matching.nearest import Fields
from matching.nearness import Part, fits, score_of, sentence_of
from matching.outcome import Outcome
from matching.passes import reconcile
from matching.plan import PassPlan, Plan, compile_rule_set, required_columns
from matching.rendering import rendered
from matching.search import Board
from matching.spec import RuleSet
from matching.terms import Cardinality, Grouping

SPAN, TEXT_SPAN = 8, 64
"""How far a record looks in each lane: see `nearest`."""

MOST_AT_ONCE = 1_000
"""So many records are answered for in one call."""

Identity = tuple[int, int]
"""File id and row of a record."""


def explain(
    rule_set: RuleSet, outcome: Outcome, source: pl.LazyFrame, target: pl.LazyFrame, match_id: int
) -> ExplainedMatch:
    """Everything about one match of an outcome; the frames are those that it was made from, of which its records are read.

    Raises RecordUnknown where the outcome has no such match.
    """
    rows = outcome.matches.filter(pl.col("match_id") == match_id)
    if rows.is_empty():
        raise RecordUnknown(
            f"There is no match {match_id}; the outcome has {outcome.matches['match_id'].n_unique()}", match_id=match_id
        )
    name, score = rows["pass"][0], rows["score"][0]
    plan = next(one for one in compile_rule_set(rule_set).passes if one.name == name)
    fields = required_columns(rule_set)
    sides: list[Side] = []
    records: list[tuple[Record, ...]] = []
    for side, scan, needed in (("source", source, fields[0]), ("target", target, fields[1])):
        identities = rows.select(f"{side}_file_id", f"{side}_row").unique().rows()
        some = scan.filter(_is_one_of(identities)).collect()
        sides.append(read_side("source" if side == "source" else "target", some.lazy(), needed))
        found = _records(some)
        records.append(tuple(found[one] for one in sorted(identities)))
    keys, rules, sentence = _judge_match(plan, *sides)
    weights = {column: rows[column][0] for column in rows.columns if column.startswith("weight") and plan.linkage}
    return ExplainedMatch(match_id, name, score, keys, rules, records[0], records[1], weights, sentence)


def _judge_match(
    plan: PassPlan, source: Side, target: Side
) -> tuple[tuple[Judgement, ...], tuple[Judgement, ...], str]:
    first = np.zeros(1, dtype=np.uint32)
    parts, judged = judgements(Board.of(source, target), plan, first, first)
    keys = tuple(one for one in judged[0] if one.kind == "KEY")
    if plan.cardinality is Cardinality.ONE_TO_ONE:
        return keys, tuple(one for one in judged[0] if one.kind != "KEY"), sentence_of(parts)[0]
    rules = tuple(group_judgements(plan, _whole(source), _whole(target)))
    said = [one.says for one in rules if one.says] or ["all rules agree"]
    return keys, rules, f"{source.height} source and {target.height} target records together: {'; '.join(said)}"


def _whole(side: Side) -> Group:
    return Group(side, np.arange(side.height, dtype=np.uint32), np.zeros(side.height, dtype=np.int64), 1)


def why_not(
    rule_set: RuleSet,
    source: pl.LazyFrame,
    target: pl.LazyFrame,
    record: Identity | list[Identity],
    *,
    side: SideName = "source",
    nearest: int = 5,
    outcome: Outcome | None = None,
) -> list[WhyNot]:
    """Per record of a side (file id, row) its `nearest` candidates of the other side, and what stands in the way of each.

    Without `outcome`, the two frames are matched first. For several questions about one outcome see `Questions`. Raises
    RecordUnknown, ValueError for more than `MOST_AT_ONCE` records, and what `reconcile` raises.
    """
    asked = Questions.of(rule_set, source, target, outcome)
    records = [record] if isinstance(record, tuple) else record
    return asked.why_not(records, side=side, nearest=nearest)


@dataclass(frozen=True)
class Questions:
    """An outcome and the inputs that it was made from, held in memory to be asked about."""

    plan: Plan
    source: Side
    target: Side
    outcome: Outcome
    fields: Fields

    @classmethod
    def of(
        cls, rule_set: RuleSet, source: pl.LazyFrame, target: pl.LazyFrame, outcome: Outcome | None = None
    ) -> Questions:
        """Reads both inputs and what their rules compare; without an outcome they are matched."""
        made = outcome or reconcile(rule_set, source, target)
        fields = required_columns(rule_set)
        sides = read_side("source", source, fields[0]), read_side("target", target, fields[1])
        plan = compile_rule_set(rule_set)
        prepared = Fields(Board.of(*sides), plan.passes)
        prepared.prepare()
        return cls(plan, *sides, made, prepared)

    def why_not(self, records: Sequence[Identity], *, side: SideName = "source", nearest: int = 5) -> list[WhyNot]:
        """As `why_not`, in the order of `records`."""
        if len(records) > MOST_AT_ONCE:
            raise ValueError(f"{len(records)} records asked about at once; at most {MOST_AT_ONCE}")
        own, theirs = (self.source, self.target) if side == "source" else (self.target, self.source)
        rows = _rows_of(own, records)
        every = np.arange(theirs.height, dtype=np.uint32)
        asked = (rows, every) if side == "source" else (every, rows)
        near = find_nearest(self.fields, *asked, side, span=SPAN, text_span=TEXT_SPAN, keep=nearest)
        at_own, at_theirs = (near.source, near.target) if side == "source" else (near.target, near.source)
        shown = np.unique(at_theirs)
        views = [self._verdicts(one, near.source, near.target) for one in self.plan.passes]
        own_ids, their_ids = _identities(own, rows), _identities(theirs, shown)
        own_records, their_records = _read(own, own_ids), _read(theirs, their_ids)
        taken = self._taken(their_ids, "target" if side == "source" else "source")
        own_taken, reasons = self._taken(own_ids, side), self._reasons(own_ids, side)
        identity = dict(zip(shown.tolist(), their_ids, strict=True))
        own_identity = dict(zip(rows.tolist(), own_ids, strict=True))
        found: dict[Identity, list[Candidate]] = {one: [] for one in own_ids}
        for at, (row, other) in enumerate(zip(at_own.tolist(), at_theirs.tolist(), strict=True)):
            passes = tuple(one[at] for one in views)
            best, its = passes[int(near.place[at])], identity[other]
            candidate = Candidate(
                their_records[its],
                int(near.score[at]) / FULL_SCORE,
                taken.get(its),
                passes,
                _candidate_sentence(best, taken.get(its), side),
            )
            found[own_identity[row]].append(candidate)
        return [
            WhyNot(
                side,
                own_records[one],
                reasons.get(one),
                own_taken.get(one),
                tuple(found[one]),
                _sentence(side, own_taken.get(one), found[one]),
            )
            for one in records
        ]

    def _verdicts(self, plan: PassPlan, source: Positions, target: Positions) -> list[PassVerdict]:
        """One per pair."""
        if not len(source):
            return []
        board, passes = self.fields.board, self.plan.passes
        parts, judged = judgements(board, plan, source, target)
        scores, fitting, sentences = score_of(parts), fits(parts), _said(plan, parts)
        found = [
            PassVerdict(plan.name, bool(fitting[at]), int(scores[at]) / FULL_SCORE, judged[at], sentences[at])
            for at in range(len(source))
        ]
        return of_groups(board, passes, plan, self.outcome, (source, target), found)

    def _taken(self, identities: Sequence[Identity], side: SideName) -> dict[Identity, Taken]:
        """Of those records that are in a match, which one it is."""
        other = "target" if side == "source" else "source"
        matches = self.outcome.matches.lazy()
        ids = [f"{side}_file_id", f"{side}_row"]
        wanted = pl.DataFrame(identities, schema=dict.fromkeys(ids, pl.Int64), orient="row").lazy()
        own = matches.join(wanted, on=ids, how="semi").select(*ids, "match_id", "pass").unique().collect()
        if own.is_empty():
            return {}
        partners = (
            matches.filter(pl.col("match_id").is_in(own["match_id"].unique().implode()))
            .select("match_id", f"{other}_file_id", f"{other}_row")
            .unique()
            .sort(pl.all())
            .collect()
        )
        by_match: dict[int, list[RecordId]] = {}
        for match_id, file_id, row in partners.iter_rows():
            by_match.setdefault(match_id, []).append(RecordId(file_id, row))
        return {
            (file_id, row): Taken(match_id, name, tuple(by_match[match_id]))
            for file_id, row, match_id, name in own.iter_rows()
        }

    def _reasons(self, identities: Sequence[Identity], side: SideName) -> dict[Identity, str]:
        left = self.outcome.unmatched_source if side == "source" else self.outcome.unmatched_target
        rows = left.lazy().filter(_is_one_of(identities)).select(FILE_ID, ROW, REASON).collect()
        return {(file_id, row): reason for file_id, row, reason in rows.iter_rows()}


def _said(plan: PassPlan, parts: Sequence[Part]) -> pl.Series:
    said = sentence_of(parts)
    if plan.cardinality is Cardinality.ONE_TO_ONE:
        return said
    how = "sums of some records" if plan.grouping is Grouping.SUBSET else "sums of all records with the key"
    return said + f" (record by record; this pass compares {how})"


def _candidate_sentence(best: PassVerdict, taken: Taken | None, side: SideName) -> str:
    if taken is None:
        return best.sentence
    partners = ", ".join(str(one) for one in taken.partners[:3]) + (", …" if len(taken.partners) > 3 else "")
    return f"{best.sentence}; taken by {side} record {partners} (match {taken.match_id}, pass '{taken.pass_name}')"


def _sentence(side: SideName, taken: Taken | None, candidates: Sequence[Candidate]) -> str:
    other = "target" if side == "source" else "source"
    if taken is not None:
        partners = ", ".join(str(one) for one in taken.partners[:3])
        return f"It has a partner: {other} record {partners} (match {taken.match_id}, pass '{taken.pass_name}')"
    if not candidates:
        return f"No record of {other} comes near it in any field that the rules compare"
    first = candidates[0]
    return f"Nearest is {other} record {first.record}, agreement {first.score:.0%}: {first.sentence}"


def _is_one_of(identities: Iterable[Identity]) -> pl.Expr:
    rows: dict[int, list[int]] = {}
    for file_id, row in identities:
        rows.setdefault(file_id, []).append(row)
    return pl.any_horizontal(
        pl.lit(value=False), *((pl.col(FILE_ID) == one) & pl.col(ROW).is_in(some) for one, some in sorted(rows.items()))
    )


def _rows_of(side: Side, records: Sequence[Identity]) -> Positions:
    found = side.frame.select(_is_one_of(records)).to_series().arg_true()
    if len(found) < len(set(records)):
        known = set(side.frame[found].select(FILE_ID, ROW).iter_rows())
        missing = next(one for one in records if one not in known)
        raise RecordUnknown(
            f"{side.name} has no record {missing[0]}:{missing[1]}", side=side.name, file_id=missing[0], row=missing[1]
        )
    return found.to_numpy()


def _identities(side: Side, rows: Positions) -> list[Identity]:
    return list(zip(side.values(FILE_ID, rows).to_list(), side.values(ROW, rows).to_list(), strict=True))


def _read(side: Side, identities: Sequence[Identity]) -> dict[Identity, Record]:
    """Whole records, from the input."""
    return _records(side.scan.filter(_is_one_of(identities)).select(exactly(*side.columns), FILE_ID, ROW).collect())


def _records(frame: pl.DataFrame) -> dict[Identity, Record]:
    columns = [name for name in frame.columns if name not in (FILE_ID, ROW, REASON)]
    texts = [rendered(frame.get_column(name)).to_list() for name in columns]
    identities = frame.select(FILE_ID, ROW).iter_rows()
    return {
        (file_id, row): Record(file_id, row, dict(zip(columns, (one[at] for one in texts), strict=True)))
        for at, (file_id, row) in enumerate(identities)
    }
