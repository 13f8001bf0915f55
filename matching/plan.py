"""What a rule set compiles to: one form for both ways of writing it, so that one engine runs both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from matching.errors import KeyFieldRequired
from matching.fields import DEFAULT_FUZZY_THRESHOLD, ExactRule, FieldRule, FuzzyRule, KeyPair, RangeRule, TextRule
from matching.linkage_options import Linkage
from matching.pairs import FieldPair
from matching.spec import (
    Amount,
    FieldMapping,
    MatchingRule,
    Pass,
    PotentialMatches,
    RuleSet,
    Severities,
    SubsetSearch,
)
from matching.terms import Ambiguity, Cardinality, Decision, Grouping, MatchType, Severity


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
    """From 1, in the order the rules were written; one for all passes that compare the same fields in the same way."""
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
    conditions: tuple[Comparison, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    grouping: Grouping = Grouping.BY_KEY
    ambiguity: Ambiguity = Ambiguity.IN_ORDER
    decision: Decision = Decision.MATCH
    subset: SubsetSearch = field(default_factory=SubsetSearch)
    linkage: Linkage | None = None
    legacy: bool = False
    """Null and blank keys are values like others, a null key of a match is a break, and the sentences are the legacy ones."""

    def reads(self) -> list[FieldPair]:
        """Every pair of fields that the pass reads, keys first."""
        keys = [key.pair for key in self.keys]
        linked = [] if self.linkage is None else list(self.linkage.fields)
        return [*keys, *linked, *(comparison.rule for comparison in self.rules)]

    @property
    def rules(self) -> tuple[Comparison, ...]:
        """Conditions, then comparisons."""
        return (*self.conditions, *self.comparisons)


@dataclass(frozen=True)
class Plan:
    """A rule set, ready to run."""

    passes: tuple[PassPlan, ...]
    legacy: bool
    severities: Severities
    amount: Amount | None = None
    potential_matches: PotentialMatches | None = None

    def fields(self) -> tuple[list[str], list[str]]:
        """The columns that source and target must have, each once, in the order the rules name them."""
        read = [one for each in self.passes for one in each.reads()]
        sources = [name for one in read for name in one.source_fields]
        targets = [name for one in read for name in one.target_fields]
        if self.amount is not None:
            sources += filter(None, (self.amount.source_field, self.amount.source_currency_field))
            targets += filter(None, (self.amount.target_field, self.amount.target_currency_field))
        return _unique(sources), _unique(targets)


def compile_rule_set(rule_set: RuleSet) -> Plan:
    """What a rule set says. Raises KeyFieldRequired where nothing says which records belong together."""
    return Plan(
        passes=_from_passes(rule_set.passes) if rule_set.passes else (_from_mappings(rule_set),),
        legacy=not rule_set.passes,
        severities=rule_set.severities or Severities(),
        amount=rule_set.amount,
        potential_matches=rule_set.potential_matches if rule_set.passes else None,
    )


def required_columns(rule_set: RuleSet) -> tuple[list[str], list[str]]:
    """The columns that source and target must have, each once, keys first. Raises KeyFieldRequired."""
    fields = compile_rule_set(rule_set).fields()
    if not rule_set.passes:
        mapped = rule_set.field_mappings
        fields = ([one.source_field for one in mapped] + fields[0], [one.target_field for one in mapped] + fields[1])
    return _unique(fields[0]), _unique(fields[1])


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


def _from_passes(written: Sequence[Pass]) -> tuple[PassPlan, ...]:
    numbers: dict[tuple[str, str, MatchType, int], int] = {}

    def compiled(one: Pass) -> PassPlan:
        seen: list[tuple[str, str, MatchType]] = []

        def numbered(rule: FieldRule) -> Comparison:
            same = (rule.source_field, rule.target_field, rule.match_type)
            number = numbers.setdefault((*same, seen.count(same)), len(numbers) + 1)
            seen.append(same)
            return Comparison(number, rule)

        comparisons = tuple(numbered(rule) for rule in one.comparisons)
        return PassPlan(
            name=one.name,
            keys=tuple(Key(number, pair) for number, pair in enumerate(one.keys, start=1)),
            conditions=tuple(numbered(rule) for rule in one.conditions),
            comparisons=comparisons,
            cardinality=one.cardinality,
            grouping=one.grouping,
            ambiguity=one.settling,
            decision=one.decision,
            subset=one.subset or SubsetSearch(),
            linkage=one.linkage,
        )

    return tuple(compiled(one) for one in written)
