"""What the OpenAPI document says beyond the routes' own types: names of operations, and the errors that each can really give."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from api.access import PUBLIC, access_to
from api.examples import REQUESTS, RESPONSES
from models.permissions import named

Json = dict[str, Any]

API = "/api/v1"
VERBS = {"get": "get", "post": "create", "put": "update", "patch": "edit", "delete": "delete"}
ACTIONS = frozenset(
    {
        "archive",
        "assign",
        "backtest",
        "cancel",
        "clone",
        "duplicate",
        "ignore",
        "login",
        "logout",
        "pause",
        "refresh",
        "reset",
        "resolve",
        "resume",
        "start",
        "test",
        "upload",
        "validate",
    }
)
"""Last words of paths that are what is done; every other one names what it is done to."""

NAMES = {
    "POST /auth/change-password": "changePassword",
    "GET /auth/me": "getCurrentUser",
    "POST /auth/login": "login",
    "POST /auth/logout": "logout",
    "POST /auth/refresh": "refreshTokens",
    "POST /admin/users/{id}/reset-password": "resetUserPassword",
    "POST /files/upload": "uploadFiles",
    "POST /files/upload/single": "uploadFile",
    "GET /files/{id}/download": "downloadFile",
    "GET /files/{id}/preview": "previewFile",
    "GET /reconciliations/{id}/results": "getReconciliationResults",
    "GET /reconciliations/{id}/status": "getReconciliationStatus",
    "DELETE /reconciliations/bulk": "deleteReconciliations",
    "POST /reconciliations/detect-domain": "detectFilesDomain",
    "POST /knowledge/detect-domain": "detectTextDomain",
    "GET /knowledge": "listKnowledge",
    "POST /knowledge/upload": "uploadKnowledge",
    "GET /exceptions/{id}/suggestions": "getExceptionSuggestion",
    "POST /streams/{streamId}/events": "sendStreamEvent",
    "GET /records/{fileId}/{row}/history": "getRecordHistory",
    "GET /stream-runs/{runId}/events": "watchStreamRun",
    "POST /ai/suggest-mappings": "suggestMappings",
    "POST /ai/suggest-rules": "suggestRules",
    "POST /chat/message": "sendChatMessage",
    "POST /chat/stream": "streamChatMessage",
    "DELETE /streams/{streamId}": "archiveStream",
    **{f"POST /exceptions/bulk-{act}": f"bulk{act.title().replace('-', '')}Exceptions"
       for act in ("resolve", "update", "ignore", "by-filter", "auto-resolve")},
}  # fmt: skip
"""Operations whose method and path don't say well what they do."""

REFERRING = frozenset(
    {
        "POST /streams",
        "POST /reconciliations",
        "POST /reconciliations/detect-domain",
        "POST /ai/suggest-mappings",
        "POST /ai/suggest-rules",
        "POST /chat/sessions",
        "POST /chat/message",
        "POST /chat/stream",
        "DELETE /reconciliations/bulk",
        "POST /exceptions/bulk-resolve",
        "POST /exceptions/bulk-update",
        "POST /exceptions/bulk-ignore",
    }
)
"""Operations whose query or body names what may be unknown."""

CONFLICTING = frozenset(
    {
        "POST /admin/users",
        "DELETE /reconciliations/bulk",
    }
)
"""Operations without an id in the path that a state may forbid; with one, every change may be."""

ASKING = frozenset(
    {
        "validate",
        "test",
        "backtest",
        "duplicate",
    }
)
"""Last words of POST paths that change nothing which exists."""

THROTTLED = frozenset(
    {
        "POST /auth/login",
        "POST /auth/change-password",
    }
)

WORDS = {
    "400": "A parameter or the body is wrong; `data` maps the fields to blame to texts.",
    "401": "No token or key, or one that is not valid (any more).",
    "404": "What the path, query or body names does not exist, or belongs to another organization.",
    "409": "The state of what is named forbids it; `error` says which.",
    "413": "The upload is larger than the server takes.",
    "415": "The body has another content type than the documented one.",
    "429": "Too many failed attempts; `Retry-After` says for how long.",
    "503": "Something that the server leans on does not answer.",
}
HEADERS: dict[str, Json] = {
    "401": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    "429": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
}


def install(app: FastAPI) -> None:
    """Makes `app.openapi()` give the completed document."""
    plain = app.openapi
    made: list[Json] = []

    def document() -> Json:
        if not made:
            made.append(completed(plain()))
        return made[0]

    app.openapi = document


def completed(plain: Json) -> Json:
    """FastAPI's document with names, summaries, examples and errors of every operation."""
    document = deepcopy(plain)
    document["components"]["responses"] = {status: _failure(status, text) for status, text in WORDS.items()}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, f"{method.upper()} {path.removeprefix(API)}")
    return document


def operation_id(route: str) -> str:
    """The name of an operation such as `POST /streams/{streamId}/runs`: `createStreamRun`."""
    if route in NAMES:
        return NAMES[route]
    method, _, path = route.partition(" ")
    parts = [one for one in path.split("/") if one]
    of_one = parts[-1].startswith("{")
    words = [one for one in parts if not one.startswith("{") and one != "admin"]
    verb = VERBS[method.lower()]
    *before, last = words
    if not of_one and last in ACTIONS:
        return last + "".join(_pascal(_singular(one)) for one in before)
    plural = last.endswith("s") and last != "metrics"
    if method == "GET" and plural and not of_one:
        return "list" + "".join(_pascal(_singular(one)) for one in before) + _pascal(last)
    return verb + "".join(_pascal(_singular(one)) for one in words)


def _singular(word: str) -> str:
    return word if word == "metrics" else re.sub("ie$", "y", word.removesuffix("s")) if word.endswith("s") else word


def _pascal(word: str) -> str:
    return "".join(one.capitalize() for one in word.split("-"))


def _failure(status: str, text: str) -> Json:
    schema = {"$ref": "#/components/schemas/Failure"}
    found: Json = {"description": text, "content": {"application/json": {"schema": schema}}}
    return found | ({"headers": HEADERS[status]} if status in HEADERS else {})


def _complete(operation: Json, route: str) -> None:
    name = operation_id(route)
    operation["operationId"] = name
    operation["summary"] = re.sub("(?<=[a-z])(?=[A-Z])", " ", name).capitalize()
    if route in PUBLIC:
        operation["security"] = []
    kept = {status: one for status, one in operation["responses"].items() if status.startswith("2")}
    errors = {status: {"$ref": f"#/components/responses/{status}"} for status in _errors(operation, route)}
    operation["responses"] = dict(sorted({**kept, **errors, "403": _forbidden(route)}.items()))
    if name in REQUESTS:
        operation["requestBody"]["content"]["application/json"]["example"] = REQUESTS[name]
    if name in RESPONSES:
        (answer,) = kept.values()
        answer["content"]["application/json"]["example"] = {
            "success": True,
            "data": RESPONSES[name],
            "timestamp": "2026-02-21T06:30:00Z",
        }


def _errors(operation: Json, route: str) -> list[str]:
    method, _, path = route.partition(" ")
    body = operation.get("requestBody", {}).get("content", {})
    with_id = "{" in path
    changes = method != "GET" and path.rsplit("/", 1)[-1] not in ASKING
    given = {
        "400": bool(body) or "parameters" in operation,
        "401": route != "GET /health",
        "404": with_id or route in REFERRING,
        "409": route in CONFLICTING or (with_id and changes),
        "413": "multipart/form-data" in body,
        "415": "application/json" in body or "multipart/form-data" in body,
        "429": route in THROTTLED,
        "503": True,
    }
    return [status for status, there in given.items() if there]


def _forbidden(route: str) -> Json:
    if route in PUBLIC:
        text = "Without log-in the API is for pages and programs of its own machine only."
    else:
        access = access_to(*route.split(" ", 1))
        keys = f"an API key needs the scope `{access.scope}`" if access.scope else "no API key may"
        text = f"This is for {named(access.roles)}; {keys}."
    return _failure("403", text)
