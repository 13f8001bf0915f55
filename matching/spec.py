"""What a person writes about two inputs: rule sets, passes, severities. Nothing here runs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from matching.errors import RuleInvalid
from matching.fields import FieldRule, KeyPair
from matching.terms import (
    LEGACY_MATCH_TYPES,
    Ambiguity,
    BreakType,
    Cardinality,
    Decision,
    MatchType,
    Severity,
    Strict,
    Wire,
)


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
    tolerance: Decimal | None = None
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


class Pass(Strict):
    """One matching strategy. Records whose keys are null or blank after their transforms are set aside."""

    name: str = Field(default="pass 1", min_length=1)
    keys: tuple[KeyPair, ...]
    comparisons: tuple[FieldRule, ...] = ()
    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    ambiguity: Ambiguity = Ambiguity.IN_ORDER
    decision: Decision = Decision.MATCH

    @field_validator("keys")
    @classmethod
    def _some_key(cls, value: tuple[KeyPair, ...]) -> tuple[KeyPair, ...]:
        if not value:
            raise PydanticCustomError("keys", "a pass needs at least one key")
        return value


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


class RuleSet(Wire):
    """Field mappings and matching rules with the legacy semantics, or `passes` in their place.

    With passes, field mappings and matching rules take no part in matching.
    """

    name: str | None = None
    field_mappings: tuple[FieldMapping, ...] = ()
    matching_rules: tuple[MatchingRule, ...] = ()
    passes: tuple[Pass, ...] | None = None
    """None or empty: the legacy semantics."""
    severities: Severities | None = None

    @field_validator("passes")
    @classmethod
    def _one_pass(cls, value: tuple[Pass, ...] | None) -> tuple[Pass, ...] | None:
        if value and len(value) > 1:
            raise PydanticCustomError("passes", "a rule set has one pass; {given} were given", {"given": len(value)})
        return value


def rule_set_of(definition: Mapping[str, Any]) -> RuleSet:
    """The rule set that a JSON object says.

    Raises RuleInvalid, whose `fields` map paths such as `passes[0].keys[1].transforms` to texts.
    """
    try:
        return RuleSet.model_validate(definition)
    except ValidationError as error:
        fields = validation_fields(error)
        message = "; ".join(f"{path}: {text}" if path else text for path, text in fields.items())
        raise RuleInvalid(f"Rule set is not valid: {message}", fields=fields) from error


def validation_fields(error: ValidationError) -> dict[str, str]:
    """A validation error's texts by JSON path."""
    fields: dict[str, str] = {}
    tags = {*MatchType}
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
