"""Secrets inside a JSON configuration: taken out before it is stored, sealed beside it, never shown."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from models.settings import Settings

MASK = "********"
"""What stands in the place of a secret; given back, it means the secret that is there."""

SECRET_NAMES = re.compile(
    r"pass(word|phrase|wd)?$|secret|token|credential|authorization|(api|access|private)_?-?key", re.I
)
IN_URL = re.compile(r"(?P<before>^[a-z][\w+.-]*://[^/?#@:]*:)(?P<secret>[^@/]+)(?=@)", re.I)
"""The password of a URL."""


Swap = Callable[[str, str], str]
"""The place of a secret in its configuration, and the secret -> what stands there then."""


class Vault:
    """Seals and opens secrets with the key of the settings, or one that is made once and kept in the data directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def seal(self, config: Any, sealed: str | None = None) -> tuple[Any, str | None]:
        """The configuration with MASK for its secrets, and these sealed. A MASK that was given stands for what `sealed` has."""
        before = self._open(sealed)
        secrets: dict[str, str] = {}

        def hide(place: str, value: str) -> str:
            secrets[place] = before.get(place, value) if value == MASK else value
            return MASK

        shown = _walk(config, "", hide)
        if not secrets:
            return shown, None
        return shown, self._cipher.encrypt(json.dumps(secrets).encode()).decode()

    def unseal(self, shown: Any, sealed: str | None) -> Any:
        """The configuration as it was given."""
        secrets = self._open(sealed)

        def show(place: str, value: str) -> str:
            return secrets.get(place, value)

        return _walk(shown, "", show)

    def _open(self, sealed: str | None) -> dict[str, str]:
        return {} if sealed is None else json.loads(self._cipher.decrypt(sealed.encode()))

    @cached_property
    def _cipher(self) -> Any:
        # Imported here: most processes have no secret to open.
        from cryptography.fernet import Fernet

        given = self._settings.secret_key
        return Fernet(_kept_key(self._settings.data_dir) if given is None else given.get_secret_value().encode())


def _kept_key(data_dir: Path) -> bytes:
    from cryptography.fernet import Fernet

    path = data_dir / "secret.key"
    try:
        # Written aside and linked: whoever comes second finds the first one's key, whole.
        data_dir.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
        try:
            os.link(aside, path)
        finally:
            aside.unlink()
    except FileExistsError:
        pass
    return path.read_bytes()


def _walk(value: Any, place: str, swap: Swap) -> Any:
    if isinstance(value, dict):
        return {name: _entry(name, inner, f"{place}/{name}", swap) for name, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, f"{place}/{number}", swap) for number, inner in enumerate(value)]
    if isinstance(value, str) and (found := IN_URL.match(value)):
        return found["before"] + swap(place, found["secret"]) + value[found.end() :]
    return value


def _entry(name: str, value: Any, place: str, swap: Swap) -> Any:
    if isinstance(value, str) and value and SECRET_NAMES.search(name):
        return swap(place, value)
    return _walk(value, place, swap)
