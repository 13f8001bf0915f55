"""The words of rule sets and outcomes, and how they are written in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


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


class Cardinality(StrEnum):
    ONE_TO_ONE = "ONE_TO_ONE"


class Ambiguity(StrEnum):
    """What happens where several records of a side share a key."""

    IN_ORDER = "IN_ORDER"
    """The n-th pairs with the n-th, in the order of record identity."""


class Decision(StrEnum):
    MATCH = "MATCH"


class Wire(BaseModel):
    """Camel case on the wire, snake case in Python; frozen. Unknown keys are ignored, as on the legacy routes."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Strict(Wire):
    """As `Wire`, but unknown keys are refused by name."""

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
