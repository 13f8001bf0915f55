"""The audit of one's organization."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from api.deps import Org, Use
from api.envelope import Envelope, PageOf, Wire, ok, page_of
from models import audit
from models.audit import AuditEntry

routes = APIRouter(prefix="/audit", tags=["audit"])


class AuditDetail(Wire):
    """One change. `hash` is over all of it and `previousHash`; `recon audit verify` proves the chain whole."""

    number: int
    at: datetime
    actor_kind: str
    actor_id: int | None
    actor_name: str
    action: str
    entity: str
    entity_id: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    previous_hash: str
    hash: str


def _shape(entry: AuditEntry) -> AuditDetail:
    facts = entry.model_dump(exclude={"id", "organization_id", "before", "after"})
    before, after = (None if text is None else json.loads(text) for text in (entry.before, entry.after))
    return AuditDetail(**facts, before=before, after=after)


@routes.get("", response_model=Envelope[PageOf[AuditDetail]])
def listed(
    use: Use,
    org: Org,
    entity: Annotated[str | None, Query(max_length=100, description="such as RuleSet, StreamRun, User")] = None,
    entity_id: Annotated[int | None, Query(alias="entityId", ge=-(2**63), le=2**63 - 1)] = None,
    page: Annotated[int, Query(ge=0, le=2**31)] = 0,
    size: Annotated[int, Query(ge=1, le=500)] = 20,
) -> Response:
    """Who changed what, newest first."""
    with use.database.read() as session:
        rows, total = audit.page(session, org, entity=entity, entity_id=entity_id, offset=page * size, limit=size)
    return ok(page_of([_shape(one) for one in rows], total, page, size))
