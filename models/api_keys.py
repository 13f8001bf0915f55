"""API keys: how machines of an organization identify themselves. Only a hash of a key is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, update
from sqlmodel import Field, Session, SQLModel, col, select

from models.base import json_column, primary_key, reference, time_column, utc_now
from models.errors import NotFound
from models.permissions import Role
from models.tokens import Unauthenticated

MARK = "rk_"
"""Begins every key, so that people and scanners recognise one."""

SHOWN = len(MARK) + 8
"""Characters of a key that stay readable."""

USE_NOTED = timedelta(minutes=1)
"""How exact `last_used_at` is."""


class ApiKey(SQLModel, table=True):
    """What a key may do is what its role may do, narrowed to `scopes` where there are any."""

    __tablename__ = "api_keys"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    organization_id: int = reference("organizations.id")
    name: str
    prefix: str
    key_hash: str = Field(unique=True)
    role: str
    scopes: list[str] | None = json_column()
    created_by: int | None = reference("users.id", nullable=True, index=False)
    created_at: datetime = time_column()
    expires_at: datetime = time_column()
    last_used_at: datetime | None = time_column(nullable=True)
    revoked_at: datetime | None = time_column(nullable=True)


def create(
    session: Session,
    organization_id: int,
    *,
    name: str,
    role: Role,
    scopes: list[str] | None,
    days: int,
    created_by: int | None,
) -> tuple[ApiKey, str]:
    """A new key, and its text, which is never to be had again."""
    text = MARK + secrets.token_urlsafe(32)
    key = ApiKey(
        organization_id=organization_id,
        name=name,
        prefix=text[:SHOWN],
        key_hash=_hash(text),
        role=role,
        scopes=scopes,
        created_by=created_by,
        expires_at=utc_now() + timedelta(days=days),
    )
    session.add(key)
    session.flush()
    return key, text


def listed(
    session: Session, organization_id: int, *, offset: int = 0, limit: int | None = None
) -> tuple[Sequence[ApiKey], int]:
    """The organization's keys that were not revoked, oldest first, and how many there are."""
    mine = (col(ApiKey.organization_id) == organization_id, col(ApiKey.revoked_at).is_(None))
    total = session.exec(select(func.count()).select_from(ApiKey).where(*mine)).one()
    rows = session.exec(select(ApiKey).where(*mine).order_by(col(ApiKey.id)).offset(offset).limit(limit)).all()
    return rows, total


def revoke(session: Session, organization_id: int, key_id: int) -> None:
    """Ends a key at once. Raises NotFound."""
    found = session.get(ApiKey, key_id)
    if found is None or found.organization_id != organization_id or found.revoked_at is not None:
        raise NotFound("ApiKey", key_id)
    found.revoked_at = utc_now()
    session.add(found)


def holder(session: Session, text: str) -> ApiKey:
    """The key that was given. Raises Unauthenticated where it is unknown, revoked or expired."""
    found = session.exec(select(ApiKey).where(col(ApiKey.key_hash) == _hash(text))).one_or_none()
    if found is None or found.revoked_at is not None:
        raise Unauthenticated("The API key is not valid", code="TOKEN_INVALID")
    if found.expires_at <= utc_now():
        raise Unauthenticated(f"The API key {found.prefix}… has expired", code="TOKEN_EXPIRED")
    return found


def unnoted(key: ApiKey) -> bool:
    """Whether this use of the key should be noted."""
    return key.last_used_at is None or utc_now() - key.last_used_at > USE_NOTED


def note_use(session: Session, key_id: int) -> None:
    session.execute(update(ApiKey).where(col(ApiKey.id) == key_id).values(last_used_at=utc_now()))


def _hash(text: str) -> str:
    # A key has 256 random bits: nothing is gained by a slow hash.
    return hashlib.sha256(text.encode()).hexdigest()
