"""What a person writes about two inputs: rule sets, passes, field rules, severities. Nothing here runs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from matching.errors import RuleInvalid


class MatchType(StrEnum):
    """How two values are judged; see the class of field rule of the same name."""

    EXACT = "EXACT"
    FUZZY = "FUZZY"
    RANGE = "RANGE"
    CONTAINS = "CONTAINS"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    DATE_WINDOW = "DATE_WINDOW"


LEGACY_MATCH_TYPES = tuple(one for one in MatchType if one is not MatchType.DATE_WINDOW)
"""The match types of a rule set without passes."""


class BreakType(StrEnum):
    """The types of breaks, as they go over the wire."""

    MISSING_SOURCE = "MISSING_SOURCE"
    MISSING_TARGET = "MISSING_TARGET"
    VALUE_MISMATCH = "VALUE_MISMATCH"
    DUPLICATE = "DUPLICATE"
    FORMAT_ERROR = "FORMAT_ERROR"
    TOLERANCE_EXCEEDED = "TOLERANCE_EXCEEDED"
    POTENTIAL_MATCH = "POTENTIAL_MATCH"


class Severity(StrEnum):
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


class Reason(StrEnum):
    """Why a record has no partner."""

    MISSING = "MISSING"
    """No record of the other side has its key."""
    DUPLICATE = "DUPLICATE"
    """The other side has its key, but fewer records of it."""
    NULL_KEY = "NULL_KEY"
    """A key field is null, or blank after its transforms. Only with passes."""


class Transform(StrEnum):
    """A change of a value's text before it is compared; the reported values stay as they were."""

    TRIM = "TRIM"
    """Drops white space (Unicode's) at both ends."""
    UPPER = "UPPER"
    """Unicode upper case."""


class Cardinality(StrEnum):
    ONE_TO_ONE = "ONE_TO_ONE"


class Ambiguity(StrEnum):
    """What happens where several records of a side share a key."""

    IN_ORDER = "IN_ORDER"
    """The n-th pairs with the n-th, in the order of record identity."""


class Decision(StrEnum):
    MATCH = "MATCH"


class _Wire(BaseModel):
    """Camel case on the wire, snake case in Python; frozen. Unknown keys are ignored, as on the legacy routes."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class _Strict(_Wire):
    """As `_Wire`, but unknown keys are refused by name."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        aliases = [field.alias or name for name, field in cls.model_fields.items()]
        unknown = [str(key) for key in value if key not in cls.model_fields and key not in aliases]
        if unknown:
            raise PydanticCustomError(
                "unknown_option",
                "unknown option {unknown}; available: {available}",
                {"unknown": ", ".join(f"'{one}'" for one in unknown), "available": ", ".join(aliases)},
            )
        return value


class FieldMapping(_Wire):
    """A source field and the target field that says the same; key fields find the partner."""

    source_field: str = Field(min_length=1)
    target_field: str = Field(min_length=1)
    is_key: bool = False


class MatchingRule(_Wire):
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


class _FieldPair(_Strict):
    """A source field and a target field (by default of the same name), whose texts go through the same transforms."""

    source_field: str = Field(min_length=1)
    target_field: str = Field(default="", validate_default=False)
    transforms: tuple[Transform, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _same_name(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not (value.get("targetField") or value.get("target_field")):
            name = value.get("sourceField", value.get("source_field"))
            if isinstance(name, str):
                return {**{key: one for key, one in value.items() if key != "target_field"}, "targetField": name}
        return value


class KeyPair(_FieldPair):
    """Fields that must be equal for two records to be partners."""


class ExactRule(_FieldPair):
    """Equal texts agree."""

    match_type: Literal[MatchType.EXACT] = MatchType.EXACT


class FuzzyRule(_FieldPair):
    """Agrees where (L - d) / L >= `fuzzy_threshold`.

    L is the number of code points of the longer text, d the Levenshtein distance of the lower-cased texts.
    """

    match_type: Literal[MatchType.FUZZY] = MatchType.FUZZY
    fuzzy_threshold: float = Field(default=0.8, ge=0, le=1)


class RangeRule(_FieldPair):
    """Numbers no more than `tolerance` apart agree, in exact decimals; identical texts always do."""

    match_type: Literal[MatchType.RANGE] = MatchType.RANGE
    tolerance: Decimal = Field(default=Decimal(0), ge=0)


class TextRule(_FieldPair):
    """One text contains, starts with or ends with the other, whichever way round, in lower case."""

    match_type: Literal[MatchType.CONTAINS, MatchType.STARTS_WITH, MatchType.ENDS_WITH]


class DateWindowRule(_FieldPair):
    """Dates no more than `days_tolerance` calendar days apart, either way, agree.

    ISO dates and date-times; one with an offset is taken in UTC. Any other text agrees with the identical text only.
    """

    match_type: Literal[MatchType.DATE_WINDOW] = MatchType.DATE_WINDOW
    days_tolerance: int = Field(default=0, ge=0, le=3_660_000)


def _match_type_of(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("matchType", value.get("match_type", MatchType.EXACT))
        return str(value)
    return str(getattr(value, "match_type", ""))


FieldRule = Annotated[
    Annotated[ExactRule, Tag("EXACT")]
    | Annotated[FuzzyRule, Tag("FUZZY")]
    | Annotated[RangeRule, Tag("RANGE")]
    | Annotated[TextRule, Tag("CONTAINS")]
    | Annotated[TextRule, Tag("STARTS_WITH")]
    | Annotated[TextRule, Tag("ENDS_WITH")]
    | Annotated[DateWindowRule, Tag("DATE_WINDOW")],
    Discriminator(
        _match_type_of,
        custom_error_type="match_type",
        custom_error_message=f"unknown matchType; available: {', '.join(MatchType)}",
    ),
]
"""How the values of a match are judged; `matchType` (default EXACT) says which."""


class Pass(_Strict):
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


class Severities(_Strict):
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


class RuleSet(_Wire):
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
