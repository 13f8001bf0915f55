"""How two values are judged: field pairs, keys and the field rules, as a person writes them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from matching.terms import MatchType, Strict
from matching.transforms import Transform


class FieldPair(Strict):
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


class KeyPair(FieldPair):
    """Fields that must be equal for two records to be partners."""


class ExactRule(FieldPair):
    """Equal texts agree."""

    match_type: Literal[MatchType.EXACT] = MatchType.EXACT


class FuzzyRule(FieldPair):
    """Agrees where (L - d) / L >= `fuzzy_threshold`.

    L is the number of code points of the longer text, d the Levenshtein distance of the lower-cased texts.
    """

    match_type: Literal[MatchType.FUZZY] = MatchType.FUZZY
    fuzzy_threshold: float = Field(default=0.8, ge=0, le=1)


class RangeRule(FieldPair):
    """Numbers no more than `tolerance` apart agree, in exact decimals; identical texts always do."""

    match_type: Literal[MatchType.RANGE] = MatchType.RANGE
    tolerance: Decimal = Field(default=Decimal(0), ge=0)


class TextRule(FieldPair):
    """One text contains, starts with or ends with the other, whichever way round, in lower case."""

    match_type: Literal[MatchType.CONTAINS, MatchType.STARTS_WITH, MatchType.ENDS_WITH]


class DateWindowRule(FieldPair):
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
