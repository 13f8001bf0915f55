"""Which roles may use which route, and by which scope an API key may: one table, from the legacy's with the decisions' additions.

A route that is not in the table is for ADMIN alone; `tests/api/test_access.py` finds it.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.permissions import ADMINS, AUTHORS, EVERYONE, STAFF, Role

PUBLIC = ("POST /auth/login", "POST /auth/refresh", "GET /health")
"""What needs no token."""


@dataclass(frozen=True)
class Access:
    """`scope` None: for people only, no API key has it."""

    scope: str | None
    roles: frozenset[Role]


_TABLE: tuple[tuple[str | None, frozenset[Role], str], ...] = (
    (None, EVERYONE, "GET /auth/me, POST /auth/logout, POST /auth/change-password"),
    (None, ADMINS, "GET /admin/users, POST /admin/users, GET /admin/users/{id}, PUT /admin/users/{id}"),
    (None, ADMINS, "POST /admin/users/{id}/reset-password"),
    (None, ADMINS, "GET /admin/api-keys, POST /admin/api-keys, DELETE /admin/api-keys/{id}"),
    ("audit:read", ADMINS, "GET /audit"),
    ("files:read", STAFF, "GET /files, GET /files/{id}, GET /files/{id}/preview, GET /files/{id}/schema"),
    ("files:read", STAFF, "GET /files/{id}/download"),
    ("files:write", STAFF, "POST /files/upload, POST /files/upload/single"),
    ("files:delete", AUTHORS, "DELETE /files/{id}"),
    ("rules:read", EVERYONE, "GET /rules, GET /rules/{id}, POST /rules/{id}/test"),
    ("rules:read", STAFF, "POST /rules/{id}/backtest"),
    ("rules:write", EVERYONE, "POST /rules/{id}/duplicate"),
    ("rules:write", AUTHORS, "POST /rules, PUT /rules/{id}, DELETE /rules/{id}"),
    ("rules:write", AUTHORS, "POST /rules/{id}/mappings, POST /rules/{id}/matching-rules"),
    ("rules:write", AUTHORS, "PUT /rules/{id}/mappings/{mappingId}, DELETE /rules/{id}/mappings/{mappingId}"),
    ("rules:write", AUTHORS, "PUT /rules/{id}/matching-rules/{ruleId}, DELETE /rules/{id}/matching-rules/{ruleId}"),
    (
        "reconciliations:read",
        STAFF,
        "GET /reconciliations, GET /reconciliations/{id}, GET /reconciliations/{id}/status",
    ),
    ("reconciliations:read", STAFF, "GET /reconciliations/{id}/results, GET /reconciliations/{id}/exceptions"),
    ("reconciliations:read", STAFF, "POST /reconciliations/detect-domain, GET /reconciliations/{id}/parity"),
    ("reconciliations:write", STAFF, "POST /reconciliations, POST /reconciliations/{id}/start"),
    ("reconciliations:write", STAFF, "POST /reconciliations/{id}/cancel"),
    ("reconciliations:delete", AUTHORS, "DELETE /reconciliations/{id}, DELETE /reconciliations/bulk"),
    ("exceptions:read", EVERYONE, "GET /exceptions, GET /exceptions/runs, GET /exceptions/{id}"),
    ("exceptions:read", EVERYONE, "GET /exceptions/{id}/suggestions, GET /exceptions/{id}/history"),
    # Whose types reach what is changed is decided by `models.permissions.require_decider`.
    ("exceptions:write", EVERYONE, "PUT /exceptions/{id}, PUT /exceptions/{id}/resolve, PUT /exceptions/{id}/ignore"),
    ("exceptions:write", EVERYONE, "PUT /exceptions/{id}/assignment, POST /exceptions/{id}/comments"),
    ("exceptions:write", EVERYONE, "POST /exceptions/bulk-resolve, POST /exceptions/bulk-update"),
    ("exceptions:write", EVERYONE, "POST /exceptions/bulk-ignore, POST /exceptions/bulk-by-filter"),
    ("exceptions:write", EVERYONE, "POST /exceptions/bulk-auto-resolve"),
    ("datasources:read", EVERYONE, "GET /datasources, GET /datasources/{id}"),
    ("datasources:write", EVERYONE, "POST /datasources, PUT /datasources/{id}, DELETE /datasources/{id}"),
    ("datasources:write", EVERYONE, "POST /datasources/{id}/test"),
    ("dashboard:read", EVERYONE, "GET /dashboard/metrics"),
    ("ai:read", EVERYONE, "POST /ai/suggest-mappings, POST /ai/suggest-rules, GET /ai/config"),
    ("ai:write", ADMINS, "PUT /ai/config"),
    ("chat:read", EVERYONE, "GET /chat/sessions, GET /chat/sessions/{id}, GET /chat/sessions/{id}/messages"),
    ("chat:write", EVERYONE, "POST /chat/sessions, DELETE /chat/sessions/{id}, POST /chat/message, POST /chat/stream"),
    ("knowledge:read", EVERYONE, "GET /knowledge"),
    ("knowledge:write", AUTHORS, "POST /knowledge/detect-domain, POST /knowledge/upload, DELETE /knowledge/{id}"),
    ("streams:read", STAFF, "GET /streams, GET /streams/{streamId}, POST /streams/{streamId}/validate"),
    ("streams:write", STAFF, "POST /streams, PATCH /streams/{streamId}"),
    ("streams:write", STAFF, "POST /streams/{streamId}/pause, POST /streams/{streamId}/resume"),
    ("streams:delete", AUTHORS, "DELETE /streams/{streamId}"),
    ("runs:read", STAFF, "GET /streams/{streamId}/runs, GET /stream-runs/{runId}, GET /stream-runs/{runId}/steps"),
    ("runs:read", STAFF, "GET /step-runs/{stepRunId}/artifacts, GET /stream-runs/{runId}/lineage"),
    ("runs:read", STAFF, "GET /records/{fileId}/{row}/history, GET /stream-runs/{runId}/events"),
    ("runs:write", STAFF, "POST /streams/{streamId}/runs, POST /stream-runs/{runId}/cancel"),
    ("runs:write", STAFF, "POST /streams/{streamId}/events"),
    ("runs:write", STAFF, "POST /stream-runs/{runId}/resume"),
)

ROUTES: dict[str, Access] = {
    route: Access(scope, roles) for scope, roles, routes in _TABLE for route in routes.split(", ")
}

SCOPES = tuple(dict.fromkeys(scope for scope, _, _ in _TABLE if scope is not None))
"""What API keys can be narrowed to."""


def access_to(method: str, path: str) -> Access:
    """Who may use a route; `path` is its template below `/api/v1`."""
    return ROUTES.get(f"{method} {path}", Access(None, ADMINS))
