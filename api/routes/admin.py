"""What administrators do: people of their organization, and its API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field, StrictBool

from api.access import SCOPES
from api.auth import Who
from api.deps import Org, RecordId, Use
from api.envelope import Acknowledged, Envelope, PageOf, PagingQuery, Wire, ok
from api.routes.auth import Email
from api.wire import Given, Name
from models import api_keys, passwords, people
from models.errors import ValidationFailed
from models.permissions import Role

routes = APIRouter(prefix="/admin", tags=["admin"])

MOST_DAYS = 3650


class UserRequest(Given):
    name: Name
    email: Email
    role: Role


class UserChange(Given):
    """What is left out stays."""

    role: Role | None = None
    active: StrictBool | None = None


class UserDetail(Wire):
    id: int
    name: str
    email: str
    role: str
    active: bool
    must_change_password: bool
    created_at: datetime
    updated_at: datetime


class UserCreated(Wire):
    """The password is shown here only."""

    user: UserDetail
    temp_password: str


class ApiKeyRequest(Given):
    """`scopes` left out: all that the role may, people and keys excepted."""

    name: Name
    role: Role = Role.ANALYST
    scopes: Annotated[list[str], Field(min_length=1, max_length=len(SCOPES))] | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 90


class ApiKeyDetail(Wire):
    """`prefix` is how the key begins; the rest of it is not kept."""

    id: int
    name: str
    prefix: str
    role: str
    scopes: list[str] | None
    created_by: int | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class ApiKeyCreated(Wire):
    """The key is shown here only."""

    api_key: ApiKeyDetail
    key: str


@routes.get("/users", response_model=Envelope[list[UserDetail] | PageOf[UserDetail]])
def listed(use: Use, org: Org, paging: PagingQuery) -> Response:
    """The people of one's organization, oldest first."""
    with use.database.read() as session:
        rows, total = people.listed(session, org, **paging.window)
    return paging.answer(rows, total, UserDetail.model_validate)


@routes.post("/users", status_code=201, response_model=Envelope[UserCreated])
def create(use: Use, org: Org, body: UserRequest) -> Response:
    """A new user with a temporary password."""
    password = passwords.temporary()
    with use.database.write() as session:
        user = people.add(
            session, org, name=body.name, email=body.email, role=body.role, password=password, temporary=True
        )
    made = UserCreated(user=UserDetail.model_validate(user), temp_password=password)
    return ok(made, "User created successfully", status=201)


@routes.get("/users/{id}", response_model=Envelope[UserDetail])
def one(use: Use, org: Org, id: RecordId) -> Response:
    """One user of one's organization."""
    with use.database.read() as session:
        user = people.get(session, org, id)
    return ok(UserDetail.model_validate(user))


@routes.put("/users/{id}", response_model=Envelope[UserDetail])
def update(use: Use, org: Org, id: RecordId, body: UserChange) -> Response:
    """Another role, or another state: a deactivated user is out at once."""
    with use.database.write() as session:
        user = people.get(session, org, id)
        people.change(session, user, role=body.role, active=body.active)
    return ok(UserDetail.model_validate(user), "User updated successfully")


@routes.post("/users/{id}/reset-password", response_model=Envelope[UserCreated])
def reset_password(use: Use, org: Org, id: RecordId) -> Response:
    """A temporary password in the place of one that was forgotten; every log-in of the user ends."""
    password = passwords.temporary()
    with use.database.write() as session:
        user = people.get(session, org, id)
        people.set_password(session, user, password, temporary=True)
    made = UserCreated(user=UserDetail.model_validate(user), temp_password=password)
    return ok(made, "Password reset successfully")


@routes.get("/api-keys", response_model=Envelope[list[ApiKeyDetail] | PageOf[ApiKeyDetail]])
def keys(use: Use, org: Org, paging: PagingQuery) -> Response:
    """The organization's API keys, also those that have expired; oldest first."""
    with use.database.read() as session:
        rows, total = api_keys.listed(session, org, **paging.window)
    return paging.answer(rows, total, ApiKeyDetail.model_validate)


@routes.post("/api-keys", status_code=201, response_model=Envelope[ApiKeyCreated])
def create_key(use: Use, org: Org, who: Who, body: ApiKeyRequest) -> Response:
    """A key for a machine: sent as `Authorization: Bearer rk_…` or `X-API-Key`."""
    unknown = sorted(set(body.scopes or ()) - set(SCOPES))
    if unknown:
        text = f"unknown: {', '.join(unknown)[:200]}; there are {', '.join(SCOPES)}"
        raise ValidationFailed("Validation failed", fields={"scopes": text})
    with use.database.write() as session:
        key, text = api_keys.create(
            session,
            org,
            name=body.name,
            role=body.role,
            scopes=body.scopes and sorted(set(body.scopes)),
            days=body.expires_in_days,
            created_by=who.user_id,
        )
    made = ApiKeyCreated(api_key=ApiKeyDetail.model_validate(key), key=text)
    return ok(made, "API key created successfully", status=201)


@routes.delete("/api-keys/{id}", response_model=Acknowledged)
def revoke_key(use: Use, org: Org, id: RecordId) -> Response:
    """Ends a key at once."""
    with use.database.write() as session:
        api_keys.revoke(session, org, id)
    return ok(message="API key revoked successfully")
