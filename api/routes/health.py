"""Whether the service is up."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from api.envelope import Envelope, Wire, ok

routes = APIRouter(tags=["health"])


class Health(Wire):
    status: str
    timestamp: datetime
    service: str
    version: str


@routes.get("/health", response_model=Envelope[Health])
def health() -> Response:
    """UP when the API answers."""
    return ok(Health(status="UP", timestamp=datetime.now(UTC), service="Smart Reconciliation API", version="1.0.0"))
