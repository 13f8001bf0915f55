"""Who asks: every request below `/api/v1` is either public or somebody's, before anything of its body is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import PUBLIC, access_to
from api.errors import answer_to
from matching.errors import ReconError
from models import api_keys
from models.actors import Actor, current_actor
from models.db import Database
from models.errors import NotFound
from models.files import StoredFile
from models.people import DEFAULT_ORGANIZATION
from models.permissions import Forbidden, Role, named
from models.settings import LOOPBACK, Settings
from models.tokens import Signer, Unauthenticated

API = "/api/v1"
DOWNLOAD = re.compile(r"/files/(\d+)/download")
CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True)
class Caller:
    """Somebody with a good token or key, as they are at this moment.

    `scopes` None: everything that the role may. `session_id` is the log-in whose token it was.
    """

    organization_id: int
    role: Role
    name: str
    kind: str = "USER"
    user_id: int | None = None
    session_id: int | None = None
    key_id: int | None = None
    scopes: frozenset[str] | None = None

    @property
    def actor(self) -> Actor:
        return Actor(self.kind, self.name, self.role, self.user_id, self.key_id, self.organization_id)


LOCAL = Caller(DEFAULT_ORGANIZATION, Role.ADMIN, "local", kind="LOCAL")
"""Everybody, where log-ins are off."""


class Authentication:
    """Puts the `Caller` into the request's state, or answers 401."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(f"{API}/"):
            await self._app(scope, receive, send)
            return
        below = path.removeprefix(API)
        try:
            if not self._settings.auth:
                caller = self._local(Headers(scope=scope))
            elif f"{scope['method']} {below}" in PUBLIC:
                await self._app(scope, receive, send)
                return
            else:
                services = scope["app"].state.services
                caller = await run_in_threadpool(identify, services.database, services.signer, scope, below)
        except ReconError as error:
            await answer_to(error)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        current_actor.set(caller.actor)
        await self._app(scope, receive, send)

    def _local(self, headers: Headers) -> Caller:
        """Everybody on this machine; not pages of elsewhere that a browser on it shows."""
        host = re.sub(r":\d+$", "", headers.get("host", "")).strip("[]")
        origin = headers.get("origin")
        own = (
            origin is None or origin in self._settings.cors_origins or origin.partition("://")[2] == headers.get("host")
        )
        if host not in LOOPBACK or not own:
            raise Forbidden("Access denied: without log-in the API is for this machine only")
        return LOCAL


def identify(database: Database, signer: Signer, scope: Scope, path: str) -> Caller:
    """Who asks for `path`. Raises Unauthenticated."""
    headers = Headers(scope=scope)
    kind, _, credentials = headers.get("authorization", "").partition(" ")
    given = credentials.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
    if not given:
        return _linked(database, signer, scope, path)
    if given.startswith(api_keys.MARK):
        return _machine(database, given)
    with database.read() as session:
        holder = signer.holder(session, given)
    return Caller(
        holder.organization_id, holder.role, holder.email, user_id=holder.user_id, session_id=holder.session_id
    )


def _machine(database: Database, given: str) -> Caller:
    with database.read() as session:
        key = api_keys.holder(session, given)
    if api_keys.unnoted(key):
        with database.write() as session:
            api_keys.note_use(session, key.id)
    scopes = None if key.scopes is None else frozenset(key.scopes)
    return Caller(key.organization_id, Role(key.role), key.name, kind="API_KEY", key_id=key.id, scopes=scopes)


def _linked(database: Database, signer: Signer, scope: Scope, path: str) -> Caller:
    """A browser that opens a download link brings nothing but the address."""
    token = QueryParams(scope["query_string"]).get("token")
    wanted = DOWNLOAD.fullmatch(path)
    if token is None or wanted is None or scope["method"] != "GET":
        raise Unauthenticated("Authentication required: send Authorization: Bearer <token>, or X-API-Key")
    file_id = signer.linked(token)
    if file_id != int(wanted[1]):
        raise Unauthenticated("The link is for another file", code="TOKEN_INVALID")
    with database.read() as session:
        stored = session.get(StoredFile, file_id)
    if stored is None:
        raise NotFound("UploadedFile", file_id)
    return Caller(stored.organization_id, Role.ANALYST, f"link to file {file_id}", kind="LINK")


async def caller(request: Request) -> Caller:
    """Who asks."""
    found: Caller = request.state.caller
    return found


async def organization(request: Request) -> int:
    """The organization whose data a request sees."""
    found: Caller = request.state.caller
    return found.organization_id


async def acting(request: Request) -> str:
    """Who asks, as histories name them."""
    found: Caller = request.state.caller
    return found.name


async def authorize(request: Request) -> None:
    """Raises Forbidden where the caller's role, or a key's scopes, don't reach the route."""
    path: str = request.scope["route"].path
    asking: Caller = request.state.caller
    access = access_to(request.method, path)
    refused: dict[str, Any] = {"role": asking.role, "allowed": sorted(access.roles)}
    if asking.role not in access.roles:
        raise Forbidden(f"Access denied: this is for {named(access.roles)}; you are {asking.role}", **refused)
    if asking.kind == "API_KEY" and access.scope is None:
        raise Forbidden("Access denied: this is for people, not for API keys", **refused)
    if asking.scopes is not None and access.scope not in asking.scopes:
        raise Forbidden(f"Access denied: the API key lacks the scope {access.scope}", **refused)


Who = Annotated[Caller, Depends(caller)]

SCHEMES = [
    Depends(
        HTTPBearer(
            scheme_name="bearer",
            auto_error=False,
            bearerFormat="JWT",
            description="A token of POST /auth/login, or an API key",
        )
    ),
    Depends(APIKeyHeader(scheme_name="apiKey", name="X-API-Key", auto_error=False)),
]
"""What the documentation says about tokens; `Authentication` looks at them."""
