"""Single mappings and matching rules of a rule set; each act makes a new version of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Response
from sqlmodel import Session

from api.deps import Org, RecordId, Services, Use
from api.envelope import Envelope, ok
from api.routes.rules import FieldMappingRequest, MatchingRuleRequest, RuleSet, load
from models import rules
from models.rules import StoredMapping, StoredRule, StoredRuleSet

routes = APIRouter(prefix="/rules/{id}", tags=["rules"])


@contextmanager
def _next_version(use: Services, org: int, rule_set_id: int) -> Iterator[tuple[Session, StoredRuleSet]]:
    with use.database.write() as session:
        stored = rules.get(session, org, rule_set_id)
        rules.bump(stored)
        session.add(stored)
        yield session, stored


def _answer(session: Session, stored: StoredRuleSet, message: str) -> Response:
    rules.snapshot(session, stored)
    return ok(load(session, stored), message)


@routes.post("/mappings", response_model=Envelope[RuleSet])
def add_mapping(use: Use, org: Org, id: RecordId, body: FieldMappingRequest) -> Response:
    """Adds a field mapping behind the others."""
    with _next_version(use, org, id) as (session, stored):
        rules.add_parts(session, stored, [body.stored()], [])
        return _answer(session, stored, "Field mapping added successfully")


@routes.put("/mappings/{mappingId}", response_model=Envelope[RuleSet])
def change_mapping(
    use: Use,
    org: Org,
    id: RecordId,
    mappingId: RecordId,  # noqa: N803 - the name on the wire
    body: FieldMappingRequest,
) -> Response:
    """Replaces a field mapping in its place."""
    with _next_version(use, org, id) as (session, stored):
        rules.replace_part(session, rules.part(session, StoredMapping, id, mappingId), body.stored())
        return _answer(session, stored, "Field mapping updated successfully")


@routes.delete("/mappings/{mappingId}", response_model=Envelope[RuleSet])
def remove_mapping(use: Use, org: Org, id: RecordId, mappingId: RecordId) -> Response:  # noqa: N803
    """Takes a field mapping away."""
    with _next_version(use, org, id) as (session, stored):
        session.delete(rules.part(session, StoredMapping, id, mappingId))
        return _answer(session, stored, "Field mapping deleted successfully")


@routes.post("/matching-rules", response_model=Envelope[RuleSet])
def add_rule(use: Use, org: Org, id: RecordId, body: MatchingRuleRequest) -> Response:
    """Adds a matching rule behind the others."""
    with _next_version(use, org, id) as (session, stored):
        rules.add_parts(session, stored, [], [body.stored()])
        return _answer(session, stored, "Matching rule added successfully")


@routes.put("/matching-rules/{ruleId}", response_model=Envelope[RuleSet])
def change_rule(
    use: Use,
    org: Org,
    id: RecordId,
    ruleId: RecordId,  # noqa: N803 - the name on the wire
    body: MatchingRuleRequest,
) -> Response:
    """Replaces a matching rule in its place."""
    with _next_version(use, org, id) as (session, stored):
        rules.replace_part(session, rules.part(session, StoredRule, id, ruleId), body.stored())
        return _answer(session, stored, "Matching rule updated successfully")


@routes.delete("/matching-rules/{ruleId}", response_model=Envelope[RuleSet])
def remove_rule(use: Use, org: Org, id: RecordId, ruleId: RecordId) -> Response:  # noqa: N803
    """Takes a matching rule away."""
    with _next_version(use, org, id) as (session, stored):
        session.delete(rules.part(session, StoredRule, id, ruleId))
        return _answer(session, stored, "Matching rule deleted successfully")
