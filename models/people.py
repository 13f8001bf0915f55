"""Organizations and the people in them: everything belongs to an organization and is invisible to any other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import UniqueConstraint, func
from sqlmodel import Field, Session, SQLModel, col, select

from models import passwords
from models.base import primary_key, reference, time_column, utc_now
from models.errors import Conflict, NotFound
from models.permissions import Role

DEFAULT_ORGANIZATION = 1
"""The organization that a fresh database starts with."""


class Organization(SQLModel, table=True):
    __tablename__ = "organizations"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    name: str = Field(unique=True)
    created_at: datetime = time_column()


class User(SQLModel, table=True):
    """A person in one organization. `email_key` is the address in lower case; another organization may have it too.

    `token_version` is part of every token: raising it ends all of them.
    """

    __tablename__ = "users"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("organization_id", "email_key"),)

    id: int = primary_key()
    organization_id: int = reference("organizations.id")
    name: str
    email: str
    email_key: str = Field(index=True)
    role: str
    active: bool = True
    must_change_password: bool = False
    password_hash: str
    token_version: int = 1
    created_at: datetime = time_column()
    updated_at: datetime = time_column()


def key_of(email: str) -> str:
    """By what an address is found: letters' case and surrounding space don't matter."""
    return email.strip().lower()


def get(session: Session, organization_id: int, user_id: int) -> User:
    """The user; raises NotFound where they are not the organization's."""
    found = session.get(User, user_id)
    if found is None or found.organization_id != organization_id:
        raise NotFound("User", user_id)
    return found


def listed(
    session: Session, organization_id: int, *, offset: int = 0, limit: int | None = None
) -> tuple[Sequence[User], int]:
    """The organization's users, oldest first, and how many there are."""
    mine = col(User.organization_id) == organization_id
    total = session.exec(select(func.count()).select_from(User).where(mine)).one()
    rows = session.exec(select(User).where(mine).order_by(col(User.id)).offset(offset).limit(limit)).all()
    return rows, total


def with_email(session: Session, email: str) -> Sequence[User]:
    """The users of any organization with an address, oldest first."""
    return session.exec(select(User).where(col(User.email_key) == key_of(email)).order_by(col(User.id))).all()


def add(
    session: Session, organization_id: int, *, name: str, email: str, role: Role, password: str, temporary: bool
) -> User:
    """A new user; `temporary` says that the password is to be changed. Raises Conflict (EMAIL_TAKEN) within the organization."""
    _serialize(session, organization_id)
    taken = select(User.id).where(col(User.organization_id) == organization_id, col(User.email_key) == key_of(email))
    if session.exec(taken).first() is not None:
        raise Conflict(f"There is a user with the e-mail address '{email.strip()}' already", code="EMAIL_TAKEN")
    user = User(
        organization_id=organization_id,
        name=name,
        email=email.strip(),
        email_key=key_of(email),
        role=role,
        must_change_password=temporary,
        password_hash=passwords.hashed(password),
    )
    session.add(user)
    session.flush()
    return user


def change(session: Session, user: User, *, role: Role | None, active: bool | None) -> None:
    """Sets role and state; a deactivated user's tokens end. Raises Conflict (LAST_ADMIN) where no active admin would be left."""
    _serialize(session, user.organization_id)
    after = role or Role(user.role), user.active if active is None else active
    if user.role == Role.ADMIN and user.active and after != (Role.ADMIN, True):
        others = select(func.count()).where(
            col(User.organization_id) == user.organization_id,
            col(User.role) == Role.ADMIN,
            col(User.active).is_(True),
            col(User.id) != user.id,
        )
        if session.exec(others).one() == 0:
            raise Conflict("This is the last active ADMIN; make another one first", code="LAST_ADMIN", user_id=user.id)
    if user.active and not after[1]:
        user.token_version += 1
    user.role, user.active = after
    user.updated_at = utc_now()
    session.add(user)


def set_password(session: Session, user: User, password: str, *, temporary: bool) -> None:
    """Another password; every token of the user ends."""
    user.password_hash = passwords.hashed(password)
    user.must_change_password = temporary
    user.token_version += 1
    user.updated_at = utc_now()
    session.add(user)


def ensure_admin(session: Session, email: str, password: str | None) -> str | None:
    """Makes the first user, if there is none in any organization, and gives the password; None if there is one.

    Without `password` one is made up, to be changed.
    """
    _serialize(session, DEFAULT_ORGANIZATION)
    if session.exec(select(User.id).limit(1)).first() is not None:
        return None
    chosen = password or passwords.temporary()
    add(
        session,
        DEFAULT_ORGANIZATION,
        name="System Admin",
        email=email,
        role=Role.ADMIN,
        password=chosen,
        temporary=password is None,
    )
    return chosen


def _serialize(session: Session, organization_id: int) -> None:
    """Lets one transaction at a time change the organization's people (SQLite has one writer anyway)."""
    session.exec(
        select(Organization).where(col(Organization.id) == organization_id).with_for_update(key_share=True)
    ).one()
