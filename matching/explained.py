"""Answers to "why is this a match?" and "why is this not one?", ready for a page: plain values, and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from matching.fields import SideName
from matching.nearness import PartKind


class Answer:
    """A frozen dataclass that JSON can take; names of columns stay as they are."""

    def on_the_wire(self) -> dict[str, Any]:
        """The same as a JSON object in camelCase."""
        return _on_the_wire(self)


def _on_the_wire(value: Any) -> Any:
    if is_dataclass(value):
        return {to_camel(one.name): _on_the_wire(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _on_the_wire(one) for name, one in value.items()}
    return [_on_the_wire(one) for one in value] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class RecordId(Answer):
    """Where a record comes from: the first file that it was in, and its row there."""

    file_id: int
    row: int

    def __str__(self) -> str:
        return f"{self.file_id}:{self.row}"


@dataclass(frozen=True)
class Record(RecordId):
    """A record with all its columns, in the input's order, as texts."""

    values: dict[str, str | None] = field(default_factory=dict[str, str | None])


@dataclass(frozen=True)
class Judgement(Answer):
    """One key or rule on two records, or on two groups of records (then the values are sums, or all that a group has)."""

    kind: PartKind
    match_type: str
    source_field: str
    target_field: str
    source_value: str | None
    target_value: str | None
    """As they came."""
    source_compared: str | None
    target_compared: str | None
    """As they were compared: after the transforms."""
    agrees: bool
    score: float
    """From 0 to 1: how well they agree; of values that don't, how near they are (see docs/explain.md)."""
    delta: str | None = None
    """Target minus source: an exact decimal, or days."""
    beyond: str | None = None
    """By how much the rule is missed: what an amount or a date is off beside what is allowed, or what a similarity lacks."""
    similarity: float | None = None
    """Of texts that don't agree."""
    says: str | None = None
    """What does not agree."""


@dataclass(frozen=True)
class ExplainedMatch(Answer):
    """Everything about one match."""

    match_id: int
    pass_name: str
    score: float
    keys: tuple[Judgement, ...]
    rules: tuple[Judgement, ...]
    """Conditions, then comparisons; in a probabilistic pass its fields first."""
    source: tuple[Record, ...]
    target: tuple[Record, ...]
    weights: dict[str, float]
    """Of a probabilistic pass: log2 of the odds, in all and by field."""
    sentence: str


@dataclass(frozen=True)
class Taken(Answer):
    """A match that a record is in."""

    match_id: int
    pass_name: str
    partners: tuple[RecordId, ...]
    """Its records of the other side."""


@dataclass(frozen=True)
class PassVerdict(Answer):
    """What one pass says of two records."""

    pass_name: str
    fits: bool
    """Whether keys and conditions agree. In a pass that matches groups: those of all records with the key."""
    score: float
    judgements: tuple[Judgement, ...]
    sentence: str


@dataclass(frozen=True)
class Candidate(Answer):
    """A record of the other side that comes near, with what each pass says of the two; `score` is that of the nearest pass."""

    record: Record
    score: float
    taken: Taken | None
    passes: tuple[PassVerdict, ...]
    sentence: str


@dataclass(frozen=True)
class WhyNot(Answer):
    """Why a record has no partner: the engine's reason, and its nearest candidates, the nearest first."""

    side: SideName
    record: Record
    reason: str | None
    """None for a record that has a partner."""
    taken: Taken | None
    """Its match, where it has a partner after all."""
    candidates: tuple[Candidate, ...]
    sentence: str
