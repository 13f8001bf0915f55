"""Rule sets: the legacy routes, with the additive fields `passes`, `severities`, `amount` and `potentialMatches`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AfterValidator, Field, model_validator
from sqlmodel import Session

from api.deps import Org, RecordId, Use
from api.envelope import Acknowledged, Envelope, PageOf, PagingQuery, Wire, ok
from api.wire import Given, JsonObject, Text
from matching.terms import LEGACY_MATCH_TYPES, MatchType
from models import rules
from models.rules import StoredMapping, StoredRule, StoredRuleSet

routes = APIRouter(prefix="/rules", tags=["rules"])

MOST_DIGITS = 60

Amount = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=MOST_DIGITS)]


def required(text: str) -> Any:
    """A string that may not be blank; `text` is the legacy's word for it."""

    def check(value: str) -> str:
        if not value.strip():
            raise ValueError(text)
        return value

    return AfterValidator(check)


class FieldMappingRequest(Given):
    source_field: Annotated[Text, required("Source field is required")]
    target_field: Annotated[Text, required("Target field is required")]
    transform: Text | None = None
    confidence: float | None = Field(default=1.0, allow_inf_nan=False)
    is_key: bool | None = None
    is_key_field: bool | None = None
    transform_config: JsonObject | None = None

    def stored(self) -> StoredMapping:
        facts = self.model_dump(exclude={"is_key", "is_key_field"})
        is_key = self.is_key if self.is_key is not None else self.is_key_field
        return StoredMapping(**facts, is_key=bool(is_key))


class MatchingRuleRequest(Given):
    name: Annotated[Text, required("Name is required")]
    description: Text | None = None
    source_field: Annotated[Text, required("Source field is required")]
    target_field: Annotated[Text, required("Target field is required")]
    match_type: MatchType
    tolerance: Amount | None = None
    fuzzy_threshold: float | None = Field(default=None, allow_inf_nan=False)
    threshold: Amount | None = None
    priority: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | None = 0
    is_active: bool | None = None
    config: JsonObject | None = None

    @model_validator(mode="after")
    def _legacy_type(self) -> MatchingRuleRequest:
        if self.match_type not in LEGACY_MATCH_TYPES:
            raise ValueError(f"matchType {self.match_type} is for comparisons of a pass")
        return self

    def stored(self) -> StoredRule:
        facts = self.model_dump(exclude={"threshold", "is_active", "priority", "tolerance", "fuzzy_threshold"})
        tolerance, fuzzy = self.tolerance, self.fuzzy_threshold
        if self.threshold is not None and self.match_type is MatchType.FUZZY and fuzzy is None:
            fuzzy = float(self.threshold)
        if self.threshold is not None and self.match_type is MatchType.RANGE and tolerance is None:
            tolerance = self.threshold
        return StoredRule(
            **facts,
            tolerance=tolerance,
            fuzzy_threshold=fuzzy,
            priority=self.priority or 0,
            active=self.is_active is not False,
        )


class RuleSetRequest(Given):
    name: Annotated[Text, required("Name is required")]
    description: Text | None = None
    is_ai_generated: bool | None = None
    metadata: JsonObject | None = None
    field_mappings: list[FieldMappingRequest] | None = None
    matching_rules: list[MatchingRuleRequest] | None = None
    passes: list[JsonObject] | None = None
    severities: JsonObject | None = None
    amount: JsonObject | None = None
    potential_matches: JsonObject | None = None
    is_active: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_known_with_passes(cls, value: Any) -> Any:
        """Older clients may send whatever they like; who writes passes knows this interface."""
        if not isinstance(value, dict) or not value.get("passes"):
            return value
        given: dict[str, Any] = value
        names = [field.alias or name for name, field in cls.model_fields.items()]
        shown = [field.alias or name for name, field in RuleSet.model_fields.items()]
        unknown = ", ".join(f"'{name}'" for name in given if name not in {*names, *shown})
        if unknown:
            raise ValueError(f"unknown option {unknown}; available: {', '.join(names)}")
        return given


class TestRequest(Given):
    sample_size: int


class FieldMapping(Wire):
    id: int
    source_field: str
    target_field: str
    transform: str | None
    confidence: float | None
    is_key: bool
    is_key_field: bool
    transform_config: dict[str, Any] | None


class MatchingRule(Wire):
    id: int
    name: str
    description: str | None
    source_field: str
    target_field: str
    match_type: str
    tolerance: float | None
    fuzzy_threshold: float | None
    threshold: float | None
    priority: int
    active: bool
    is_active: bool
    config: dict[str, Any] | None


class RuleSet(Wire):
    id: int
    name: str
    description: str | None
    version: int
    is_ai_generated: bool
    active: bool
    is_active: bool
    field_mappings: list[FieldMapping]
    matching_rules: list[MatchingRule]
    passes: list[dict[str, Any]] | None
    severities: dict[str, Any] | None
    amount: dict[str, Any] | None
    potential_matches: dict[str, Any] | None
    metadata: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime


class TestedMapping(Wire):
    source_field: str
    target_field: str
    success: bool


class TestedRule(Wire):
    name: str
    match_type: str


class TestStats(Wire):
    valid_mappings: int
    valid_rules: int


class TestResult(Wire):
    field_mappings: list[TestedMapping]
    matching_rules: list[TestedRule]
    stats: TestStats


def _mapping(stored: StoredMapping) -> FieldMapping:
    return FieldMapping(**stored.model_dump(exclude={"rule_set_id"}), is_key_field=stored.is_key)


def _rule(stored: StoredRule) -> MatchingRule:
    tolerance = None if stored.tolerance is None else float(stored.tolerance)
    threshold = {MatchType.FUZZY.value: stored.fuzzy_threshold, MatchType.RANGE.value: tolerance}
    facts = stored.model_dump(exclude={"rule_set_id", "tolerance"})
    return MatchingRule(
        **facts, tolerance=tolerance, threshold=threshold.get(stored.match_type), is_active=stored.active
    )


def _shape(stored: StoredRuleSet, mappings: Sequence[StoredMapping], of_fields: Sequence[StoredRule]) -> RuleSet:
    return RuleSet(
        **stored.model_dump(exclude={"organization_id", "extra"}),
        metadata=stored.extra,
        is_active=stored.active,
        field_mappings=[_mapping(one) for one in mappings],
        matching_rules=[_rule(one) for one in of_fields],
    )


def load(session: Session, stored: StoredRuleSet) -> RuleSet:
    mappings, of_fields = rules.parts(session, [stored.id])
    return _shape(stored, mappings[stored.id], of_fields[stored.id])


def _fill(stored: StoredRuleSet, body: RuleSetRequest) -> None:
    stored.name = body.name
    stored.description = body.description
    stored.extra = body.metadata
    stored.passes = body.passes
    stored.severities = body.severities
    stored.amount = body.amount
    stored.potential_matches = body.potential_matches
    if body.is_active is not None:
        stored.active = body.is_active


@routes.post("", status_code=201, response_model=Envelope[RuleSet])
def create(use: Use, org: Org, body: RuleSetRequest) -> Response:
    """A rule set without a key can be created; it fails when it runs."""
    with use.database.write() as session:
        stored = StoredRuleSet(organization_id=org, name=body.name, is_ai_generated=bool(body.is_ai_generated))
        _fill(stored, body)
        session.add(stored)
        session.flush()
        rules.add_parts(
            session,
            stored,
            [one.stored() for one in body.field_mappings or []],
            [one.stored() for one in body.matching_rules or []],
        )
        rules.snapshot(session, stored)
        shaped = load(session, stored)
    return ok(shaped, "Rule set created successfully", status=201)


@routes.get("", response_model=Envelope[list[RuleSet] | PageOf[RuleSet]])
def listed(use: Use, org: Org, paging: PagingQuery) -> Response:
    """The rule sets, oldest first."""
    with use.database.read() as session:
        rows, total = rules.listed(session, org, **paging.window)
        mappings, of_fields = rules.parts(session, [one.id for one in rows])
    return paging.answer(rows, total, lambda one: _shape(one, mappings[one.id], of_fields[one.id]))


@routes.get("/{id}", response_model=Envelope[RuleSet])
def one(use: Use, org: Org, id: RecordId) -> Response:
    """One rule set with its mappings and rules."""
    with use.database.read() as session:
        shaped = load(session, rules.get(session, org, id))
    return ok(shaped)


@routes.put("/{id}", response_model=Envelope[RuleSet])
def update(use: Use, org: Org, id: RecordId, body: RuleSetRequest) -> Response:
    """Replaces everything; an absent list empties. Runs that have begun keep the version they began with."""
    with use.database.write() as session:
        stored = rules.get(session, org, id)
        _fill(stored, body)
        rules.bump(stored)
        session.add(stored)
        rules.replace_parts(
            session,
            stored,
            [one.stored() for one in body.field_mappings or []],
            [one.stored() for one in body.matching_rules or []],
        )
        rules.snapshot(session, stored)
        shaped = load(session, stored)
    return ok(shaped, "Rule set updated successfully")


@routes.delete("/{id}", response_model=Acknowledged)
def delete(use: Use, org: Org, id: RecordId) -> Response:
    """Deletes a rule set that nothing uses."""
    with use.database.write() as session:
        rules.remove(session, org, id)
    return ok(message="Rule set deleted successfully")


@routes.post("/{id}/duplicate", status_code=201, response_model=Envelope[RuleSet])
def duplicate(use: Use, org: Org, id: RecordId) -> Response:
    """A copy at version 1."""
    with use.database.write() as session:
        original = rules.get(session, org, id)
        facts = original.model_dump(
            include={"description", "active", "extra", "passes", "severities", "amount", "potential_matches"}
        )
        copy = StoredRuleSet(organization_id=org, name=f"{original.name} (Copy)", **facts)
        session.add(copy)
        session.flush()
        mappings, of_fields = rules.parts(session, [id])
        rules.add_parts(
            session,
            copy,
            [StoredMapping(**part.model_dump(exclude={"id"})) for part in mappings[id]],
            [StoredRule(**part.model_dump(exclude={"id"})) for part in of_fields[id]],
        )
        rules.snapshot(session, copy)
        shaped = load(session, copy)
    return ok(shaped, "Rule set duplicated successfully", status=201)


@routes.post("/{id}/test", response_model=Envelope[TestResult])
def test(use: Use, org: Org, id: RecordId, body: TestRequest) -> Response:  # noqa: ARG001 - clients have to send it
    """Says what the rule set has; no row is read."""
    with use.database.read() as session:
        stored = rules.get(session, org, id)
        mappings, of_fields = rules.parts(session, [stored.id])
    result = TestResult(
        field_mappings=[
            TestedMapping(source_field=part.source_field, target_field=part.target_field, success=True)
            for part in mappings[id]
        ],
        matching_rules=[TestedRule(name=part.name, match_type=part.match_type) for part in of_fields[id]],
        stats=TestStats(valid_mappings=len(mappings[id]), valid_rules=len(of_fields[id])),
    )
    return ok(result, "Rule set test completed successfully")
