"""Log-ins and their tokens: short-lived access, refresh tokens that are used once, and links that download one file.

A log-in is a row; its access tokens name it, so that ending it ends them at once. Each refresh token is a row too: it is
replaced when it is used. One that is used again within the grace (parallel requests of one client) gives another successor;
later than that somebody has a copy, and the whole log-in ends.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import jwt
from sqlalchemy import delete, update
from sqlalchemy import select as select_columns
from sqlmodel import Field, Session, SQLModel, col, select

from matching.errors import ReconError
from models.base import primary_key, reference, time_column, utc_now
from models.people import User
from models.permissions import Role
from models.settings import Settings
from models.signing import signing_secret

ALGORITHM = "HS256"


class Unauthenticated(ReconError):
    """Nobody knows who asks; `code` says why."""

    code = "UNAUTHENTICATED"

    def __init__(self, message: str, *, code: str = "UNAUTHENTICATED") -> None:
        super().__init__(message)
        self.code = code


class TokenKind(StrEnum):
    """What a token is good for; none is taken for another."""

    ACCESS = "access"
    REFRESH = "refresh"
    DOWNLOAD = "download"


class LoginSession(SQLModel, table=True):
    """One log-in with all the tokens that came of it; over at `expires_at` at the latest, when its last token is."""

    __tablename__ = "login_sessions"  # pyright: ignore[reportAssignmentType]
    __table_args__ = {"sqlite_autoincrement": True}

    id: int = primary_key()
    user_id: int = reference("users.id")
    expires_at: datetime = time_column(index=True)
    revoked_at: datetime | None = time_column(nullable=True)
    created_at: datetime = time_column()


class RefreshToken(SQLModel, table=True):
    """`replaced_at` is when it was used for the first time."""

    __tablename__ = "refresh_tokens"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    session_id: int = reference("login_sessions.id")
    token_id: str = Field(unique=True)
    expires_at: datetime = time_column(index=True)
    replaced_at: datetime | None = time_column(nullable=True)


@dataclass(frozen=True)
class Holder:
    """Who a good access token was given to, as they are now."""

    user_id: int
    organization_id: int
    email: str
    role: Role
    session_id: int


@dataclass(frozen=True)
class Tokens:
    """What a client gets; `expires_in` are the access token's seconds."""

    access: str
    refresh: str
    expires_in: int
    user: User


class Signer:
    """Makes and reads signed tokens."""

    def __init__(self, secret: bytes, settings: Settings) -> None:
        self._secret = secret
        self._settings = settings

    @classmethod
    def from_settings(cls, settings: Settings) -> Signer:
        return cls(signing_secret(settings), settings)

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self._settings.refresh_grace)

    def open_session(self, session: Session, user: User) -> Tokens:
        """A new log-in. What has expired of everybody's is forgotten on the way."""
        now = utc_now()
        session.execute(delete(RefreshToken).where(col(RefreshToken.expires_at) < now))
        over = select(LoginSession.id).where(col(LoginSession.expires_at) < now)
        session.execute(delete(RefreshToken).where(col(RefreshToken.session_id).in_(over)))
        session.execute(delete(LoginSession).where(col(LoginSession.expires_at) < now))
        opened = LoginSession(user_id=user.id, expires_at=now)
        session.add(opened)
        session.flush()
        return self._issue(session, user, opened, now)

    def _issue(self, session: Session, user: User, opened: LoginSession, now: datetime) -> Tokens:
        access_end = now + timedelta(seconds=self._settings.access_token_seconds)
        refresh_end = now + timedelta(seconds=self._settings.refresh_token_seconds)
        successor = RefreshToken(session_id=opened.id, token_id=secrets.token_urlsafe(18), expires_at=refresh_end)
        opened.expires_at = max(access_end, refresh_end)
        session.add_all([successor, opened])
        session.flush()
        about = {"sub": user.email, "iat": now, "sid": opened.id, "ver": user.token_version}
        facts = {"userId": user.id, "role": user.role, "orgId": user.organization_id}
        return Tokens(
            access=self._sign({**about, **facts, "exp": access_end, "type": TokenKind.ACCESS}),
            refresh=self._sign({**about, "exp": refresh_end, "type": TokenKind.REFRESH, "jti": successor.token_id}),
            expires_in=self._settings.access_token_seconds,
            user=user,
        )

    def refresh(self, session: Session, token: str) -> Tokens | None:
        """The successors of a refresh token; None where it has no value any more, which may just have ended the log-in.

        The caller commits in both cases. Raises Unauthenticated for a token that is none of ours.
        """
        claims = self.read(token, TokenKind.REFRESH)
        now = utc_now()
        mine = col(RefreshToken.token_id) == claims["jti"]
        first_use = session.execute(
            update(RefreshToken).where(mine, col(RefreshToken.replaced_at).is_(None)).values(replaced_at=now)
        )
        known = session.exec(select(RefreshToken).where(mine)).one_or_none()
        opened = None if known is None else session.get(LoginSession, known.session_id)
        if known is None or opened is None or opened.revoked_at is not None:
            return None
        user = session.get_one(User, opened.user_id)
        if not user.active or user.token_version != claims["ver"]:
            return None
        used_again = int(first_use.rowcount) == 0  # pyright: ignore[reportAttributeAccessIssue] - an UPDATE's result has it
        if used_again and known.replaced_at is not None and now - known.replaced_at > self.grace:
            opened.revoked_at = now
            session.add(opened)
            return None
        return self._issue(session, user, opened, now)

    def holder(self, session: Session, token: str) -> Holder:
        """Whose access token it is. Raises Unauthenticated."""
        claims = self.read(token, TokenKind.ACCESS)
        chosen = (
            select_columns(
                col(User.id), col(User.organization_id), col(User.email), col(User.role), col(User.token_version)
            )
            .join(LoginSession, col(LoginSession.user_id) == col(User.id))
            .where(
                col(LoginSession.id) == claims["sid"],
                col(LoginSession.revoked_at).is_(None),
                col(User.id) == claims["userId"],
                col(User.active).is_(True),
            )
        )
        found = session.execute(chosen).one_or_none()
        if found is None or found[4] != claims["ver"]:
            raise Unauthenticated("The token is no longer valid; log in again", code="TOKEN_REVOKED")
        return Holder(found[0], found[1], found[2], Role(found[3]), claims["sid"])

    def link(self, file_id: int) -> str:
        """A token that downloads one file, for an address that a browser opens."""
        end = utc_now() + timedelta(seconds=self._settings.link_seconds)
        return self._sign({"fileId": file_id, "exp": end, "type": TokenKind.DOWNLOAD})

    def linked(self, token: str) -> int:
        """The file of a download token. Raises Unauthenticated."""
        return self.read(token, TokenKind.DOWNLOAD)["fileId"]

    def read(self, token: str, kind: TokenKind) -> dict[str, Any]:
        """The claims of a token of that kind. Raises Unauthenticated (TOKEN_EXPIRED, TOKEN_INVALID)."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._secret, algorithms=[ALGORITHM], options={"require": ["exp", "type"]}
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired", code="TOKEN_EXPIRED") from None
        except jwt.InvalidTokenError:
            raise Unauthenticated("The token is not valid", code="TOKEN_INVALID") from None
        if claims["type"] != kind:
            raise Unauthenticated(f"The token is not valid: {kind} is needed", code="TOKEN_INVALID")
        return claims

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)


def end_session(session: Session, session_id: int) -> None:
    """Ends one log-in and all its tokens."""
    session.execute(
        update(LoginSession)
        .where(col(LoginSession.id) == session_id, col(LoginSession.revoked_at).is_(None))
        .values(revoked_at=utc_now())
    )
