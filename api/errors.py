"""Errors -> HTTP statuses; the only place where they meet."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from api.envelope import failed
from matching.errors import MatchingError, ReconError
from models.errors import (
    AssistantUnavailable,
    Conflict,
    DependencyDown,
    FileUnreadable,
    FileVanished,
    NotFound,
    NotRenderable,
    PayloadTooLarge,
    PlanInvalid,
    StorageRefused,
    StorageUnavailable,
    ValidationFailed,
)
from models.permissions import Forbidden
from models.throttle import TooManyAttempts
from models.tokens import Unauthenticated

log = logging.getLogger(__name__)

STATUSES: tuple[tuple[type[ReconError], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (TooManyAttempts, 429),
    (NotFound, 404),
    (FileVanished, 404),
    (Conflict, 409),
    (PayloadTooLarge, 413),
    (DependencyDown, 503),
    (AssistantUnavailable, 503),
    (StorageUnavailable, 503),
    (StorageRefused, 503),
    (NotRenderable, 400),
    (ValidationFailed, 400),
    (FileUnreadable, 400),
    (PlanInvalid, 400),
    (MatchingError, 400),
)

HTTP_CODES = {
    400: "BAD_REQUEST",
    404: "ROUTE_NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}

LONGEST_ECHO = 100
"""Characters of a wrong value that an answer repeats."""

JAVA_TYPES = {"int_parsing": "Long", "int_type": "Long", "int_from_float": "Long", "bool_parsing": "Boolean"}
"""The legacy texts name Java's types."""

REQUIRED_TEXTS = {
    "name": "Name is required",
    "sourceField": "Source field is required",
    "targetField": "Target field is required",
    "matchType": "Match type is required",
    "sourceFileId": "Source file ID is required",
    "targetFileId": "Target file ID is required",
    "ruleSetId": "Rule set ID is required",
    "exceptionIds": "Exception IDs are required",
    "status": "Status is required",
    "email": "Email is required",
    "password": "Password is required",
    "refreshToken": "Refresh token is required",
    "role": "Role is required",
}
"""The legacy texts of fields that may not be absent or null."""


def install(app: FastAPI) -> None:
    """Gives every error the envelope."""
    app.add_exception_handler(ReconError, _recon_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def _recon_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ReconError):
        raise error
    return answer_to(error)


def answer_to(error: ReconError) -> Response:
    """The error as an answer, with the headers that belong to its status."""
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 400)
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyAttempts):
        headers["Retry-After"] = str(error.retry_after)
    return failed(status, error.code, error.message, error.fields, headers)


def _invalid_request(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    problems = error.errors()
    first = problems[0]
    place = first["loc"][0] if first["loc"] else "body"
    if place == "body" and first["type"] != "missing" and _is_foreign_type(request):
        kind = request.headers.get("content-type", "none")
        return failed(415, "UNSUPPORTED_MEDIA_TYPE", f"Expected application/json, got {kind}")
    if first["type"] == "json_invalid":
        return failed(400, "UNREADABLE_BODY", f"The body is not valid JSON: {first.get('ctx', {}).get('error', '')}")
    if place in ("path", "query"):
        name = str(first["loc"][-1])
        if first["type"] == "missing":
            return failed(400, "PARAMETER_MISSING", f"Required parameter is missing: {name}", {name: "is required"})
        refused = f"Invalid value '{_short(first.get('input'))}' for parameter '{name}'"
        expected = JAVA_TYPES.get(first["type"])
        rest = f". Expected type: {expected}" if expected else f": {first['msg']}"
        return failed(400, "INVALID_PARAMETER", refused + rest, {name: _reason(first)})
    return failed(400, "VALIDATION_FAILED", "Validation failed", {_path(one["loc"]): _reason(one) for one in problems})


def _is_foreign_type(request: Request) -> bool:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    return kind != "application/json" and not kind.endswith("+json")


def _path(loc: tuple[int | str, ...]) -> str:
    """`("body", "steps", 1, "sourceInput", "id")` as `steps[1].sourceInput.id`."""
    text = ""
    for part in loc[1:]:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "body"


def _reason(problem: dict[str, Any] | Any) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    given = problem.get("input")
    if problem["type"] == "missing" or given is None:
        return REQUIRED_TEXTS.get(str(problem["loc"][-1]), "is required")
    if isinstance(given, str | int | float | bool) and problem["type"] != "value_error":
        return f"{text} (got {_short(repr(given))})"
    return text


def _short(given: object) -> str:
    text = str(given)
    return text if len(text) <= LONGEST_ECHO else f"{text[:LONGEST_ECHO]}…"


def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 400 and error.__cause__ is not None:
        # The framework's word for a body that JSON parsing gave up on in another way than with a syntax error.
        return failed(400, "UNREADABLE_BODY", f"The body can't be read as JSON: {_short(error.__cause__)}")
    code = HTTP_CODES.get(error.status_code, "HTTP_ERROR")
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
    return failed(error.status_code, code, str(error.detail), headers=headers)


def _methods(request: Request) -> list[str]:
    """What the path takes: the router names the methods of its first route only."""
    found: set[str] = set()
    for path, operations in request.app.openapi()["paths"].items():
        if compile_path(path)[0].match(request.url.path):
            found |= {method.upper() for method in operations}
    return sorted(found)


def _unexpected(request: Request, error: Exception) -> Response:
    reference = secrets.token_hex(4).upper()
    log.error("unexpected error %s at %s %s", reference, request.method, request.url.path, exc_info=error)
    return failed(500, "INTERNAL_ERROR", f"An unexpected error occurred. Reference: {reference}")
