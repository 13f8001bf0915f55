"""How people write numbers, dates and patterns, and name calendars: checked as they are read from a rule set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_COMMA = """
af az be bg bs ca cs da de el es et eu fi fr gl hr hu hy id is it ka kk ky lt lv mk nb nl nn no pl pt ro ru sk sl sq sr
sv tr uk uz vi
"""
_POINT = "bn cy en fil ga gu he hi ja kn ko ml mr ms mt ne pa si sw ta te th ur zh"
_POINT_REGIONS = "de-ch de-li es-do es-gt es-hn es-mx es-ni es-pa es-pe es-pr es-sv es-us it-ch"

LANGUAGES = sorted(f"{_COMMA} {_POINT}".split())

DecimalSign = Literal[".", ","]


@dataclass(frozen=True)
class NumberStyle:
    """How numbers are written. White space and apostrophes never count."""

    decimal: DecimalSign = "."
    grouping: bool = True
    """Whether the other of point and comma may stand between thousands."""


POINT = NumberStyle()


def _checked_locale(locale: str) -> str:
    if locale.replace("_", "-").lower().split("-")[0] not in LANGUAGES:
        raise PydanticCustomError(
            "locale",
            "unknown locale '{given}'; available: {available}, each with or without a region, such as de-CH",
            {"given": locale[:100], "available": ", ".join(LANGUAGES)},
        )
    return locale


Locale = Annotated[str, AfterValidator(_checked_locale)]
"""A language, with or without a region: `de`, `de-CH`, `en_US`. Upper and lower case count for nothing."""


def decimal_sign(locale: str) -> DecimalSign:
    """What stands before the fraction (Unicode CLDR)."""
    tag = locale.replace("_", "-").lower()
    return "," if tag.split("-")[0] in _COMMA.split() and tag not in _POINT_REGIONS.split() else "."


def pattern_groups(pattern: str) -> list[str]:
    """The names of a pattern's groups in order, from 1; nameless ones are named by their numbers."""
    import polars as pl

    schema = pl.LazyFrame({"text": [""]}).select(pl.col("text").str.extract_groups(pattern)).collect_schema()
    found = schema["text"]
    return [one.name for one in found.fields] if isinstance(found, pl.Struct) else []


def _checked_pattern(pattern: str) -> str:
    # Imported here: who only reads rule sets without patterns need not wait for Polars.
    from polars.exceptions import ComputeError

    try:
        pattern_groups(pattern)
    except ComputeError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("error: ")
        raise PydanticCustomError(
            "pattern",
            "not a regular expression: {reason}; the syntax is that of Rust's regex, without look-around and back-references",
            {"reason": reason},
        ) from error
    return pattern


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_checked_pattern)]
"""A regular expression in the syntax of Rust's `regex`."""

_DIRECTIVE = re.compile(r"%[-_0]?(\.?[369]?f|:{0,2}z|#z|.|$)")
_KNOWN = "Y y m b B h d e j H I k l M S p P f .f 3f 6f 9f .3f .6f .9f z :z ::z #z Z a A F D T R v G g V u n t %"
_DIRECTIVES = frozenset(_KNOWN.split())
_SAYS_MONTH = {"m", "b", "B", "h", "j", "F", "D", "v", "V"}
_SAYS_YEAR = {"Y", "y", "F", "D", "v", "G", "g"}
ZONES = {"z", ":z", "::z", "#z"}


def directives(date_format: str) -> set[str]:
    """What a format says after its percent signs."""
    return set(_DIRECTIVE.findall(date_format))


def _checked_format(date_format: str) -> str:
    said = directives(date_format)
    unknown = sorted(said - _DIRECTIVES)
    if unknown:
        raise PydanticCustomError(
            "date_format",
            "unknown directive %{unknown}; available: {available}",
            {"unknown": unknown[0], "available": " ".join(f"%{one}" for one in sorted(_DIRECTIVES))},
        )
    if not (said & _SAYS_MONTH and said & _SAYS_YEAR):
        raise PydanticCustomError("date_format", "a date format says year and month, such as %d/%m/%Y")
    if len(said & {"H", "I", "k", "l", "T", "R"}) and not said & {"M", "T", "R"}:
        raise PydanticCustomError("date_format", "a date format with hours has minutes too, such as %d/%m/%Y %H:%M")
    if said & {"I", "l"} and not said & {"p", "P"}:
        raise PydanticCustomError("date_format", "hours of a half day need %p, such as %I:%M %p")
    return date_format


DateFormat = Annotated[str, Field(min_length=1), AfterValidator(_checked_format)]
"""A format as of strptime (chrono's), such as `%d/%m/%Y`."""


WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def check_calendar(calendar: str) -> None:
    """Raises unless the library knows a country or a market of this code, such as `DE` or `XNYS`."""
    import holidays

    if calendar not in holidays.list_supported_countries() and calendar not in holidays.list_supported_financial():
        countries = ", ".join(sorted(holidays.list_supported_countries(include_aliases=False)))
        markets = ", ".join(sorted(holidays.list_supported_financial(include_aliases=False)))
        raise PydanticCustomError(
            "calendar",
            "unknown calendar '{given}'; available: countries {countries}; markets {markets}",
            {"given": calendar[:100], "countries": countries, "markets": markets},
        )


def check_subdivision(calendar: str, subdivision: str) -> None:
    """Raises unless the calendar's country has this subdivision."""
    import holidays

    known = holidays.list_supported_countries().get(calendar, [])
    if subdivision not in known:
        raise PydanticCustomError(
            "subdivision",
            "calendar {calendar} has no subdivision '{given}'; available: {known}",
            {"calendar": calendar, "given": subdivision[:100], "known": ", ".join(known) or "none"},
        )


def number_style(locale: str | None, decimal: DecimalSign | None, grouping: str | None = None) -> NumberStyle:
    """The style that the options of a transform or a rule say; the decimal sign goes before the locale's."""
    sign = decimal or (decimal_sign(locale) if locale else ".")
    return NumberStyle(sign, grouping=grouping in (None, ".", ","))


def refuse_both(one: str, value: object, other: str, other_value: object) -> None:
    """Raises where two options are given that exclude each other."""
    if value is not None and other_value is not None:
        raise PydanticCustomError("options", "give {one} or {other}, not both", {"one": one, "other": other})
