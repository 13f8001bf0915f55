"""The secret that tokens and download links are signed with."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from models.errors import ReconError
from models.settings import SHORTEST_SECRET, Settings

FILE = "jwt-secret"


class SecretUnusable(ReconError):
    """The file that should hold the secret holds something else."""

    code = "SECRET_UNUSABLE"


def signing_secret(settings: Settings) -> bytes:
    """RECON_JWT_SECRET, or what `jwt-secret` in the data directory holds: made on first use, for its owner only.

    Several processes may ask for it at the same time; all get the same. Raises SecretUnusable.
    """
    if settings.jwt_secret is not None:
        return settings.jwt_secret.get_secret_value().encode()
    path = settings.data_dir.resolve() / FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
    kept = path.read_bytes().strip()
    if len(kept) < SHORTEST_SECRET:
        raise SecretUnusable(
            f"{path} holds {len(kept)} bytes, a secret of at least {SHORTEST_SECRET} is needed; delete it"
        )
    return kept


def _make(path: Path) -> None:
    """Whole or not at all, and never over one that is there."""
    # Files of `tempfile` are their owner's alone from the beginning.
    descriptor, draft = tempfile.mkstemp(prefix=f".{FILE}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_urlsafe(48).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        Path(draft).unlink()
