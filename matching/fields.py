"""How two values are judged: keys and the field rules, as a person writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from matching.measures import DateWindowRule, FxRule, NumericRule, RangeRule
from matching.notation import Pattern
from matching.pairs import FieldPair, SideName
from matching.terms import MatchType, Strict

DEFAULT_FUZZY_THRESHOLD = 0.8

Algorithm = Literal["LEVENSHTEIN", "JARO_WINKLER", "TOKEN_SORT", "TOKEN_SET"]


class KeyPair(FieldPair):
    """Fields that must be equal for two records to be partners."""


class ExactRule(FieldPair):
    """Equal texts agree."""

    match_type: Literal[MatchType.EXACT] = MatchType.EXACT


class FuzzyRule(FieldPair):
    """Agrees where the similarity of the lower-cased texts is at least `fuzzy_threshold`.

    LEVENSHTEIN is (L - d) / L, L being the number of code points of the longer text as it is and d the distance. JARO_WINKLER has a
    prefix weight of 0.1. TOKEN_SORT and TOKEN_SET compare the words whatever their order, TOKEN_SET also where one text has words
    that the other lacks; both and JARO_WINKLER are rapidfuzz's, from 0 to 1, to nine decimal places.
    """

    match_type: Literal[MatchType.FUZZY] = MatchType.FUZZY
    algorithm: Algorithm = "LEVENSHTEIN"
    fuzzy_threshold: float = Field(default=DEFAULT_FUZZY_THRESHOLD, ge=0, le=1)


class TextRule(FieldPair):
    """One text contains, starts with or ends with the other, whichever way round, in lower case."""

    match_type: Literal[MatchType.CONTAINS, MatchType.STARTS_WITH, MatchType.ENDS_WITH]


class RegexRule(FieldPair):
    """Agrees where a pattern finds the same in both texts: its group 1, or the whole match of a pattern without groups.

    A text in which it finds nothing agrees with none.
    """

    match_type: Literal[MatchType.REGEX] = MatchType.REGEX
    pattern: Pattern | None = None
    """Of both sides, unless a side has its own."""
    source_pattern: Pattern | None = None
    target_pattern: Pattern | None = None

    def pattern_of(self, side: SideName) -> str:
        """What is looked for in a side's texts."""
        return (self.source_pattern if side == "source" else self.target_pattern) or self.pattern or ""

    @model_validator(mode="after")
    def _both_sides(self) -> Self:
        if not self.pattern_of("source") or not self.pattern_of("target"):
            raise PydanticCustomError("pattern", "give pattern, or both sourcePattern and targetPattern")
        return self


class ValuePair(Strict):
    """A source value and a target value that mean the same."""

    source: str
    target: str


class OneOfRule(FieldPair):
    """Agrees where a table says that two texts mean the same, and where they are equal."""

    match_type: Literal[MatchType.ONE_OF] = MatchType.ONE_OF
    pairs: tuple[ValuePair, ...] = ()
    """What a source value may be in the target; this way round alone."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Values that mean the same on either side; each in one group."""

    @model_validator(mode="after")
    def _a_table(self) -> Self:
        if not self.pairs and not self.groups:
            raise PydanticCustomError("options", "give pairs or groups")
        group_of: dict[str, int] = {}
        for number, group in enumerate(self.groups):
            for value in group:
                if group_of.setdefault(value, number) != number:
                    raise PydanticCustomError("groups", "'{value}' is in two groups", {"value": value[:100]})
        return self


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
    | Annotated[RegexRule, Tag("REGEX")]
    | Annotated[OneOfRule, Tag("ONE_OF")]
    | Annotated[DateWindowRule, Tag("DATE_WINDOW")]
    | Annotated[NumericRule, Tag("NUMERIC")]
    | Annotated[FxRule, Tag("FX")],
    Discriminator(
        _match_type_of,
        custom_error_type="match_type",
        custom_error_message=f"unknown matchType; available: {', '.join(MatchType)}",
    ),
]
"""How the values of a match are judged; `matchType` (default EXACT) says which."""
