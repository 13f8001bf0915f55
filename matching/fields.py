"""How two values are judged: field pairs, keys and the field rules, as a person writes them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from matching.terms import MatchType, Strict
from matching.transforms import Transform

DEFAULT_FUZZY_THRESHOLD = 0.8

SideName = Literal["source", "target"]


class FieldPair(Strict):
    """A source field and a target field (by default of the same name).

    Each side's value goes through that side's own transforms first, then through those of both.
    """

    source_field: str = Field(min_length=1)
    target_field: str = Field(default="", validate_default=False)
    source_transforms: tuple[Transform, ...] = ()
    target_transforms: tuple[Transform, ...] = ()
    transforms: tuple[Transform, ...] = ()

    def field_of(self, side: SideName) -> str:
        """The field that is compared on a side."""
        return self.source_field if side == "source" else self.target_field

    def chain_of(self, side: SideName) -> tuple[Transform, ...]:
        """All that a side's values go through, in order."""
        own = self.source_transforms if side == "source" else self.target_transforms
        return (*own, *self.transforms)

    @property
    def source_fields(self) -> tuple[str, ...]:
        """Every source column that is read, each once, the compared one first."""
        return self._fields_of("source")

    @property
    def target_fields(self) -> tuple[str, ...]:
        """Every target column that is read, each once, the compared one first."""
        return self._fields_of("target")

    def _fields_of(self, side: SideName) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.field_of(side), *self._also_read(side))))

    def _also_read(self, side: SideName) -> tuple[str, ...]:
        """What a rule reads on a side besides the compared field."""
        return ()

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
    fuzzy_threshold: float = Field(default=DEFAULT_FUZZY_THRESHOLD, ge=0, le=1)


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
