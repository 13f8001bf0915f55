"""Changes of a value's text before it is compared, as a person writes them; the reported values stay as they were.

What a transform can't do (no number, no date, no match) gives null, and null stays null. Transforms that give numbers give them
as exact decimals without exponent and without zeros that count for nothing: `1234.5`, `-0.05`, `0`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from matching.currencies import MINOR_UNITS
from matching.notation import (
    DateFormat,
    DecimalSign,
    Locale,
    NumberStyle,
    Pattern,
    number_style,
    pattern_groups,
    refuse_both,
)
from matching.terms import Strict

PlainName = Literal[
    "TRIM",
    "COLLAPSE_SPACES",
    "UPPER",
    "LOWER",
    "STRIP_PUNCTUATION",
    "STRIP_LEADING_ZEROS",
    "DIGITS_ONLY",
    "NFKC",
    "REMOVE_ACCENTS",
    "NEGATE",
    "ABSOLUTE",
]

Rounding = Literal["HALF_EVEN", "HALF_UP", "HALF_DOWN", "UP", "DOWN", "CEILING", "FLOOR"]
"""As Python's decimal has them: UP and HALF_UP go away from zero."""


def _known_currency(code: str) -> str:
    if code not in MINOR_UNITS:
        raise PydanticCustomError(
            "currency",
            "unknown currency '{given}'; available: {available}",
            {"given": code[:100], "available": ", ".join(MINOR_UNITS)},
        )
    return code


CurrencyCode = Annotated[str, AfterValidator(_known_currency)]
"""Three capital letters of ISO 4217."""


class Plain(Strict):
    """A transform without options: on the wire its name alone, or `{"type": name}`.

    TRIM drops white space at both ends; COLLAPSE_SPACES makes every run of white space one space; UPPER and LOWER are Unicode's;
    STRIP_PUNCTUATION drops what Unicode calls punctuation (categories P); STRIP_LEADING_ZEROS leaves one zero of nothing but
    zeros; DIGITS_ONLY keeps 0 to 9; NFKC is that normal form; REMOVE_ACCENTS drops combining marks (category Mn) of the
    decomposed text; NEGATE and ABSOLUTE change a number's sign.
    """

    type: PlainName

    @model_serializer
    def _as_name(self) -> str:
        return self.type


class RegexExtract(Strict):
    """What the first match of a pattern has in a group; null without a match, or where the group takes no part in it."""

    type: Literal["REGEX_EXTRACT"] = "REGEX_EXTRACT"
    pattern: Pattern
    group: int | None = Field(default=None, ge=0)
    """0 is the whole match. None: group 1, or the whole match of a pattern without groups."""

    @model_validator(mode="after")
    def _group_is_there(self) -> Self:
        groups = len(pattern_groups(self.pattern))
        if self.group is not None and self.group > groups:
            raise PydanticCustomError(
                "group",
                "the pattern has no group {given}; available: 0 to {groups}",
                {"given": self.group, "groups": groups},
            )
        return self


class RegexReplace(Strict):
    """Replaces every match of a pattern, or the first alone."""

    type: Literal["REGEX_REPLACE"] = "REGEX_REPLACE"
    pattern: Pattern
    replacement: str = ""
    """`$1` or `${1}` is group 1, `${name}` a named one, `$$` a dollar sign."""
    all: bool = True

    @model_validator(mode="after")
    def _groups_are_there(self) -> Self:
        names = pattern_groups(self.pattern)
        known = {"0", *names, *(str(number + 1) for number in range(len(names)))}
        for braced, bare in re.findall(r"\$(?:\$|\{([^}]*)\}|([0-9A-Za-z_]+))", self.replacement):
            name = braced or bare
            if name and name not in known:
                raise PydanticCustomError(
                    "replacement",
                    "the pattern has no group '{given}'; available: {known}; where a letter follows, put it in braces: {example}",
                    {"given": name, "known": ", ".join(sorted(known)), "example": "${1}"},
                )
        return self


class Substring(Strict):
    """Characters (code points) from a place on; null where the text is too short to start there."""

    type: Literal["SUBSTRING"] = "SUBSTRING"
    start: int = Field(ge=-10_000_000, le=10_000_000)
    """From 0; negative ones count from the end, -1 being the last character."""
    length: int | None = Field(default=None, ge=1)
    """At most so many; None: to the end."""


class SplitTake(Strict):
    """One part of a text that is cut at a separator; null where there are not so many."""

    type: Literal["SPLIT_TAKE"] = "SPLIT_TAKE"
    separator: str = Field(min_length=1)
    """Literally, not a pattern."""
    index: int = Field(ge=-10_000_000, le=10_000_000)
    """From 0; negative ones count from the end, -1 being the last part."""


class Concat(Strict):
    """The text, then those of other fields of the same record as they came. Nulls are left out; null where all are."""

    type: Literal["CONCAT"] = "CONCAT"
    fields: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    separator: str = ""


class MapTable(Strict):
    """What a table says for the text."""

    type: Literal["MAP"] = "MAP"
    table: dict[str, str] = Field(min_length=1)
    default: Literal["KEEP", "NULL"] = "KEEP"
    """Texts that are not in the table stay as they are, or become null."""


class ParseNumber(Strict):
    """The number that the text says, with currency, sign, percent sign or grouping around it or without, as an exact decimal."""

    type: Literal["PARSE_NUMBER"] = "PARSE_NUMBER"
    locale: Locale | None = None
    decimal: DecimalSign | None = None
    """By default the locale's, or a point."""
    grouping: Literal[".", ",", " ", "'", ""] | None = None
    """None: the other of point and comma may stand between thousands. White space and apostrophes always may."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        refuse_both("locale", self.locale, "decimal", self.decimal)
        if self.grouping is not None and self.grouping == self.style.decimal:
            raise PydanticCustomError("grouping", "decimal and grouping are the same")
        return self

    @property
    def style(self) -> NumberStyle:
        return number_style(self.locale, self.decimal, self.grouping)


class ParseDate(Strict):
    """The day that the text says, as an ISO date; one with an offset in UTC. The time of day is dropped."""

    type: Literal["PARSE_DATE"] = "PARSE_DATE"
    formats: tuple[DateFormat, ...] = ()
    """The first that fits counts; ISO dates and date-times go after them."""


class Round(Strict):
    """A number rounded to decimal places; -2 rounds to hundreds."""

    type: Literal["ROUND"] = "ROUND"
    places: int = Field(default=0, ge=-18, le=18)
    mode: Rounding = "HALF_EVEN"


class MinorUnits(Strict):
    """An amount as a whole number of its currency's minor units (ISO 4217): 12.5 USD is 1250.

    The currency is the one given, or that of the field, or the one in the text. Null where it is unknown, or where the amount has
    parts of a minor unit.
    """

    type: Literal["MINOR_UNITS"] = "MINOR_UNITS"
    currency: CurrencyCode | None = None
    currency_field: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _once(self) -> Self:
        refuse_both("currency", self.currency, "currencyField", self.currency_field)
        return self


_WITH_OPTIONS = (
    "REGEX_EXTRACT",
    "REGEX_REPLACE",
    "SUBSTRING",
    "SPLIT_TAKE",
    "CONCAT",
    "MAP",
    "PARSE_NUMBER",
    "PARSE_DATE",
    "ROUND",
    "MINOR_UNITS",
)

TRANSFORM_TAGS = ("PLAIN", *_WITH_OPTIONS)
"""What stands in validation errors for the kind of transform."""

TRANSFORM_NAMES = (*get_args(PlainName), *_WITH_OPTIONS)


def _name_of(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("type")
    name = getattr(value, "type", value)
    return "PLAIN" if name in get_args(PlainName) else str(name)


def _by_name(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


Transform = Annotated[
    Annotated[Plain, Tag("PLAIN")]
    | Annotated[RegexExtract, Tag("REGEX_EXTRACT")]
    | Annotated[RegexReplace, Tag("REGEX_REPLACE")]
    | Annotated[Substring, Tag("SUBSTRING")]
    | Annotated[SplitTake, Tag("SPLIT_TAKE")]
    | Annotated[Concat, Tag("CONCAT")]
    | Annotated[MapTable, Tag("MAP")]
    | Annotated[ParseNumber, Tag("PARSE_NUMBER")]
    | Annotated[ParseDate, Tag("PARSE_DATE")]
    | Annotated[Round, Tag("ROUND")]
    | Annotated[MinorUnits, Tag("MINOR_UNITS")],
    Discriminator(
        _name_of,
        custom_error_type="transform",
        custom_error_message=f"unknown transform; available: {', '.join(TRANSFORM_NAMES)}",
    ),
    BeforeValidator(_by_name),
]
"""On the wire a name, where no option is given, or an object whose `type` is the name."""


def fields_read(transform: Transform) -> tuple[str, ...]:
    """The fields that a transform reads beside its text."""
    match transform:
        case Concat(fields=fields):
            return fields
        case MinorUnits(currency_field=str(field)):
            return (field,)
        case _:
            return ()
