"""Organizations and people of the tests, made at the stack's database itself."""

from __future__ import annotations

import secrets

from models import people
from models.db import Database
from models.people import DEFAULT_ORGANIZATION, Organization
from models.permissions import Role
from models.settings import Settings

PASSWORD = "a password of people"


def organization(settings: Settings) -> int:
    """The id of a new organization without anybody in it."""
    with _database(settings).write() as session:
        made = Organization(name=f"organization {secrets.token_hex(4)}")
        session.add(made)
        session.flush()
        return made.id


def user(settings: Settings, role: Role, organization_id: int = DEFAULT_ORGANIZATION) -> str:
    """The e-mail address of a new user, whose password is `PASSWORD`."""
    email = f"{role.lower()}-{secrets.token_hex(4)}@recon.test"
    with _database(settings).write() as session:
        people.add(
            session, organization_id, name=f"A {role}", email=email, role=role, password=PASSWORD, temporary=False
        )
    return email


def _database(settings: Settings) -> Database:
    return Database.from_settings(settings)
