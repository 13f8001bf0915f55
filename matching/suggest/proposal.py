"""From two frames alone: keys, field mappings and rules, each with how sure it is and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from matching.errors import ColumnNotFound
from matching.suggest.joined import Joined, agreement
from matching.suggest.key_search import ENOUGH, KeyCandidate, bring_together, find_keys, given_key, percent
from matching.suggest.overlaps import Overlap, overlap, overlaps, values_of
from matching.suggest.profiles import Kind, Table, read_tables
from matching.suggest.rule_search import FoundRule, find_rule, key_chain, sureness
from matching.terms import Cardinality, MatchType

_MAPPED = 0.5
"""The least score of a proposed mapping, inclusive."""

_MAPPED_UNSEEN = 0.6
"""The same where no key brings records together."""

_NAMED = 0.75
"""Names this much alike are enough where values can't tell."""

_FEWEST_PAIRS = 10
_MOST_COMPARED = 400
"""At most so many pairs of columns are compared on joined records, the likeliest first."""


@dataclass(frozen=True)
class GivenMapping:
    """A source and a target field that somebody has mapped."""

    source_field: str
    target_field: str
    is_key: bool = False


@dataclass(frozen=True)
class KeySuggestion:
    """Fields that find the partner of a record. `confidence` 0 to 1; 1 only where all records were looked at and all fits."""

    fields: tuple[tuple[str, str], ...]
    cardinality: Cardinality
    confidence: float
    reason: str
    is_by_amount: bool = False
    """An amount is part of it: records of one key are told apart by their dates, where they have some."""


@dataclass(frozen=True)
class MappingSuggestion:
    """A source field and a target field that say the same."""

    source_field: str
    target_field: str
    is_key: bool
    confidence: float
    reason: str
    transforms: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuleSuggestion:
    """How the values of a mapping are to be judged; of a key field always EXACT.

    `confidence` is the share of joined pairs that agree under the rule, 1 only where all do and all records were looked at.
    """

    source_field: str
    target_field: str
    is_key: bool
    confidence: float
    rule: FoundRule

    @property
    def name(self) -> str:
        return f"{self.source_field} {self.rule.match_type.value}"

    @property
    def reason(self) -> str:
        return self.rule.reason

    @property
    def tolerance(self) -> Decimal | None:
        given = self.rule.options.get("tolerance")
        return None if given is None else Decimal(given)

    @property
    def fuzzy_threshold(self) -> float | None:
        return self.rule.options.get("fuzzyThreshold")


@dataclass(frozen=True)
class Suggestion:
    """What two frames suggest.

    `keys` are the key and its alternatives, the surest first, empty where none is sure enough. `mappings` are one-to-one, key
    fields first. `rules` are there only where a key brought records together. `explanation` says what was looked at, and why
    there is no key.
    """

    keys: tuple[KeySuggestion, ...]
    mappings: tuple[MappingSuggestion, ...]
    rules: tuple[RuleSuggestion, ...]
    explanation: str

    def rule_set(self, name: str = "Suggested") -> dict[str, Any] | None:
        """A rule set with one pass as JSON; None without a key."""
        if not self.keys:
            return None
        keys = [_written(one) for one in self.rules if one.is_key]
        dates = [
            one for one in self.rules if self.keys[0].is_by_amount and one.rule.match_type is MatchType.DATE_WINDOW
        ]
        only = {
            "name": "suggested key",
            "keys": keys,
            **({"conditions": [{**_written(one), **one.rule.wire()} for one in dates]} if dates else {}),
            "comparisons": [
                {**_written(one), **one.rule.wire()} for one in self.rules if not one.is_key and one not in dates
            ],
        }
        if self.keys[0].cardinality is not Cardinality.ONE_TO_ONE:
            only["cardinality"] = self.keys[0].cardinality.value
        return {"name": name, "description": self.explanation, "passes": [only]}


def _written(one: RuleSuggestion) -> dict[str, Any]:
    fields = {"sourceField": one.source_field, "targetField": one.target_field}
    chain = {"transforms": list(one.rule.transforms)} if one.is_key and one.rule.transforms else {}
    return {**fields, **chain}


def suggest(
    source: pl.LazyFrame | pl.DataFrame,
    target: pl.LazyFrame | pl.DataFrame,
    mappings: Sequence[GivenMapping] | None = None,
) -> Suggestion:
    """Proposes keys, mappings and rules. What is proposed follows from the values, not from the order of rows.

    Of tables with more than 40,000 rows samples are looked at, chosen by the hashes of values so that both sides keep the same
    ones. With `mappings` those are taken as they are (with their keys, if any is one) and only rules are proposed. Identity
    columns are left out. Raises ColumnNotFound for a mapping on a column that is not there.
    """
    one, other = read_tables(source.lazy(), target.lazy())
    if mappings is not None:
        for table, fields in ((one, [m.source_field for m in mappings]), (other, [m.target_field for m in mappings])):
            _known(table, fields)
    source_values, target_values = values_of(one), values_of(other)
    pairs = overlaps(source_values, target_values)
    if mappings is None:
        found = find_keys(one, other, pairs)
        sure = _joined(one, other, [key for key in found if key.confidence >= ENOUGH])
        mapped = _mapped(one, other, pairs, sure[0] if sure else None)
    else:
        by_field = {value.profile.field: value for value in source_values}, {v.profile.field: v for v in target_values}
        chosen = [
            (given, overlap(by_field[0][given.source_field], by_field[1][given.target_field]))
            for given in mappings
            if given.source_field in by_field[0] and given.target_field in by_field[1]
        ]
        own = [pair for _, pair in chosen]
        parts = [pair for given, pair in chosen if given.is_key]
        found = [given_key(one, other, parts, own)] if parts else find_keys(one, other, own)
        sure = _joined(one, other, found[:1] if parts else [key for key in found if key.confidence >= ENOUGH])
        keyed = sure[0].fields if sure else ()
        mapped = [_Mapped(pair, pair.score, "given") for pair in own if pair.fields not in keyed]
    return _suggestion(one, other, found, sure, mapped, is_given=mappings is not None)


def _joined(source: Table, target: Table, keys: list[KeyCandidate]) -> list[KeyCandidate]:
    """The keys, the first of them with the records that it brings together."""
    return [replace(key, joined=bring_together(source, target, key)) for key in keys[:1]] + keys[1:]


def _known(table: Table, fields: Sequence[str]) -> None:
    available = [one.field for one in table.profiles]
    missing = [one for one in dict.fromkeys(fields) if one not in available]
    if missing:
        raise ColumnNotFound(table.side, missing, available)


@dataclass(frozen=True)
class _Mapped:
    pair: Overlap
    score: float
    reason: str


def _mapped(source: Table, target: Table, pairs: Sequence[Overlap], key: KeyCandidate | None) -> list[_Mapped]:
    """The one-to-one assignment of columns with the highest total score, without the key's columns."""
    taken = ({one for one, _ in key.fields}, {other for _, other in key.fields}) if key else (set[str](), set[str]())
    # Imported here: it takes longer to load than most suggestions take.
    from scipy.optimize import linear_sum_assignment

    free = [one for one in pairs if one.fields[0] not in taken[0] and one.fields[1] not in taken[1]]
    free = sorted(free, key=lambda one: (-one.score, one.fields))
    joined = bring_together(source, target, key) if key else None
    judged = [_judged(one, joined if number < _MOST_COMPARED else None) for number, one in enumerate(free)]
    judged = [one for one in judged if one is not None]
    sources = sorted({one.pair.fields[0] for one in judged})
    targets = sorted({one.pair.fields[1] for one in judged})
    scores = np.zeros((len(sources), len(targets)))
    by_place: dict[tuple[int, int], _Mapped] = {}
    for one in judged:
        place = sources.index(one.pair.fields[0]), targets.index(one.pair.fields[1])
        scores[place] = one.score
        by_place[place] = one
    chosen = zip(*linear_sum_assignment(scores, maximize=True), strict=True) if judged else ()
    order = {one.field: number for number, one in enumerate(source.profiles)}
    found = [by_place[place] for place in chosen if place in by_place]
    return sorted(found, key=lambda one: order[one.pair.fields[0]])


def _judged(pair: Overlap, joined: Joined | None) -> _Mapped | None:
    """A pair with its score, or None where too little speaks for it."""
    score, told, reason = pair.score, 1.5 * pair.weight, _in_words(pair)
    if joined is None:
        shared = max(pair.contained, pair.covered) > 0 or pair.source.profile.kind in (Kind.DATE, Kind.DECIMAL)
        if score < _MAPPED_UNSEEN or not shared:
            return None
    else:
        agreed = agreement(joined, pair.source.profile, pair.target.profile)
        if agreed.pairs >= _FEWEST_PAIRS:
            if agreed.agreeing < _MAPPED:
                return None
            weight = 3 * agreed.weight
            before = 1.2 + 1.5 * pair.weight
            score = (before * score + weight * agreed.lift) / (before + weight)
            told += weight
            reason += f"; {percent(agreed.agreeing)} of {agreed.pairs:,} joined pairs agree roughly"
    if score < _MAPPED or (pair.name < _NAMED and told < 0.5):
        return None
    return _Mapped(pair, score, reason)


def _in_words(pair: Overlap) -> str:
    if pair.name == 1:
        names = "same name"
    elif pair.name >= _MAPPED:
        names = f"similar names ({pair.name:.2f})"
    else:
        names = "names differ"
    profiles = pair.source.profile, pair.target.profile
    kinds = list(dict.fromkeys(one.kind.value for one in profiles))
    said = f"{percent(pair.contained)} of source values are found in target"
    return f"{names}; both {kinds[0]}; {said}" if len(kinds) == 1 else f"{names}; {' and '.join(kinds)}; {said}"


def _suggestion(
    source: Table,
    target: Table,
    found: Sequence[KeyCandidate],
    sure: Sequence[KeyCandidate],
    mapped: Sequence[_Mapped],
    *,
    is_given: bool,
) -> Suggestion:
    looked_at = f"{source.height:,} source and {target.height:,} target records"
    looked_at += "" if source.share == 1 else f", {percent(source.share)} of them sampled by their values"
    if not sure:
        unkeyed = tuple(
            MappingSuggestion(*one.pair.fields, False, round(min(one.score, 0.9), 4), one.reason) for one in mapped
        )
        return Suggestion((), unkeyed, (), f"No key: {_why_none(found)} ({looked_at})")
    key = sure[0]
    joined = bring_together(source, target, key)
    mappings: list[MappingSuggestion] = []
    rules: list[RuleSuggestion] = []
    for part in key.parts:
        chain, equal = key_chain(joined, part.source.profile, part.target.profile)
        confidence = _of_key(key)
        mappings.append(MappingSuggestion(*part.fields, True, confidence, key.in_words(), chain))
        said = f" after {', '.join(chain)}" if chain else ""
        rule = FoundRule(MatchType.EXACT, equal, joined.height, f"key: {key.in_words()}{said}", transforms=chain)
        rules.append(RuleSuggestion(*part.fields, True, confidence, rule))
    for one in mapped:
        rule = find_rule(joined, one.pair.source.profile, one.pair.target.profile)
        if rule is None and not is_given:
            continue
        confidence = round(min(one.score, 0.99), 4)
        if rule is not None:
            rules.append(
                RuleSuggestion(*one.pair.fields, False, sureness(rule.agreeing, rule.pairs, is_all=joined.is_all), rule)
            )
            if rule.agreeing == 1:
                confidence = max(confidence, rules[-1].confidence)
        mappings.append(MappingSuggestion(*one.pair.fields, False, confidence, one.reason, _names(rule)))
    keys = tuple(
        KeySuggestion(one.fields, one.cardinality, _of_key(one), one.in_words(), one.is_by_amount) for one in sure
    )
    named = ", ".join(f"{one} = {other}" for one, other in key.fields)
    explanation = f"Key {named}: {key.in_words()} ({looked_at}; rules from {joined.height:,} joined pairs)"
    return Suggestion(keys, tuple(mappings), tuple(rules), explanation)


def _names(rule: FoundRule | None) -> tuple[str, ...]:
    return tuple(one for one in rule.transforms if isinstance(one, str)) if rule is not None else ()


def _of_key(key: KeyCandidate) -> float:
    return 1.0 if key.confidence >= 1 and key.measured.is_all else round(min(key.confidence, 0.99), 4)


def _why_none(found: Sequence[KeyCandidate]) -> str:
    if not found:
        return "no two columns share enough values that tell records apart"
    best = found[0]
    named = ", ".join(f"{one} = {other}" for one, other in best.fields)
    doubts = f"; confidence {best.confidence:.2f}, {ENOUGH} is needed"
    by_chance = "; numbers of one range meet like that anyway" if max(one.chance for one in best.parts) > 0.2 else ""
    return f"the best candidate is {named}, {best.measured.in_words()}{by_chance}{doubts}"
