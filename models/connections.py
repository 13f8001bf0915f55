"""Whether a data source can be reached: a real connection, within the list of what may be connected to."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from matching.errors import ReconError
from models.errors import ValidationFailed
from models.settings import Settings
from models.sources import SourceType

ANSWER_SECONDS = 10
URL_NAMES = ("url", "path", "endpoint", "baseUrl", "directory")
"""Fields of a configuration that may say where a source is; the first that is there counts."""


class SourceUnreachable(ReconError):
    """A data source that does not answer, refuses, or may not be connected to."""

    code = "DATA_SOURCE_UNREACHABLE"
    retryable = True


def check(kind: SourceType, config: dict[str, Any], settings: Settings) -> None:
    """Connects once. Raises ValidationFailed where `config` does not say to what, SourceUnreachable where that fails."""
    if config.get("simulateFailure") is True:
        raise SourceUnreachable("Simulated connection failure")
    address = _address(kind, config)
    _require_allowed(address, settings)
    try:
        _CHECKS[kind](address, config)
    except ReconError:
        raise
    except Exception as error:
        # Drivers raise what they like; the text may repeat the address, so only its first line without credentials is kept.
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SourceUnreachable(f"{type(error).__name__}: {said.replace(address, _plain(address))}") from error


def _address(kind: SourceType, config: dict[str, Any]) -> str:
    for name in URL_NAMES:
        given = config.get(name)
        if isinstance(given, str) and given.strip():
            return given.strip()
    if kind is SourceType.DATABASE and isinstance(config.get("host"), str):
        from sqlalchemy.engine import URL

        port = str(config.get("port") or "")
        made = URL.create(
            str(config.get("dialect") or "postgresql"),
            username=config.get("username") or config.get("user"),
            password=config.get("password"),
            host=config["host"],
            port=int(port) if port.isdecimal() else None,
            database=config.get("database"),
        )
        return made.render_as_string(hide_password=False)
    needed = "'url', or 'host' with 'database'" if kind is SourceType.DATABASE else "'url' or 'path'"
    raise ValidationFailed(f"config needs {needed} to connect to", fields={"config": f"needs {needed}"})


def _require_allowed(address: str, settings: Settings) -> None:
    parts = urlsplit(address)
    place = parts.hostname or parts.netloc or str(Path(parts.path).absolute())
    allowed = settings.effective_source_allow
    if not any(fnmatch.fnmatchcase(place, one) for one in allowed):
        raise SourceUnreachable(
            f"'{place}' may not be connected to; RECON_SOURCE_ALLOW lists what may: {', '.join(allowed) or 'nothing'}"
        )


def _plain(address: str) -> str:
    parts = urlsplit(address)
    return address if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _check_file(address: str, config: dict[str, Any]) -> None:
    import fsspec

    given = config.get("storageOptions")
    options: dict[str, Any] = given if isinstance(given, dict) else {}
    system, path = fsspec.core.url_to_fs(address, **options)
    found = system.glob(path) if any(mark in path for mark in "*?[") else system.exists(path)
    if not found:
        raise SourceUnreachable(f"There is nothing at {_plain(address)}")


def _check_database(address: str, config: dict[str, Any]) -> None:  # noqa: ARG001 - as the others
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    from models.db import driven_url

    url = driven_url(address)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
        raise SourceUnreachable(f"There is no database at {url.database}")
    limit = {"connect_timeout": ANSWER_SECONDS} if url.get_backend_name() == "postgresql" else {}
    with create_engine(url, poolclass=NullPool, connect_args=limit).connect() as connection:
        connection.execute(text("SELECT 1"))


def _check_http(address: str, config: dict[str, Any]) -> None:
    import httpx

    given = config.get("headers")
    headers: dict[str, str] = given if isinstance(given, dict) else {}
    # Not followed: a redirect may lead to where nobody allowed to go.
    answer = httpx.get(address, headers=headers, timeout=ANSWER_SECONDS, follow_redirects=False)
    if answer.status_code >= 400:
        raise SourceUnreachable(f"{_plain(address)} answered {answer.status_code}")


_CHECKS = {
    SourceType.FILE: _check_file,
    SourceType.DATABASE: _check_database,
    SourceType.API: _check_http,
}
