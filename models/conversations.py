"""Chat sessions, and what an organization prefers of the pages that need a model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Field, Session, SQLModel, col, select

from models.base import NEVER_REUSED, big_integer, primary_key, reference, time_column, utc_now
from models.errors import NotFound

PROVIDERS = ("anthropic", "openai", "deepseek")
PROVIDER = "ai.provider"
"""The name of the preference."""


class ChatSession(SQLModel, table=True):
    """One that was deleted is not `active`, and shows nowhere."""

    __tablename__ = "chat_sessions"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (NEVER_REUSED,)

    id: int = primary_key()
    organization_id: int = reference("organizations.id")
    title: str
    reconciliation_id: int | None = big_integer(None)
    active: bool = True
    created_at: datetime = time_column()
    updated_at: datetime = time_column()


class Preference(SQLModel, table=True):
    """One value of one organization."""

    __tablename__ = "preferences"  # pyright: ignore[reportAssignmentType]

    organization_id: int = Field(primary_key=True, foreign_key="organizations.id", sa_type=big_integer().sa_type)
    name: str = Field(primary_key=True)
    value: str


def get(session: Session, organization_id: int, session_id: int) -> ChatSession:
    """The session; raises NotFound where it was deleted or is not the organization's."""
    found = session.get(ChatSession, session_id)
    if found is None or found.organization_id != organization_id or not found.active:
        raise NotFound("ChatSession", session_id)
    return found


def listed(session: Session, organization_id: int) -> Sequence[ChatSession]:
    """The sessions there are, the latest first."""
    mine = (col(ChatSession.organization_id) == organization_id, col(ChatSession.active).is_(True))
    return session.exec(select(ChatSession).where(*mine).order_by(col(ChatSession.id).desc())).all()


def end(session: Session, organization_id: int, session_id: int) -> None:
    """Takes a session out of all answers. Raises NotFound."""
    found = get(session, organization_id, session_id)
    found.active = False
    found.updated_at = utc_now()
    session.add(found)


def provider(session: Session, organization_id: int) -> str:
    """The provider that the organization chose, or the first there is."""
    found = session.get(Preference, (organization_id, PROVIDER))
    return PROVIDERS[0] if found is None else found.value


def choose_provider(session: Session, organization_id: int, name: str) -> None:
    """Keeps the choice."""
    found = session.get(Preference, (organization_id, PROVIDER))
    if found is None:
        found = Preference(organization_id=organization_id, name=PROVIDER, value=name)
    found.value = name
    session.add(found)
