"""Log-in, tokens, and one's own password."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import anyio
from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, StringConstraints

from api.auth import Caller, Who
from api.deps import Services, Use
from api.envelope import Acknowledged, Envelope, Wire, ok
from api.wire import Given, Text
from models import passwords, people, throttle, tokens
from models.errors import ValidationFailed
from models.people import User
from models.permissions import Forbidden
from models.settings import EMAIL
from models.tokens import Tokens, Unauthenticated

public = APIRouter(prefix="/auth", tags=["auth"])
routes = APIRouter(prefix="/auth", tags=["auth"])

_HASHING = anyio.CapacityLimiter(4)
"""Passwords take time and memory to check: those who log in wait for each other, and nobody else waits for them."""


def _email(value: str) -> str:
    if not value.strip():
        raise ValueError("Email is required")
    if not EMAIL.fullmatch(value.strip()):
        raise ValueError("Email should be valid")
    return value.strip()


def _given(name: str) -> AfterValidator:
    def check(value: str) -> str:
        if not value.strip():
            raise ValueError(f"{name} is required")
        return value

    return AfterValidator(check)


Email = Annotated[Text, StringConstraints(max_length=320), AfterValidator(_email)]
Password = Annotated[Text, StringConstraints(max_length=1024), _given("Password")]


class LoginRequest(Given):
    email: Email
    password: Password


class RefreshRequest(Given):
    refresh_token: Annotated[Text, StringConstraints(max_length=4096), _given("Refresh token")]


class PasswordRequest(Given):
    current_password: Password
    new_password: Password


class UserSummary(Wire):
    id: int
    name: str
    email: str
    role: str


class AuthResponse(Wire):
    """`expiresIn`: seconds of `token`. `refreshToken` can be used once; its successor comes with the answer."""

    token: str
    refresh_token: str
    expires_in: int
    user: UserSummary


def _shape(issued: Tokens) -> AuthResponse:
    return AuthResponse(
        token=issued.access,
        refresh_token=issued.refresh,
        expires_in=issued.expires_in,
        user=UserSummary.model_validate(issued.user),
    )


@public.post("/login", response_model=Envelope[AuthResponse])
async def login(request: Request, use: Use, body: LoginRequest) -> Response:
    """Tokens for an e-mail address and its password."""
    address = request.client.host if request.client else "unknown"
    issued = await anyio.to_thread.run_sync(_login, use, body.email, body.password, address, limiter=_HASHING)
    return ok(_shape(issued), "Login successful")


def _login(use: Services, email: str, password: str, address: str) -> Tokens:
    account = people.key_of(email)
    with use.database.read() as session:
        throttle.check(session, use.settings, account, address)
        candidates = people.with_email(session, email)
    user = _matching(candidates, password)
    with use.database.write() as session:
        throttle.record(session, use.settings, account, address, succeeded=user is not None)
        issued = None if user is None else use.signer.open_session(session, session.get_one(User, user.id))
    if issued is None:
        raise Unauthenticated("Bad credentials", code="BAD_CREDENTIALS")
    return issued


def _matching(candidates: Sequence[User], password: str) -> User | None:
    """The active user whose password it is. Nobody takes as long as somebody."""
    if not candidates:
        passwords.matches(password, None)
    right = [one for one in candidates if passwords.matches(password, one.password_hash)]
    return next((one for one in right if one.active), None)


@public.post("/refresh", response_model=Envelope[AuthResponse])
def refresh(use: Use, body: RefreshRequest) -> Response:
    """New tokens for a refresh token, which is used up by it: using it again later ends the log-in."""
    with use.database.write() as session:
        issued = use.signer.refresh(session, body.refresh_token)
    if issued is None:
        raise Unauthenticated("The refresh token is no longer valid; log in again", code="TOKEN_REVOKED")
    return ok(_shape(issued), "Token refreshed")


@routes.get("/me", response_model=Envelope[UserSummary])
def me(use: Use, who: Who) -> Response:
    """Who asks."""
    if who.kind == "LOCAL":
        return ok(UserSummary(id=0, name="Local user", email="local@localhost", role=who.role))
    with use.database.read() as session:
        user = people.get(session, who.organization_id, _person(who))
    return ok(UserSummary.model_validate(user))


@routes.post("/logout", response_model=Acknowledged)
def logout(use: Use, who: Who) -> Response:
    """Ends this log-in: its access token and its refresh tokens are worth nothing from now on."""
    if who.session_id is not None:
        with use.database.write() as session:
            tokens.end_session(session, who.session_id)
    return ok(message="Logout successful")


@routes.post("/change-password", response_model=Envelope[AuthResponse])
async def change_password(request: Request, use: Use, who: Who, body: PasswordRequest) -> Response:
    """Another password for oneself. All log-ins end; the answer holds the tokens of a new one."""
    address = request.client.host if request.client else "unknown"
    issued = await anyio.to_thread.run_sync(_change_password, use, who, body, address, limiter=_HASHING)
    return ok(_shape(issued), "Password changed successfully")


def _change_password(use: Services, who: Caller, body: PasswordRequest, address: str) -> Tokens:
    with use.database.read() as session:
        user = people.get(session, who.organization_id, _person(who))
        throttle.check(session, use.settings, user.email_key, address)
    if not passwords.matches(body.current_password, user.password_hash):
        with use.database.write() as session:
            throttle.record(session, use.settings, user.email_key, address, succeeded=False)
        raise ValidationFailed("Validation failed", fields={"currentPassword": "is not the current password"})
    if body.new_password == body.current_password:
        raise ValidationFailed("Validation failed", fields={"newPassword": "must differ from the current one"})
    passwords.check(body.new_password, user.email, "newPassword")
    with use.database.write() as session:
        changed = people.get(session, who.organization_id, user.id)
        people.set_password(session, changed, body.new_password, temporary=False)
        return use.signer.open_session(session, changed)


def _person(who: Caller) -> int:
    if who.user_id is None:
        raise Forbidden("Access denied: this is for people who have logged in")
    return who.user_id
