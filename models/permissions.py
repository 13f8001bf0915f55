"""Roles, and which of them may decide on which exceptions. Which route needs which role is in `api/access.py`."""

from __future__ import annotations

from enum import StrEnum

from matching.errors import ReconError
from matching.terms import BreakType


class Role(StrEnum):
    ADMIN = "ADMIN"
    ANALYST = "ANALYST"
    FINANCE = "FINANCE"
    IT_ADMIN = "IT_ADMIN"
    OPERATIONS = "OPERATIONS"
    COMPLIANCE = "COMPLIANCE"
    VIEWER = "VIEWER"


EVERYONE = frozenset(Role)
STAFF = EVERYONE - {Role.VIEWER}
AUTHORS = frozenset({Role.ADMIN, Role.ANALYST})
ADMINS = frozenset({Role.ADMIN})

_DECIDERS: dict[BreakType, frozenset[Role]] = {
    BreakType.MISSING_SOURCE: AUTHORS | {Role.IT_ADMIN},
    BreakType.MISSING_TARGET: AUTHORS | {Role.IT_ADMIN},
    BreakType.FORMAT_ERROR: AUTHORS | {Role.IT_ADMIN},
    BreakType.VALUE_MISMATCH: AUTHORS | {Role.FINANCE},
    BreakType.DUPLICATE: AUTHORS | {Role.OPERATIONS, Role.COMPLIANCE},
    BreakType.TOLERANCE_EXCEEDED: AUTHORS | {Role.FINANCE, Role.COMPLIANCE},
    BreakType.POTENTIAL_MATCH: AUTHORS | {Role.OPERATIONS},
}


class Forbidden(ReconError):
    """Known who asks, and it is not theirs to do."""

    code = "ACCESS_DENIED"


def deciders(break_type: str) -> frozenset[Role]:
    """The roles that may change exceptions of a type."""
    return _DECIDERS[BreakType(break_type)]


def may_decide(role: Role, break_type: str) -> bool:
    """Whether a role may change exceptions of a type."""
    return role in deciders(break_type)


def require_decider(role: Role, break_types: set[str]) -> None:
    """Raises Forbidden for the first type (by name) whose exceptions `role` may not change."""
    for break_type in sorted(break_types):
        allowed = deciders(break_type)
        if role not in allowed:
            raise Forbidden(
                f"Access denied: exceptions of type {break_type} are changed by {named(allowed)}; you are {role}",
                break_type=break_type,
                role=role,
                allowed=sorted(allowed),
            )


def named(roles: frozenset[Role]) -> str:
    """Roles as people read them, in their own order."""
    return ", ".join(role for role in Role if role in roles)
