"""What a probabilistic linkage is asked for, and the model it learns: fields, levels of agreement, their m and u, the prior.

Terms after Fellegi and Sunter, "A Theory for Record Linkage" (JASA 64, 1969): m is the probability of a level of agreement among
pairs that are of one thing, u among all others; a level's weight is log2(m / u), and the weights of a pair's fields add up to
its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from math import log2
from typing import Any

from matching.errors import RuleInvalid

VERSION = 1
"""Of the model's form."""

WEIGHT_DECIMALS = 6

_DIGITS = 9
"""Significant digits of the probabilities of a model: as stored, so is it used."""


def significant(value: float) -> float:
    """Rounded to the digits that a model keeps."""
    return float(f"{value:.{_DIGITS}g}")


class LinkMethod(StrEnum):
    """How a field's two values are compared. Thresholds go from the closest to the furthest, every bound is inclusive.

    EXACT: equal or not. JARO_WINKLER: similarity at least the threshold (0 to 1). LEVENSHTEIN: at most so many edits.
    DATE: a column of dates, or of texts as YYYY-MM-DD; at most one typing error in the text, then at most so many days apart.
    NUMERIC: numbers or texts of numbers, to six decimals; apart by at most this share of the larger one (0.01 is one percent).
    BLOCK: not compared; the field only serves in blocking.
    """

    EXACT = "EXACT"
    JARO_WINKLER = "JARO_WINKLER"
    LEVENSHTEIN = "LEVENSHTEIN"
    DATE = "DATE"
    NUMERIC = "NUMERIC"
    BLOCK = "BLOCK"


_DEFAULT_THRESHOLDS: dict[LinkMethod, tuple[float, ...]] = {
    LinkMethod.JARO_WINKLER: (0.92, 0.8),
    LinkMethod.LEVENSHTEIN: (1, 2),
    LinkMethod.DATE: (31, 366),
    LinkMethod.NUMERIC: (0.01, 0.1),
}

_SHARES = (LinkMethod.JARO_WINKLER, LinkMethod.NUMERIC)


@dataclass(frozen=True)
class LinkField:
    """One compared pair of columns.

    `thresholds` None: the method's own. `term_frequency`: equal values that are rare weigh more than common ones.
    `swapped_with`: another field; that the two have each other's values (given name and surname) is a level of its own.

    Raises RuleInvalid for thresholds that the method does not take.
    """

    name: str
    source: str
    target: str
    method: LinkMethod = LinkMethod.JARO_WINKLER
    thresholds: tuple[float, ...] | None = None
    term_frequency: bool = False
    swapped_with: str | None = None

    def __post_init__(self) -> None:
        given = self.thresholds or ()
        if given and self.method not in _DEFAULT_THRESHOLDS:
            raise _invalid(f"{self.method} takes no thresholds", self.name)
        descending = self.method is LinkMethod.JARO_WINKLER
        if any((after >= before) if descending else (after <= before) for before, after in pairwise(given)):
            raise _invalid("its thresholds must go from the closest to the furthest", self.name)
        if any(one < 0 or (self.method in _SHARES and one > 1) for one in given):
            raise _invalid(
                f"a threshold of {self.method} is {'0 to 1' if self.method in _SHARES else '0 or more'}", self.name
            )
        if self.method is LinkMethod.BLOCK and (self.term_frequency or self.swapped_with is not None):
            raise _invalid("BLOCK compares nothing: neither term_frequency nor swapped_with has a meaning", self.name)

    @property
    def compared(self) -> bool:
        return self.method is not LinkMethod.BLOCK

    @property
    def levels(self) -> tuple[str, ...]:
        """The labels of the levels, from the closest to "else"; a missing value has none of them."""
        bounds = _DEFAULT_THRESHOLDS.get(self.method, ()) if self.thresholds is None else self.thresholds
        sign = ">=" if self.method is LinkMethod.JARO_WINKLER else "<="
        exact = ("exact", *(("swapped",) if self.swapped_with is not None else ()))
        typing_error = ("one typing error",) if self.method is LinkMethod.DATE else ()
        return (*exact, *typing_error, *(f"{sign} {bound:g}" for bound in bounds), "else")

    @property
    def bounds(self) -> tuple[float, ...]:
        """The thresholds in force."""
        return _DEFAULT_THRESHOLDS.get(self.method, ()) if self.thresholds is None else self.thresholds


@dataclass(frozen=True)
class LinkSettings:
    """How two frames are linked.

    `blocking`: sets of field names; a pair is a candidate where all fields of at least one set are equal (null equals nothing).
    Empty: chosen by `default_blocking`. `min_weight`: pairs with this total weight or more are given (0 is even odds).
    `max_pairs`: so many pairs of random rows at most teach u, and so many candidates of a block at most teach m.
    `max_candidates`: more candidates than this are refused.
    `prior`: the share of all pairs of rows that are of one thing; None: learned too.

    Raises RuleInvalid for names that are no field's, names given twice and numbers out of range.
    """

    fields: tuple[LinkField, ...]
    blocking: tuple[tuple[str, ...], ...] = ()
    seed: int = 1
    min_weight: float = 0.0
    max_pairs: int = 1_000_000
    max_candidates: int = 20_000_000
    prior: float | None = None

    def __post_init__(self) -> None:
        names = [one.name for one in self.fields]
        if not any(one.compared for one in self.fields):
            raise RuleInvalid(
                "A linkage needs at least one compared field", expected="a field whose method is not BLOCK"
            )
        for name in names:
            if not name or names.count(name) > 1:
                raise RuleInvalid(f"Linkage field '{name}' must have a name that no other field has", field=name)
        named = [name for rule in self.blocking for name in rule]
        named += [one.swapped_with for one in self.fields if one.swapped_with is not None]
        compared = {one.name for one in self.fields if one.compared}
        for name in named:
            if name not in names:
                raise RuleInvalid(
                    f"The linkage has no field '{name}'; available: {', '.join(names)}", field=name, available=names
                )
        for one in self.fields:
            if one.swapped_with is not None and (one.swapped_with == one.name or one.swapped_with not in compared):
                raise _invalid("swapped_with must name another compared field", one.name)
        if not all(self.blocking):
            raise RuleInvalid("A blocking rule needs at least one field", available=names)
        for option, least in (("seed", 0), ("max_pairs", 100), ("max_candidates", 1)):
            if getattr(self, option) < least:
                raise RuleInvalid(f"{option} must be {least} or more, not {getattr(self, option)}", option=option)
        if self.prior is not None and not 0 < self.prior < 1:
            raise RuleInvalid(f"prior must be above 0 and below 1, not {self.prior}", option="prior")

    @property
    def compared(self) -> tuple[LinkField, ...]:
        return tuple(one for one in self.fields if one.compared)


@dataclass(frozen=True)
class LevelOdds:
    """m and u of one level of agreement."""

    label: str
    m: float
    u: float

    @property
    def weight(self) -> float:
        return log2(self.m / self.u)


@dataclass(frozen=True)
class FieldOdds:
    """The levels of one field, from the closest to "else". Trained: m was learned, and is not the assumption made before."""

    name: str
    levels: tuple[LevelOdds, ...]
    trained: bool


@dataclass(frozen=True)
class LinkModel:
    """What was learned: the prior and, field by field, m and u of each level; with `rules`, the blocks that taught m."""

    prior: float
    fields: tuple[FieldOdds, ...]
    rules: tuple[tuple[str, ...], ...] = field(default=())

    @property
    def prior_weight(self) -> float:
        return log2(self.prior / (1 - self.prior))

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it. `level` counts down to 0, which is "else"; weights are for reading and not read back."""
        return {
            "version": VERSION,
            "prior": self.prior,
            "prior_weight": round(self.prior_weight, WEIGHT_DECIMALS),
            "fields": [
                {
                    "name": one.name,
                    "trained": one.trained,
                    "levels": [
                        {
                            "level": level,
                            "label": odds.label,
                            "m": odds.m,
                            "u": odds.u,
                            "weight": round(odds.weight, WEIGHT_DECIMALS),
                        }
                        for level, odds in zip(reversed(range(len(one.levels))), one.levels, strict=True)
                    ],
                }
                for one in self.fields
            ],
            "trained_on": [list(rule) for rule in self.rules],
        }


def model_of(stored: Mapping[str, Any], fields: Sequence[LinkField]) -> LinkModel:
    """The model that `as_dict` gave, for the same compared fields.

    Raises RuleInvalid where its form, its fields or their levels are others, or a probability is not above 0 and at most 1.
    """
    try:
        model = LinkModel(
            float(stored["prior"]),
            tuple(
                FieldOdds(
                    str(one["name"]),
                    tuple(LevelOdds(str(at["label"]), float(at["m"]), float(at["u"])) for at in one["levels"]),
                    bool(one["trained"]),
                )
                for one in stored["fields"]
            ),
            tuple(tuple(str(name) for name in rule) for rule in stored["trained_on"]),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise RuleInvalid(f"This is no linkage model: {fault!r}", expected="what Linked.model gave") from fault
    if stored.get("version") != VERSION:
        raise RuleInvalid(f"The linkage model has version {stored.get('version')}, not {VERSION}", expected=VERSION)
    learned = [(one.name, tuple(level.label for level in one.levels)) for one in model.fields]
    asked = [(one.name, one.levels) for one in fields]
    if learned != asked:
        raise RuleInvalid("The linkage model was learned for other fields or levels", expected=asked, given=learned)
    shares = [model.prior, *(share for one in model.fields for level in one.levels for share in (level.m, level.u))]
    if not (all(0 < share <= 1 for share in shares) and model.prior < 1):
        raise RuleInvalid("Every probability of a linkage model must be above 0 and at most 1, its prior below 1")
    return model


def _invalid(text: str, name: str) -> RuleInvalid:
    return RuleInvalid(f"Linkage field '{name}': {text}", field=name)
