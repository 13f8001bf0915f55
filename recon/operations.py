"""What an operator does with people at the database itself: whoever may read it and its secret needs no password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser

from sqlmodel import Session, col, select

from models import audit, passwords, people
from models.actors import Actor, current_actor
from models.audit import Verdict
from models.db import Database
from models.errors import Conflict, ReconError
from models.people import DEFAULT_ORGANIZATION, Organization, User
from models.permissions import Role
from models.settings import Settings
from models.tokens import Signer


class UserUnknown(ReconError):
    """No active user has that address."""

    code = "USER_NOT_FOUND"


def access_token(settings: Settings, email: str | None = None) -> str:
    """A token of the user with that address, or of the first active ADMIN, who is made where there is nobody yet.

    The database has to be migrated. Raises UserUnknown.
    """
    named = settings.admin_password
    with _writing(settings) as session:
        if email is None:
            people.ensure_admin(session, settings.admin_email, named.get_secret_value() if named else None)
        return Signer.from_settings(settings).open_session(session, _user(session, email)).access


def first_password(settings: Settings) -> str | None:
    """Makes the first user with a password that is made up, and gives it; None where there are users already."""
    with _writing(settings) as session:
        return people.ensure_admin(session, settings.admin_email, None)


def reset_password(settings: Settings, email: str) -> str:
    """A temporary password for a user; every log-in of theirs ends. Raises UserUnknown."""
    password = passwords.temporary()
    with _writing(settings) as session:
        people.set_password(session, _user(session, email), password, temporary=True)
    return password


def add_organization(settings: Settings, name: str, email: str) -> str:
    """Makes an organization with an ADMIN and gives their temporary password. Raises Conflict for a name that is taken."""
    password = passwords.temporary()
    with _writing(settings) as session:
        if session.exec(select(Organization).where(col(Organization.name) == name)).first() is not None:
            raise Conflict(f"There is an organization '{name}' already", code="ORGANIZATION_EXISTS")
        made = Organization(name=name)
        session.add(made)
        session.flush()
        people.add(
            session, made.id, name="Administrator", email=email, role=Role.ADMIN, password=password, temporary=True
        )
    return password


def verdicts(settings: Settings, noted: list[str]) -> list[Verdict]:
    """How the audit of each organization stands; `noted` are ORGANIZATION:NUMBER:HASH that have to be in it."""
    expected: dict[int, dict[int, str]] = {}
    for one in noted:
        organization_id, number, said = one.split(":", 2)
        expected.setdefault(int(organization_id), {})[int(number)] = said
    database = Database.from_settings(settings)
    try:
        with database.read() as session:
            ids = session.exec(select(Organization.id).order_by(col(Organization.id))).all()
            return [audit.verify(session, one, expected.get(one)) for one in ids]
    finally:
        database.dispose()


@contextmanager
def _writing(settings: Settings) -> Iterator[Session]:
    """One transaction, in the name of whoever runs the command."""
    acting = current_actor.set(Actor("OPERATOR", getuser(), organization_id=DEFAULT_ORGANIZATION))
    database = Database.from_settings(settings)
    try:
        with database.write() as session:
            yield session
    finally:
        database.dispose()
        current_actor.reset(acting)


def _user(session: Session, email: str | None) -> User:
    """The oldest active user with the address, or the oldest active ADMIN."""
    wanted = col(User.role) == Role.ADMIN if email is None else col(User.email_key) == people.key_of(email)
    found = session.exec(select(User).where(col(User.active).is_(True), wanted).order_by(col(User.id)).limit(1)).first()
    if found is None:
        raise UserUnknown(f"No active user has the address '{email}'" if email else "There is no active ADMIN")
    return found
