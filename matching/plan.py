"""What a rule set compiles to: one form for both ways of writing it, so that one engine runs both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from matching.errors import KeyFieldRequired
from matching.fields import DEFAULT_FUZZY_THRESHOLD, ExactRule, FieldRule, FuzzyRule, KeyPair, RangeRule, TextRule
from matching.spec import FieldMapping, MatchingRule, Pass, RuleSet
from matching.terms import MatchType, Severity


@dataclass(frozen=True)
class Key:
    """A field of each side that must be equal, after the transforms, for two records to be partners."""

    number: int
    """From 1, in the order the rules were written; without passes keys and comparisons are numbered together."""
    pair: KeyPair

    @property
    def source_field(self) -> str:
        return self.pair.source_field

    @property
    def target_field(self) -> str:
        return self.pair.target_field


@dataclass(frozen=True)
class LegacyBounds:
    """Bounds of a rule set without passes, which may be any number."""

    tolerance: Decimal
    """RANGE: below 0 nothing but identical texts agree."""
    fuzzy_threshold: float
    """FUZZY: above 1 nothing agrees but two nulls."""


@dataclass(frozen=True)
class Comparison:
    """A field rule to be judged on pairs of records."""

    number: int
    """From 1, in the order the rules were written."""
    rule: FieldRule
    severity: Severity = Severity.MEDIUM
    legacy: LegacyBounds | None = None
    """Go before the rule's own. RANGE: a comma then counts for nothing wherever it stands, not only between thousands."""

    @property
    def source_field(self) -> str:
        return self.rule.source_field

    @property
    def target_field(self) -> str:
        return self.rule.target_field

    @property
    def never_agrees(self) -> bool:
        """Not even on equal values, only on two nulls."""
        return self.rule.match_type is MatchType.FUZZY and self.legacy is not None and self.legacy.fuzzy_threshold > 1


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
    read = [*(key.pair for key in plan.keys), *(comparison.rule for comparison in plan.comparisons)]
    return (
        _unique(field for one in read for field in one.source_fields),
        _unique(field for one in read for field in one.target_fields),
    )


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _from_mappings(rule_set: RuleSet) -> PassPlan:
    keys = tuple(
        Key(number, KeyPair(source_field=one.source_field, target_field=one.target_field))
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
        if not mapping.is_key or comparison.never_agrees
    )
    return PassPlan(name="legacy", keys=keys, comparisons=judged, legacy=True)


def _rule_for(mapping: FieldMapping, rules: tuple[MatchingRule, ...]) -> MatchingRule | None:
    return next((one for one in rules if one.active and one.source_field == mapping.source_field), None)


def _legacy_comparison(number: int, mapping: FieldMapping, written: MatchingRule | None) -> Comparison:
    source, target = mapping.source_field, mapping.target_field
    rule: FieldRule = ExactRule(source_field=source, target_field=target)
    match written.match_type if written else MatchType.EXACT:
        case MatchType.FUZZY:
            rule = FuzzyRule(source_field=source, target_field=target)
        case MatchType.RANGE:
            rule = RangeRule(source_field=source, target_field=target)
        case MatchType.CONTAINS | MatchType.STARTS_WITH | MatchType.ENDS_WITH as text:
            rule = TextRule(source_field=source, target_field=target, match_type=text)
        case _:
            pass
    tolerance = written.tolerance if written else None
    threshold = written.fuzzy_threshold if written else None
    return Comparison(
        number=number,
        rule=rule,
        severity=Severity.CRITICAL if mapping.is_key else Severity.MEDIUM,
        legacy=LegacyBounds(
            tolerance=Decimal(0) if tolerance is None else tolerance,
            fuzzy_threshold=DEFAULT_FUZZY_THRESHOLD if threshold is None else threshold,
        ),
    )


def _from_pass(written: Pass) -> PassPlan:
    return PassPlan(
        name=written.name,
        keys=tuple(Key(number, pair) for number, pair in enumerate(written.keys, start=1)),
        comparisons=tuple(Comparison(number, rule) for number, rule in enumerate(written.comparisons, start=1)),
        legacy=False,
    )
