"""The legacy semantics once more: slow, row by row, sharing nothing with the engine but the words of the contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

CURRENCY = {
    "US$": "USD", "A$": "AUD", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "USD": "USD", "EUR": "EUR", "JPY": "JPY",
}  # fmt: skip
"""The currencies that the tests write."""

Record = dict[str, str | None]


@dataclass(frozen=True)
class Mapping:
    source: str
    target: str
    key: bool = False


@dataclass(frozen=True)
class Rule:
    source: str
    type: str
    tolerance: Decimal | None = None
    threshold: float | None = None
    active: bool = True


@dataclass
class Expected:
    matched: int = 0
    unmatched_source: int = 0
    unmatched_target: int = 0
    pairs: list[tuple[int, int]] = field(default_factory=list)
    exceptions: list[tuple[Any, ...]] = field(default_factory=list)
    """type, severity, field, source value, target value, source row, target row, description"""


def legacy(source: list[Record], target: list[Record], mappings: list[Mapping], rules: list[Rule]) -> Expected:
    """Rows are numbered from 1."""
    keys = [one for one in mappings if one.key]
    by_key: dict[tuple[str | None, ...], tuple[list[int], list[int]]] = {}
    for number, record in enumerate(source, 1):
        by_key.setdefault(tuple(record[one.source] for one in keys), ([], []))[0].append(number)
    for number, record in enumerate(target, 1):
        by_key.setdefault(tuple(record[one.target] for one in keys), ([], []))[1].append(number)
    found = Expected()
    for in_source, in_target in by_key.values():
        for one, other in zip(in_source, in_target, strict=False):
            found.matched += 1
            found.pairs.append((one, other))
            found.exceptions += compare(one, source[one - 1], other, target[other - 1], mappings, rules)
        shared = min(len(in_source), len(in_target))
        for one in in_source[shared:]:
            if in_target:
                text = "Duplicate key in source with no matching target record"
                found.exceptions.append(("DUPLICATE", "HIGH", None, None, None, one, None, text))
            else:
                found.unmatched_source += 1
                text = "No matching record found in target"
                found.exceptions.append(("MISSING_TARGET", "HIGH", None, None, None, one, None, text))
        for other in in_target[shared:]:
            if in_source:
                text = "Duplicate key in target with no matching source record"
                found.exceptions.append(("DUPLICATE", "HIGH", None, None, None, None, other, text))
            else:
                found.unmatched_target += 1
                text = "No matching record found in source"
                found.exceptions.append(("MISSING_SOURCE", "HIGH", None, None, None, None, other, text))
    return found


def compare(
    one: int, source: Record, other: int, target: Record, mappings: list[Mapping], rules: list[Rule]
) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for mapping in mappings:
        expected, actual = source[mapping.source], target[mapping.target]
        if mapping.key and (expected is None or actual is None):
            kind = "MISSING_SOURCE" if expected is None else "MISSING_TARGET"
            text = f"Key field '{mapping.source}' is null"
            found.append((kind, "CRITICAL", mapping.source, None, None, one, other, text))
            continue
        rule = next((rule for rule in rules if rule.active and rule.source == mapping.source), None)
        if not agree(rule, expected, actual):
            severity = "CRITICAL" if mapping.key else "MEDIUM"
            text = f"Value mismatch for field {mapping.source}"
            found.append(("VALUE_MISMATCH", severity, mapping.source, expected, actual, one, other, text))
    return found


def agree(rule: Rule | None, one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one is None and other is None
    match rule.type if rule else "EXACT":
        case "FUZZY":
            threshold = 0.8 if rule is None or rule.threshold is None else rule.threshold
            return similarity(one, other) >= threshold
        case "RANGE":
            return in_range(one, other, rule.tolerance if rule and rule.tolerance is not None else Decimal(0))
        case "CONTAINS":
            return one.lower() in other.lower() or other.lower() in one.lower()
        case "STARTS_WITH":
            return one.lower().startswith(other.lower()) or other.lower().startswith(one.lower())
        case "ENDS_WITH":
            return one.lower().endswith(other.lower()) or other.lower().endswith(one.lower())
        case _:
            return one == other


def similarity(one: str, other: str) -> float:
    longer = max(len(one), len(other))
    return 1.0 if longer == 0 else (longer - levenshtein(one.lower(), other.lower())) / longer


def levenshtein(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        above, row = row, [at]
        for column, wanted in enumerate(other, 1):
            row.append(min(above[column] + 1, row[column - 1] + 1, above[column - 1] + (letter != wanted)))
    return row[-1]


def in_range(one: str, other: str, tolerance: Decimal) -> bool:
    if one == other:
        return True
    read, also = number_of(one), number_of(other)
    if read is None or also is None:
        return False
    if read[1] and also[1] and read[1] != also[1]:
        return False
    with localcontext() as context:
        context.prec = 5000
        return abs(read[0] - also[0]) <= tolerance


def number_of(text: str) -> tuple[Decimal, str] | None:
    """The number and the currency, by eating the text from both ends."""
    rest = "".join(letter for letter in text if not letter.isspace() and letter not in ",'’").replace("−", "-").upper()
    currency, signs, percent = "", [], False
    while rest and not (rest[0].isdigit() or rest[0] == "."):
        if rest[0] in "+-":
            signs.append(rest[0])
            rest = rest[1:]
        elif rest[0] == "(" and ")" in rest:
            # What the parenthesis closes over must be at the end, or before a currency at the end.
            inside, _, after = rest[1:].partition(")")
            if after and (currency or after not in CURRENCY):
                return None
            currency = currency or CURRENCY.get(after, "")
            signs.append("-")
            rest = inside
        else:
            name = next((name for name in CURRENCY if rest.startswith(name)), None)
            if name is None or currency:
                return None
            currency, rest = CURRENCY[name], rest[len(name) :]
    while rest and not (rest[-1].isdigit() or rest[-1] == "."):
        if rest[-1] in "+-" and not percent:
            signs.append(rest[-1])
            rest = rest[:-1]
        elif rest[-1] == "%" and not percent:
            percent, rest = True, rest[:-1]
        else:
            name = next((name for name in CURRENCY if rest.endswith(name)), None)
            if name is None or currency or percent:
                return None
            currency, rest = CURRENCY[name], rest[: -len(name)]
    mantissa, _, exponent = rest.partition("E")
    digits = mantissa.replace(".", "", 1)
    if len(signs) > 1 or not digits or not digits.isascii() or not digits.isdigit():
        return None
    power = exponent.removeprefix("+").removeprefix("-")
    if "E" in rest and not (power.isdigit() and len(power) <= 3):
        return None
    value = Decimal(rest)
    return (value.copy_negate() if "-" in signs else value), currency
