"""Field rules that measure how far two values are apart: amounts and dates, as a person writes them. Bounds are inclusive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from matching.notation import (
    WEEKDAYS,
    DateFormat,
    DecimalSign,
    Locale,
    NumberStyle,
    check_calendar,
    check_subdivision,
    number_style,
    refuse_both,
)
from matching.pairs import FieldPair, SideName
from matching.terms import ExactNumber, MatchType, Strict

CurrencyName = Annotated[str, Field(pattern=r"^[A-Z0-9]{3,10}$")]
"""In capital letters; not only ISO's."""

Weekday = Literal["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]

_MOST_DAYS = 3_660_000
Days = Annotated[int, Field(ge=0, le=_MOST_DAYS)]

Tolerance = Annotated[ExactNumber, Field(ge=0)]


PercentBase = Literal["SOURCE", "TARGET", "LARGER"]
"""Of which amount a percentage is; its sign does not count."""


@dataclass(frozen=True)
class Allowance:
    """How far numbers may be apart beside an absolute tolerance. Inclusive."""

    percent: Decimal | None = None
    of: PercentBase = "SOURCE"
    both: bool = False
    """Whether tolerance and percentage must both be kept (the smaller counts), or either (the larger)."""


ABSOLUTE = Allowance()


class RangeRule(FieldPair):
    """Numbers no more than `tolerance` apart agree, in exact decimals; identical texts always do."""

    match_type: Literal[MatchType.RANGE] = MatchType.RANGE
    tolerance: Tolerance = Decimal(0)


class DateWindowRule(FieldPair):
    """Dates no more than so many days apart agree, calendar days or business days.

    Texts are read by the side's formats, then as ISO dates and date-times; one with an offset is taken in UTC. What is no date on
    either side agrees with the identical text only.
    """

    match_type: Literal[MatchType.DATE_WINDOW] = MatchType.DATE_WINDOW
    days_tolerance: Days | None = None
    """Either way; None: 0, or as the two below say."""
    days_before: Days | None = None
    """How much earlier than the source's the target's date may be; None is 0 where the other one is given."""
    days_after: Days | None = None
    """How much later."""
    business_days: bool = False
    """Counts business days: those after the one date up to and including the other. A day off is 0 from the business day before."""
    calendar: str | None = None
    """A country (ISO 3166) or market of the `holidays` library. None: weekends alone are off."""
    subdivision: str | None = None
    weekend: tuple[Weekday, ...] = ("SAT", "SUN")
    source_formats: tuple[DateFormat, ...] = ()
    target_formats: tuple[DateFormat, ...] = ()

    @field_validator("calendar")
    @classmethod
    def _known_calendar(cls, value: str | None) -> str | None:
        if value is not None:
            check_calendar(value)
        return value

    @field_validator("subdivision")
    @classmethod
    def _known_subdivision(cls, value: str | None, read: ValidationInfo) -> str | None:
        if value is not None and read.data.get("calendar") is None and "calendar" in read.data:
            raise PydanticCustomError("options", "subdivision needs a calendar")
        if value is not None and "calendar" in read.data:
            check_subdivision(read.data["calendar"], value)
        return value

    @field_validator("weekend")
    @classmethod
    def _some_work(cls, value: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
        if len(set(value)) == len(WEEKDAYS):
            raise PydanticCustomError("weekend", "a week needs at least one business day")
        return value

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        refuse_both("daysTolerance", self.days_tolerance, "daysBefore", self.days_before)
        refuse_both("daysTolerance", self.days_tolerance, "daysAfter", self.days_after)
        if not self.business_days and (self.calendar is not None or self.weekend != ("SAT", "SUN")):
            raise PydanticCustomError("options", "calendar and weekend need businessDays: true")
        return self

    def formats_of(self, side: SideName) -> tuple[str, ...]:
        return self.source_formats if side == "source" else self.target_formats

    @property
    def days_allowed(self) -> tuple[int, int]:
        """How many days the target's date may be before and after the source's."""
        either = self.days_tolerance or 0
        return either if self.days_before is None else self.days_before, (
            either if self.days_after is None else self.days_after
        )


class AmountRule(FieldPair):
    """What rules on amounts share: how far they may be apart, in which currency, and how they are written."""

    tolerance: Tolerance | None = None
    """The largest absolute difference; None: 0, unless there is a percentage."""
    percent: Tolerance | None = None
    """The largest difference in percent of an amount."""
    combine: Literal["LARGER", "SMALLER"] = "LARGER"
    """Which of tolerance and percentage counts where both are given."""
    percent_of: PercentBase = "SOURCE"
    per_currency: dict[CurrencyName, Tolerance] = Field(default_factory=dict)
    """Tolerances of some currencies, which go before `tolerance`."""
    source_currency_field: str | None = Field(default=None, min_length=1)
    target_currency_field: str | None = Field(default=None, min_length=1)
    """None: the currency is the one in the amount's text, if any."""
    source_locale: Locale | None = None
    target_locale: Locale | None = None
    decimal: DecimalSign | None = None
    """Of both sides, by default the locale's, or a point."""

    @model_validator(mode="after")
    def _one_notation(self) -> Self:
        refuse_both("decimal", self.decimal, "sourceLocale", self.source_locale)
        refuse_both("decimal", self.decimal, "targetLocale", self.target_locale)
        if self.percent is None and (self.combine, self.percent_of) != ("LARGER", "SOURCE"):
            raise PydanticCustomError("options", "combine and percentOf need percent")
        return self

    def style_of(self, side: SideName) -> NumberStyle:
        """How the amounts of a side are written."""
        return number_style(self.source_locale if side == "source" else self.target_locale, self.decimal)

    def currency_field_of(self, side: SideName) -> str | None:
        """The field that says the currency of a side's amount."""
        return self.source_currency_field if side == "source" else self.target_currency_field

    @property
    def allowance(self) -> Allowance:
        """What is allowed beside an absolute tolerance."""
        return Allowance(self.percent, self.percent_of, both=self.combine == "SMALLER")

    @property
    def absolute(self) -> Decimal | None:
        """The tolerance of currencies that have none of their own; None where only a percentage counts."""
        return Decimal(0) if self.tolerance is None and self.percent is None else self.tolerance

    def _also_read(self, side: SideName) -> tuple[str, ...]:
        field = self.currency_field_of(side)
        return () if field is None else (field,)


class NumericRule(AmountRule):
    """Amounts no further apart than tolerance and percentage allow agree, in exact decimals; those of two currencies never do.

    An amount without a currency agrees with any. What is no number on either side agrees with the identical text only.
    """

    match_type: Literal[MatchType.NUMERIC] = MatchType.NUMERIC


class Rate(Strict):
    """One unit of the currency `from` is `rate` units of the currency `to`, from a day on."""

    from_: CurrencyName = Field(alias="from")
    to: CurrencyName
    date: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    rate: Annotated[ExactNumber, Field(gt=0)]

    @field_validator("date")
    @classmethod
    def _a_date(cls, value: str) -> str:
        try:
            date.fromisoformat(value)
        except ValueError as error:
            raise PydanticCustomError("date", "not a date: {given}", {"given": value}) from error
        return value


class FxRule(AmountRule):
    """Amounts of different currencies: the source's is converted into the target's currency, then judged as NUMERIC does.

    The rate is the newest one on or before the date, at most `max_age_days` old; where none is given in that direction, one over
    the newest rate of the other. Without a rate they disagree. Percentages of the source are of the converted amount.
    """

    match_type: Literal[MatchType.FX] = MatchType.FX
    rates: tuple[Rate, ...]
    date_field: str = Field(min_length=1)
    """The source's."""
    date_formats: tuple[DateFormat, ...] = ()
    max_age_days: Days | None = None
    rounding: Literal["HALF_EVEN", "HALF_UP"] = "HALF_EVEN"
    """To the target currency's minor units; to eight places where ISO 4217 doesn't know it."""

    @model_validator(mode="after")
    def _one_rate_a_day(self) -> Self:
        if not self.rates:
            raise PydanticCustomError("rates", "give at least one rate")
        seen: set[tuple[Any, ...]] = set()
        for one in self.rates:
            key = (one.from_, one.to, one.date)
            if key in seen:
                raise PydanticCustomError(
                    "rates", "two rates from {from} to {to} on {date}", {"from": key[0], "to": key[1], "date": key[2]}
                )
            seen.add(key)
        return self

    def _also_read(self, side: SideName) -> tuple[str, ...]:
        return (*super()._also_read(side), *((self.date_field,) if side == "source" else ()))
