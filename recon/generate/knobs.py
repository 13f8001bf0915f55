"""How much trouble: the shares of each kind at each difficulty, and single ones overridden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from matching.errors import ReconError

LEVELS = range(6)
"""The difficulties."""


class GeneratorInvalid(ReconError):
    """What `generate` was asked for can't be made; `fields` names the argument."""

    code = "GENERATOR_INVALID"


@dataclass(frozen=True)
class Knobs:
    """Shares from 0 to 1, but for `currencies` and `batch_size`, which count."""

    typos: float = 0
    """Records with a misspelt text; of persons, with one to three misspelt fields."""
    blanks: float = 0
    """Persons with one or two empty fields."""
    noise: float = 0
    """Texts in another case or with stray white space."""
    truncated: float = 0
    """References that lost their prefix and leading zeros."""
    formats: float = 0
    """Dates written `31.01.2026` in a file that writes `2026-01-31`."""
    lag: float = 0
    """Records dated one to three days after their partner."""
    late: float = 0
    """Records posted four to forty days after their partner, or at an irregular day: over month ends too."""
    missing: float = 0
    """Records that only one side knows, half of them on either side."""
    duplicates: float = 0
    """Records that one side has twice, half of them on either side."""
    rounding: float = 0
    """Amounts off by one minor unit."""
    mismatch: float = 0
    """Amounts that are plainly wrong: off by one to twenty percent."""
    refunds: float = 0
    """Records that give money back."""
    chargebacks: float = 0
    """Sales disputed by the customer's bank, with its charge on top."""
    fees: float = 0
    """Payments or payouts from which a bank withheld a charge that only the truth knows."""
    held: float = 0
    """The chance of every fourth weekly payout to hold one sale back for the next."""
    splits: float = 0
    """Orders paid in two to four instalments."""
    batches: float = 0
    """Orders invoiced in two to six parts."""
    currencies: int = 1
    batch_size: int = 1
    """The most transactions of a payout; above 1, payouts have 2 or more, but for the very last."""


_BY_LEVEL: dict[str, tuple[float, ...]] = {
    "typos": (0, 0.01, 0.02, 0.05, 0.08, 0.12),
    "blanks": (0, 0, 0.01, 0.03, 0.06, 0.10),
    "noise": (0, 0.02, 0.05, 0.10, 0.20, 0.30),
    "truncated": (0, 0, 0.01, 0.02, 0.04, 0.06),
    "formats": (0, 0, 0, 0.10, 0.30, 0.50),
    "lag": (0, 0.20, 0.40, 0.60, 0.70, 0.80),
    "late": (0, 0.01, 0.02, 0.04, 0.06, 0.10),
    "missing": (0, 0.01, 0.02, 0.03, 0.05, 0.08),
    "duplicates": (0, 0.005, 0.01, 0.015, 0.02, 0.03),
    "rounding": (0, 0, 0.02, 0.04, 0.06, 0.10),
    "mismatch": (0, 0.005, 0.01, 0.015, 0.02, 0.04),
    "refunds": (0, 0.02, 0.03, 0.05, 0.06, 0.08),
    "chargebacks": (0, 0, 0.002, 0.005, 0.01, 0.02),
    "fees": (0, 0.02, 0.05, 0.10, 0.20, 0.30),
    "held": (0, 0, 0.10, 0.20, 0.30, 0.40),
    "splits": (0, 0.05, 0.10, 0.15, 0.20, 0.30),
    "batches": (0, 0.05, 0.10, 0.15, 0.20, 0.30),
    "currencies": (1, 2, 3, 4, 6, 8),
    "batch_size": (1, 6, 10, 20, 30, 40),
}
_PEOPLE_TYPOS = (0, 0.10, 0.20, 0.40, 0.60, 0.80)

COUNTS = {"currencies": (1, 8), "batch_size": (1, 40)}
"""The knobs that count, with their least and greatest values."""

USED: dict[str, tuple[str, ...]] = {
    "payments": (
        *("typos", "noise", "truncated", "formats", "lag", "late", "missing", "duplicates"),
        *("rounding", "mismatch", "refunds", "currencies"),
    ),
    "payouts": (
        *("typos", "noise", "formats", "late", "missing", "duplicates"),
        *("refunds", "chargebacks", "fees", "held", "currencies", "batch_size"),
    ),
    "invoices": (
        *("typos", "noise", "truncated", "formats", "lag", "late", "missing", "duplicates"),
        *("rounding", "mismatch", "refunds", "fees", "splits", "batches", "currencies"),
    ),
    "ledger": (
        *("typos", "noise", "truncated", "formats", "lag", "late", "missing", "duplicates"),
        *("rounding", "refunds", "currencies"),
    ),
    "fx": (
        *("typos", "noise", "truncated", "formats", "lag", "late", "missing", "duplicates"),
        *("rounding", "mismatch", "refunds", "currencies"),
    ),
    "people": ("typos", "blanks", "noise", "formats", "missing", "duplicates"),
}
"""Which knobs have a say in which scenario."""

SCENARIOS = tuple(USED)


def knobs_of(scenario: str, difficulty: int, overrides: Mapping[str, float | None]) -> Knobs:
    """The shares of a difficulty, with those that are given (not None) in their place.

    Raises GeneratorInvalid for a scenario, difficulty or knob that doesn't exist, a knob that has no say in the scenario, and
    a value out of its bounds.
    """
    if scenario not in USED:
        available = ", ".join(SCENARIOS)
        message = f"Unknown scenario '{scenario}'; available: {available}"
        raise GeneratorInvalid(message, fields={"scenario": f"one of {available}"}, available=list(SCENARIOS))
    if difficulty not in LEVELS:
        raise GeneratorInvalid(
            f"Difficulty {difficulty} is not one of {LEVELS[0]} to {LEVELS[-1]}", fields={"difficulty": "0 to 5"}
        )
    used = USED[scenario]
    values = {name: _BY_LEVEL[name][difficulty] for name in used}
    if scenario == "people":
        values["typos"] = _PEOPLE_TYPOS[difficulty]
    for name, value in overrides.items():
        if value is None:
            continue
        if name not in used:
            known = "has no say" if name in _BY_LEVEL else "is unknown"
            raise GeneratorInvalid(
                f"'{name}' {known} in the scenario {scenario}; available: {', '.join(used)}",
                fields={name: f"available: {', '.join(used)}"},
                available=list(used),
            )
        values[name] = _checked(name, value)
    counted = {name: int(value) for name, value in values.items() if name in COUNTS}
    return replace(Knobs(), **{**values, **counted})


def used_knobs(scenario: str, knobs: Knobs) -> dict[str, float]:
    """The values of the knobs that have a say in the scenario, in the order of `Knobs`."""
    return {one.name: getattr(knobs, one.name) for one in fields(Knobs) if one.name in USED[scenario]}


def _checked(name: str, value: float) -> float:
    lowest, highest = COUNTS.get(name, (0, 1))
    whole = name not in COUNTS or value == int(value)
    if not (lowest <= value <= highest and whole):
        expected = f"a whole number from {lowest} to {highest}" if name in COUNTS else "a share from 0 to 1"
        raise GeneratorInvalid(f"'{name}' is {value}; expected: {expected}", fields={name: expected})
    return value
