"""The database: engine, migration, and the two kinds of transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session

from models.audit import RecordingSession
from models.errors import DependencyDown
from models.settings import Settings

BUSY_SECONDS = 30
"""How long a SQLite writer waits for another one."""

NETWORK_LIMITS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""How soon PostgreSQL's client takes a silent server for gone: the last in milliseconds, the others in seconds."""


class Database:
    """Sessions over one engine.

    `read()` gives a snapshot; `write()` a transaction that is committed on clean exit and rolled back otherwise. On SQLite a
    write transaction takes the write lock at its beginning: a snapshot that is upgraded later can't be waited for.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._writing = self.engine.execution_options(recon_write=True)

    @classmethod
    def from_settings(cls, settings: Settings) -> Database:
        if settings.database_url is None:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        return cls(settings.effective_database_url)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads. Raises DependencyDown when the database is out of reach."""
        with _reachable(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed together, with what the audit says of them.

        Raises DependencyDown when the database is out of reach.
        """
        with _reachable(), RecordingSession(self._writing, expire_on_commit=False) as session:
            yield session
            session.commit()

    def dispose(self) -> None:
        self.engine.dispose()


def migrate(settings: Settings) -> None:
    """Brings the schema to the newest revision; safe to call again."""
    # Imported here: only a process that owns the schema pays for Alembic.
    from alembic import command
    from alembic.config import Config

    if settings.database_url is None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = settings.effective_database_url
    with _reachable():
        command.upgrade(config, "head")


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise DependencyDown("The database does not answer: no connection became free") from error
    except DBAPIError as error:
        if not (isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated):
            raise
        raise DependencyDown(f"The database does not answer: {type(error.orig).__name__}") from error


def driven_url(url: str) -> URL:
    """The URL with the driver that we use where it names none."""
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _engine(url: str) -> Engine:
    parsed = driven_url(url)
    if parsed.get_backend_name() != "sqlite":
        options = {name: value for name, value in NETWORK_LIMITS.items() if name not in parsed.query}
        return create_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=20, connect_args=options)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, pool_size=20)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver must not open transactions by itself: _begin_sqlite says how they begin.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("recon_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
