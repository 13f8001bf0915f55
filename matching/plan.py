"""What a rule set compiles to: one form for both ways of writing it, so that one engine runs both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from matching.errors import KeyFieldRequired
from matching.fields import DateWindowRule, FieldRule, FuzzyRule, RangeRule
from matching.spec import FieldMapping, MatchingRule, Pass, RuleSet
from matching.terms import MatchType, Severity
from matching.transforms import Transform

DEFAULT_FUZZY_THRESHOLD = 0.8


@dataclass(frozen=True)
class Key:
    """A field of each side that must be equal, after the transforms, for two records to be partners."""

    number: int
    """From 1, in the order the rules were written; without passes keys and comparisons are numbered together."""
    source_field: str
    target_field: str
    transforms: tuple[Transform, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """One field of each side to be judged on every match. Bounds are inclusive; those of other match types are not read."""

    number: int
    """From 1, in the order the rules were written."""
    source_field: str
    target_field: str
    match_type: MatchType
    tolerance: Decimal = Decimal(0)
    fuzzy_threshold: float = DEFAULT_FUZZY_THRESHOLD
    days_tolerance: int = 0
    transforms: tuple[Transform, ...] = ()
    severity: Severity = Severity.MEDIUM
    any_comma: bool = False
    """RANGE: a comma counts for nothing wherever it stands (legacy), not only between thousands."""


@dataclass(frozen=True)
class PassPlan:
    """A pass, ready to run."""

    name: str
    keys: tuple[Key, ...]
    comparisons: tuple[Comparison, ...]
    legacy: bool
    """Null and blank keys are values like others, a null key of a match is a break, and the sentences are the legacy ones."""


def compile_rule_set(rule_set: RuleSet) -> PassPlan:
    """The pass that a rule set says. Raises KeyFieldRequired where nothing says which records belong together."""
    if rule_set.passes:
        return _from_pass(rule_set.passes[0])
    return _from_mappings(rule_set)


def required_columns(rule_set: RuleSet) -> tuple[list[str], list[str]]:
    """The columns that source and target must have, each once, keys first. Raises KeyFieldRequired."""
    plan = compile_rule_set(rule_set)
    if not rule_set.passes:
        mapped = rule_set.field_mappings
        return _unique(one.source_field for one in mapped), _unique(one.target_field for one in mapped)
    fields: tuple[Key | Comparison, ...] = (*plan.keys, *plan.comparisons)
    return _unique(one.source_field for one in fields), _unique(one.target_field for one in fields)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _from_mappings(rule_set: RuleSet) -> PassPlan:
    keys = tuple(
        Key(number, one.source_field, one.target_field)
        for number, one in enumerate(rule_set.field_mappings, start=1)
        if one.is_key
    )
    if not keys:
        raise KeyFieldRequired
    comparisons = [
        _legacy_comparison(number, mapping, _rule_for(mapping, rule_set.matching_rules))
        for number, mapping in enumerate(rule_set.field_mappings, start=1)
    ]
    # The texts of a matched key are equal, so every rule agrees on them; only a FUZZY threshold above 1 can't be met even so.
    judged = tuple(
        comparison
        for comparison, mapping in zip(comparisons, rule_set.field_mappings, strict=True)
        if not mapping.is_key or (comparison.match_type is MatchType.FUZZY and comparison.fuzzy_threshold > 1)
    )
    return PassPlan(name="legacy", keys=keys, comparisons=judged, legacy=True)


def _rule_for(mapping: FieldMapping, rules: tuple[MatchingRule, ...]) -> MatchingRule | None:
    return next((one for one in rules if one.active and one.source_field == mapping.source_field), None)


def _legacy_comparison(number: int, mapping: FieldMapping, rule: MatchingRule | None) -> Comparison:
    return Comparison(
        number=number,
        source_field=mapping.source_field,
        target_field=mapping.target_field,
        match_type=rule.match_type if rule else MatchType.EXACT,
        tolerance=rule.tolerance if rule and rule.tolerance is not None else Decimal(0),
        fuzzy_threshold=rule.fuzzy_threshold if rule and rule.fuzzy_threshold is not None else DEFAULT_FUZZY_THRESHOLD,
        severity=Severity.CRITICAL if mapping.is_key else Severity.MEDIUM,
        any_comma=True,
    )


def _from_pass(written: Pass) -> PassPlan:
    return PassPlan(
        name=written.name,
        keys=tuple(
            Key(number, one.source_field, one.target_field, one.transforms)
            for number, one in enumerate(written.keys, start=1)
        ),
        comparisons=tuple(_comparison(number, rule) for number, rule in enumerate(written.comparisons, start=1)),
        legacy=False,
    )


def _comparison(number: int, rule: FieldRule) -> Comparison:
    return Comparison(
        number=number,
        source_field=rule.source_field,
        target_field=rule.target_field,
        match_type=rule.match_type,
        tolerance=rule.tolerance if isinstance(rule, RangeRule) else Decimal(0),
        fuzzy_threshold=rule.fuzzy_threshold if isinstance(rule, FuzzyRule) else DEFAULT_FUZZY_THRESHOLD,
        days_tolerance=rule.days_tolerance if isinstance(rule, DateWindowRule) else 0,
        transforms=rule.transforms,
    )
