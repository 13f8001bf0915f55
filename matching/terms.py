"""The words of rule sets and outcomes, and how they are written in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

ExactNumber = Annotated[Decimal, Field(max_digits=60)]
"""A number of a rule set: exact, and short enough to be written out."""


class MatchType(StrEnum):
    """How two values are judged; see the class of field rule of the same name."""

    EXACT = "EXACT"
    FUZZY = "FUZZY"
    RANGE = "RANGE"
    CONTAINS = "CONTAINS"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    DATE_WINDOW = "DATE_WINDOW"
    NUMERIC = "NUMERIC"
    REGEX = "REGEX"
    ONE_OF = "ONE_OF"
    FX = "FX"


LEGACY_MATCH_TYPES = tuple(MatchType)[:6]
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
    """Why a record has no partner. Of several the last one here that applies is given."""

    FORMAT_ERROR = "FORMAT_ERROR"
    """A key field has a value, and nothing is left of it after its transforms. Only with passes."""
    NULL_KEY = "NULL_KEY"
    """A key field is null or blank. Only with passes, and only where no pass could look at the record."""
    MISSING = "MISSING"
    """No record of the other side has its key, or none that its conditions allow."""
    DUPLICATE = "DUPLICATE"
    """The other side has its key, but fewer records of it."""
    SEARCH_TRUNCATED = "SEARCH_TRUNCATED"
    """A search for its partners was stopped by its budget, or its amount is too large for a search of sums."""
    AMBIGUOUS = "AMBIGUOUS"
    """It has several possible partners, and nothing that decides between them."""


class Cardinality(StrEnum):
    """How many records of the source settle with how many of the target."""

    ONE_TO_ONE = "ONE_TO_ONE"
    ONE_TO_MANY = "ONE_TO_MANY"
    MANY_TO_ONE = "MANY_TO_ONE"
    MANY_TO_MANY = "MANY_TO_MANY"


class Grouping(StrEnum):
    """Which records of a many side belong together."""

    BY_KEY = "BY_KEY"
    """All that share the key."""
    SUBSET = "SUBSET"
    """Those whose amounts sum up, searched for within a budget."""


class Ambiguity(StrEnum):
    """What happens where a record has several possible partners."""

    BEST = "BEST"
    """The assignment with the highest total score; of equal ones the n-th goes with the n-th."""
    REVIEW = "REVIEW"
    """Nobody is matched; each candidate is a POTENTIAL_MATCH."""
    IN_ORDER = "IN_ORDER"
    """The n-th pairs with the n-th, in the order of record identity."""


class Decision(StrEnum):
    """What a pass does with what it finds."""

    MATCH = "MATCH"
    SUGGEST = "SUGGEST"
    """A POTENTIAL_MATCH for a person to confirm; later passes still see the records."""


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
