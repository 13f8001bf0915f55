"""Rule sets as stored: field mappings, matching rules, passes; every change is a new version that runs can be pinned to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import String, UniqueConstraint, func
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, Session, SQLModel, col, select

from matching import spec
from models.base import NEVER_REUSED, json_column, primary_key, reference, time_column, utc_now
from models.errors import Conflict, NotFound


class ExactDecimal(TypeDecorator[Decimal]):
    """A Decimal kept as its text: SQLite would make it a float."""

    impl = String(64)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class StoredRuleSet(SQLModel, table=True):
    __tablename__ = "rule_sets"  # pyright: ignore[reportAssignmentType]
    __table_args__ = NEVER_REUSED

    id: int = primary_key()
    organization_id: int = reference("organizations.id")
    name: str
    description: str | None = None
    version: int = 1
    is_ai_generated: bool = False
    active: bool = True
    extra: dict[str, Any] | None = json_column()
    passes: list[dict[str, Any]] | None = json_column()
    severities: dict[str, Any] | None = json_column()
    amount: dict[str, Any] | None = json_column()
    potential_matches: dict[str, Any] | None = json_column()
    created_at: datetime = time_column()
    updated_at: datetime = time_column()


class StoredMapping(SQLModel, table=True):
    __tablename__ = "field_mappings"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    rule_set_id: int = reference("rule_sets.id")
    source_field: str
    target_field: str
    transform: str | None = None
    confidence: float | None = 1.0
    is_key: bool = False
    transform_config: dict[str, Any] | None = json_column()


class StoredRule(SQLModel, table=True):
    __tablename__ = "matching_rules"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    rule_set_id: int = reference("rule_sets.id")
    name: str
    description: str | None = None
    source_field: str
    target_field: str
    match_type: str
    tolerance: Decimal | None = Field(default=None, sa_type=ExactDecimal)
    fuzzy_threshold: float | None = None
    priority: int = 0
    active: bool = True
    config: dict[str, Any] | None = json_column()


class RuleSetVersion(SQLModel, table=True):
    """What a rule set said at one version, as `matching.spec.RuleSet` JSON; never changed."""

    __tablename__ = "rule_set_versions"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("rule_set_id", "version"),)

    id: int = primary_key()
    rule_set_id: int = Field(index=True)
    version: int
    definition: dict[str, Any] = json_column(nullable=False)
    created_at: datetime = time_column()


def get(session: Session, organization_id: int, rule_set_id: int) -> StoredRuleSet:
    """The rule set; raises NotFound where it is not the organization's."""
    found = session.get(StoredRuleSet, rule_set_id)
    if found is None or found.organization_id != organization_id:
        raise NotFound("RuleSet", rule_set_id)
    return found


def listed(
    session: Session, organization_id: int, *, offset: int = 0, limit: int | None = None
) -> tuple[Sequence[StoredRuleSet], int]:
    """The organization's rule sets, oldest first, and how many there are."""
    mine = col(StoredRuleSet.organization_id) == organization_id
    total = session.exec(select(func.count()).select_from(StoredRuleSet).where(mine)).one()
    page = select(StoredRuleSet).where(mine).order_by(col(StoredRuleSet.id)).offset(offset).limit(limit)
    return session.exec(page).all(), total


def parts(
    session: Session, rule_set_ids: Sequence[int]
) -> tuple[dict[int, list[StoredMapping]], dict[int, list[StoredRule]]]:
    """Mappings and rules of several rule sets, each in rule-set order."""
    mappings: dict[int, list[StoredMapping]] = {one: [] for one in rule_set_ids}
    rules: dict[int, list[StoredRule]] = {one: [] for one in rule_set_ids}
    chosen = col(StoredMapping.rule_set_id).in_(rule_set_ids)
    for mapping in session.exec(select(StoredMapping).where(chosen).order_by(col(StoredMapping.id))).all():
        mappings[mapping.rule_set_id].append(mapping)
    wanted = col(StoredRule.rule_set_id).in_(rule_set_ids)
    for rule in session.exec(select(StoredRule).where(wanted).order_by(col(StoredRule.id))).all():
        rules[rule.rule_set_id].append(rule)
    return mappings, rules


def replace_parts(
    session: Session, rule_set: StoredRuleSet, mappings: Sequence[StoredMapping], rules: Sequence[StoredRule]
) -> None:
    """Puts the given mappings and rules in the place of all that the rule set had."""
    old_mappings, old_rules = parts(session, [rule_set.id])
    for part in (*old_mappings[rule_set.id], *old_rules[rule_set.id]):
        session.delete(part)
    session.flush()
    add_parts(session, rule_set, mappings, rules)


def add_parts(
    session: Session, rule_set: StoredRuleSet, mappings: Sequence[StoredMapping], rules: Sequence[StoredRule]
) -> None:
    """Adds mappings and rules behind those that the rule set has."""
    for part in (*mappings, *rules):
        part.rule_set_id = rule_set.id
        session.add(part)
        # One by one: the ids are the order.
        session.flush()


Part = TypeVar("Part", StoredMapping, StoredRule)


def part(session: Session, table: type[Part], rule_set_id: int, part_id: int) -> Part:
    """One mapping or matching rule of a rule set; raises NotFound where it is not that rule set's."""
    found = session.get(table, part_id)
    if found is None or found.rule_set_id != rule_set_id:
        raise NotFound("FieldMapping" if table is StoredMapping else "MatchingRule", part_id)
    return found


def replace_part(session: Session, old: Part, new: Part) -> None:
    """Gives a mapping or matching rule the values of another one; its place among the others stays."""
    for name, value in new.model_dump(exclude={"id", "rule_set_id"}).items():
        setattr(old, name, value)
    session.add(old)


def snapshot(session: Session, rule_set: StoredRuleSet) -> spec.RuleSet:
    """Records what the rule set says now as its current version, and gives it. Raises RuleInvalid for passes that mean nothing."""
    session.flush()
    mappings, rules = parts(session, [rule_set.id])
    definition = specification(rule_set, mappings[rule_set.id], rules[rule_set.id])
    session.add(
        RuleSetVersion(
            rule_set_id=rule_set.id,
            version=rule_set.version,
            definition=definition.model_dump(mode="json", by_alias=True, exclude_none=True),
        )
    )
    return definition


def specification(
    rule_set: StoredRuleSet, mappings: Sequence[StoredMapping], rules: Sequence[StoredRule]
) -> spec.RuleSet:
    """The rule set as matching takes it."""
    return spec.rule_set_of(
        {
            "name": rule_set.name,
            "fieldMappings": [
                {"sourceField": one.source_field, "targetField": one.target_field, "isKey": one.is_key}
                for one in mappings
            ],
            "matchingRules": [
                {
                    "name": one.name,
                    "sourceField": one.source_field,
                    "targetField": one.target_field,
                    "matchType": one.match_type,
                    "tolerance": one.tolerance,
                    "fuzzyThreshold": one.fuzzy_threshold,
                    "active": one.active,
                }
                for one in rules
            ],
            "passes": rule_set.passes,
            "severities": rule_set.severities,
            "amount": rule_set.amount,
            "potentialMatches": rule_set.potential_matches,
        }
    )


def pinned(session: Session, rule_set_id: int, version: int) -> spec.RuleSet:
    """What the rule set said at `version`; raises NotFound if that was never recorded."""
    chosen = (col(RuleSetVersion.rule_set_id) == rule_set_id, col(RuleSetVersion.version) == version)
    found = session.exec(select(RuleSetVersion).where(*chosen)).one_or_none()
    if found is None:
        raise NotFound("RuleSet", rule_set_id)
    return spec.rule_set_of(found.definition)


def bump(rule_set: StoredRuleSet) -> None:
    """The next version begins."""
    rule_set.version += 1
    rule_set.updated_at = utc_now()


def remove(session: Session, organization_id: int, rule_set_id: int) -> None:
    """Deletes a rule set that nothing refers to. Raises NotFound, or Conflict (RULE_SET_IN_USE). Its versions stay."""
    from models.reconciliations import Reconciliation
    from models.streams import Step, Stream

    found = get(session, organization_id, rule_set_id)
    steps = (
        select(Stream.id)
        .join(Step, col(Step.stream_id) == col(Stream.id))
        .where(col(Step.rule_set_id) == rule_set_id, col(Stream.implicit).is_(False))
    )
    users = [f"stream {one}" for one in session.exec(steps.distinct().limit(5)).all()]
    runs = select(Reconciliation.id).where(
        col(Reconciliation.rule_set_id) == rule_set_id, col(Reconciliation.deleted_at).is_(None)
    )
    users += [f"reconciliation {one}" for one in session.exec(runs.limit(5)).all()]
    if users:
        raise Conflict(
            f"Rule set {rule_set_id} '{found.name}' is in use by {', '.join(users)}",
            code="RULE_SET_IN_USE",
            rule_set_id=rule_set_id,
            used_by=users,
        )
    replace_parts(session, found, [], [])
    session.delete(found)
