"""What a person writes about two inputs: rule sets, passes, severities. Nothing here runs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from matching.errors import RuleInvalid
from matching.fields import FieldRule, KeyPair
from matching.linkage_options import Linkage
from matching.terms import (
    LEGACY_MATCH_TYPES,
    Ambiguity,
    BreakType,
    Cardinality,
    Decision,
    ExactNumber,
    Grouping,
    MatchType,
    Severity,
    Strict,
    Wire,
)
from matching.transforms import TRANSFORM_TAGS


class FieldMapping(Wire):
    """A source field and the target field that says the same; key fields find the partner."""

    source_field: str = Field(min_length=1)
    target_field: str = Field(min_length=1)
    is_key: bool = False


class MatchingRule(Wire):
    """How the fields of the mapping with the same `source_field` are judged, in a rule set without passes.

    The first active rule on a source field counts; its own target field, name and priority don't.
    """

    name: str = ""
    source_field: str = Field(min_length=1)
    target_field: str = ""
    match_type: MatchType
    tolerance: ExactNumber | None = None
    """RANGE: the largest absolute difference that agrees, inclusive; None is 0."""
    fuzzy_threshold: float | None = None
    """FUZZY: the smallest similarity that agrees, inclusive; None is 0.8. Above 1 nothing agrees but two nulls."""
    priority: int = 0
    active: bool = True

    @model_validator(mode="after")
    def _legacy_type(self) -> Self:
        if self.match_type not in LEGACY_MATCH_TYPES:
            raise PydanticCustomError(
                "match_type",
                "matchType {given} is for comparisons of a pass; available here: {available}",
                {"given": self.match_type.value, "available": ", ".join(LEGACY_MATCH_TYPES)},
            )
        return self


MEASURED = (MatchType.RANGE, MatchType.NUMERIC, MatchType.FX)
"""Match types whose values are amounts: in a pass with groups they judge sums."""

SUMMED = (MatchType.RANGE, MatchType.NUMERIC)
"""Match types that, as the condition of a search for subsets, say what sums up."""

FINDING = (MatchType.EXACT, MatchType.RANGE, MatchType.NUMERIC, MatchType.DATE_WINDOW)
"""Match types that, as conditions, can find candidates without a key."""


class SubsetSearch(Strict):
    """Bounds of a search for the records whose amounts sum up to one amount."""

    min_size: int = Field(default=1, ge=1)
    max_size: int | None = Field(default=None, ge=1)
    fees: ExactNumber = Field(default=Decimal(0), ge=0)
    """What may have been withheld: the sum may be this much more than the one amount, beside the tolerance. Inclusive."""
    maximum_chance: float | None = Field(default=None, ge=0)
    """A solution is only suggested where so many as good were to be expected by chance, or more. None: however many."""
    budget: int = Field(default=8_388_608, ge=1)
    """Combinations that may be looked at for one amount; a search that stops here is SEARCH_TRUNCATED."""

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.max_size is not None and self.max_size < self.min_size:
            raise PydanticCustomError("sizes", "maxSize is less than minSize")
        return self


class Pass(Strict):
    """One matching strategy. Records whose keys are null or blank after their transforms are left to later passes."""

    name: str = ""
    """Unique in a rule set; by default `pass` and its number."""
    keys: tuple[KeyPair, ...] = ()
    """Fields that must be equal: they find candidates."""
    conditions: tuple[FieldRule, ...] = ()
    """What a candidate must satisfy to become a match."""
    comparisons: tuple[FieldRule, ...] = ()
    """What is judged on a match: a disagreement is a break, the match stands."""
    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    grouping: Grouping = Grouping.BY_KEY
    """Of a many side. With groups, amounts (RANGE, NUMERIC) are judged as sums, dates by the earliest and the latest."""
    ambiguity: Ambiguity | None = None
    """None: IN_ORDER where keys alone find the partners, BEST where there are conditions."""
    decision: Decision = Decision.MATCH
    subset: SubsetSearch | None = None
    linkage: Linkage | None = None
    """A probabilistic pass: weights in place of keys find the candidates, and rank them."""

    @property
    def settling(self) -> Ambiguity:
        """How ambiguity is settled."""
        return self.ambiguity or (Ambiguity.BEST if self.conditions or self.linkage else Ambiguity.IN_ORDER)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.linkage is not None:
            self._check_linkage()
        elif not self.keys and not any(one.match_type in FINDING for one in self.conditions):
            raise PydanticCustomError(
                "keys",
                "a pass needs at least one key, or a condition that finds candidates: {finding}",
                {"finding": ", ".join(FINDING)},
            )
        if self.cardinality is Cardinality.ONE_TO_ONE and self.grouping is Grouping.SUBSET:
            raise PydanticCustomError("grouping", "grouping SUBSET needs cardinality ONE_TO_MANY or MANY_TO_ONE")
        if self.grouping is Grouping.SUBSET:
            self._check_subset()
        elif self.subset is not None:
            raise PydanticCustomError("subset", "subset is for grouping SUBSET")
        elif self.cardinality is not Cardinality.ONE_TO_ONE and not self.keys:
            raise PydanticCustomError("keys", "grouping BY_KEY needs at least one key")
        return self

    def _check_linkage(self) -> None:
        if self.keys:
            raise PydanticCustomError("keys", "a pass with linkage has no keys: its blocking finds the candidates")
        if self.cardinality is not Cardinality.ONE_TO_ONE:
            raise PydanticCustomError("cardinality", "linkage needs cardinality ONE_TO_ONE")

    def _check_subset(self) -> None:
        if self.cardinality is Cardinality.MANY_TO_MANY:
            raise PydanticCustomError("cardinality", "grouping SUBSET needs cardinality ONE_TO_MANY or MANY_TO_ONE")
        amounts = [one for one in self.conditions if one.match_type in SUMMED]
        if len(amounts) != 1:
            raise PydanticCustomError(
                "conditions",
                "grouping SUBSET needs exactly one RANGE or NUMERIC condition, which says what sums up; {given} were given",
                {"given": len(amounts)},
            )


class Severities(Strict):
    """Severities by break type, and by source field for VALUE_MISMATCH (the field's goes first). None: the default."""

    model_config = ConfigDict(alias_generator=lambda name: name.upper() if name != "fields" else name)

    missing_source: Severity | None = None
    missing_target: Severity | None = None
    value_mismatch: Severity | None = None
    duplicate: Severity | None = None
    format_error: Severity | None = None
    tolerance_exceeded: Severity | None = None
    potential_match: Severity | None = None
    fields: dict[str, Severity] = Field(default_factory=dict)

    def overridden_by(self, other: Severities | None) -> Severities:
        """These severities with those that `other` gives in their place, key by key."""
        if other is None:
            return self
        given = {name: one for name, one in other if one is not None and name != "fields"}
        return self.model_copy(update={**given, "fields": {**self.fields, **other.fields}})

    def of(self, break_type: BreakType, default: Severity, field: str | None = None) -> Severity:
        """The severity of a break; `field` is the source field of a VALUE_MISMATCH."""
        if break_type is BreakType.VALUE_MISMATCH and field in self.fields:
            return self.fields[field]
        return getattr(self, break_type.lower()) or default


class Amount(Strict):
    """The fields that a rule set's totals sum, and their currencies."""

    source_field: str = Field(min_length=1)
    target_field: str = Field(min_length=1)
    source_currency_field: str | None = None
    target_currency_field: str | None = None


class PotentialMatches(Strict):
    """Asks for a POTENTIAL_MATCH break for each record without a partner that has a near one."""

    nearest: int = Field(default=1, ge=1, le=20)
    """At most so many candidates per record of the source."""
    minimum_score: float = Field(default=0.65, ge=0, le=1)
    """The least score of a candidate, inclusive."""


class RuleSet(Wire):
    """Field mappings and matching rules with the legacy semantics, or `passes` in their place.

    With passes, field mappings and matching rules take no part in matching.
    """

    name: str | None = None
    field_mappings: tuple[FieldMapping, ...] = ()
    matching_rules: tuple[MatchingRule, ...] = ()
    passes: tuple[Pass, ...] | None = None
    """None or empty: the legacy semantics. They run in order; what one matches, the next doesn't see."""
    severities: Severities | None = None
    amount: Amount | None = None
    potential_matches: PotentialMatches | None = None
    """Only with passes."""

    @field_validator("passes")
    @classmethod
    def _own_names(cls, value: tuple[Pass, ...] | None) -> tuple[Pass, ...] | None:
        named = [
            one if one.name else one.model_copy(update={"name": f"pass {number}"})
            for number, one in enumerate(value or (), start=1)
        ]
        names = [one.name for one in named]
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise PydanticCustomError("passes", "two passes are named '{name}'", {"name": doubled})
        return tuple(named) or None


Kind = TypeVar("Kind", bound=BaseModel)


def rule_set_of(definition: Mapping[str, Any]) -> RuleSet:
    """The rule set that a JSON object says.

    Raises RuleInvalid, whose `fields` map paths such as `passes[0].keys[1].transforms` to texts.
    """
    return validated(RuleSet, definition)


def validated(kind: type[Kind], definition: Mapping[str, Any], called: str = "Rule set") -> Kind:
    """As `rule_set_of`, of another class, `called` so in the message."""
    try:
        return kind.model_validate(definition)
    except ValidationError as error:
        fields = validation_fields(error)
        message = "; ".join(f"{path}: {text}" if path else text for path, text in fields.items())
        raise RuleInvalid(f"{called} is not valid: {message}", fields=fields) from error


def validation_fields(error: ValidationError) -> dict[str, str]:
    """A validation error's texts by JSON path."""
    fields: dict[str, str] = {}
    tags = {*MatchType, *TRANSFORM_TAGS}
    for problem in error.errors(include_url=False):
        path = ""
        for part in problem["loc"]:
            if isinstance(part, int):
                path += f"[{part}]"
            elif part not in tags:
                path += f".{part}" if path else part
        fields[path] = _TEXTS.get(problem["type"], problem["msg"])
    return fields


_TEXTS = {"tuple_type": "Input should be a list", "model_type": "Input should be an object"}
