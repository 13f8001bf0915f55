"""Passwords: Argon2id hashes, and what a password has to be."""

from __future__ import annotations

import secrets
import threading

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from models.errors import ValidationFailed

SHORTEST, LONGEST = 8, 256
"""Characters of a password."""

# 19 MiB and two passes for each: what OWASP names as the least, so that many log-ins at once don't take the machine.
_HASHER = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))

_AT_ONCE = threading.BoundedSemaphore(4)


def hashed(password: str) -> str:
    """The hash to keep, with its own salt and parameters."""
    with _AT_ONCE:
        return _HASHER.hash(password)


_NOBODYS = hashed(secrets.token_urlsafe(16))


def matches(password: str, kept: str | None) -> bool:
    """Whether a password is the one that was hashed. `None` (nobody) takes as long as a wrong password."""
    with _AT_ONCE:
        try:
            right = _HASHER.verify(password, kept or _NOBODYS)
        except UnknownHashError:
            return False
    return right and kept is not None


def temporary() -> str:
    """A password that nobody chose: 16 URL-safe characters, 96 bits."""
    return secrets.token_urlsafe(12)


def check(password: str, email: str, field: str) -> None:
    """Raises ValidationFailed, naming `field`, for a password that is too short, too long, or the address itself."""
    text = None
    if not SHORTEST <= len(password) <= LONGEST:
        text = f"needs {SHORTEST} to {LONGEST} characters, got {len(password)}"
    elif password.casefold() in (email.casefold(), email.partition("@")[0].casefold()):
        text = "must not be the e-mail address"
    if text is not None:
        raise ValidationFailed("Validation failed", fields={field: text})
