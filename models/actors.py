"""Who acts: set once for a request or a command, and known to every transaction within it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from models.permissions import Role


@dataclass(frozen=True)
class Actor:
    """`kind` is USER, API_KEY, LINK, LOCAL (log-ins are off), OPERATOR (a command), or SYSTEM for the product's own work;
    `name` is an e-mail address or a key's name."""

    kind: str
    name: str
    role: Role = Role.ADMIN
    user_id: int | None = None
    api_key_id: int | None = None
    organization_id: int | None = None


SYSTEM = Actor("SYSTEM", "system")

current_actor: ContextVar[Actor] = ContextVar("current_actor", default=SYSTEM)
