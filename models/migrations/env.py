"""Alembic's entry: migrates the database whose URL `models.db.migrate` gives."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text
from sqlmodel import SQLModel

from models import (
    adapter,
    api_keys,
    artifacts,
    audit,
    breaks,
    conversations,
    decisions,
    events,
    files,
    people,
    reconciliations,
    rules,
    runs,
    sources,
    streams,
    throttle,
    tokens,
)
from models.db import driven_url

TABLES = (
    adapter,
    api_keys,
    artifacts,
    audit,
    breaks,
    conversations,
    decisions,
    events,
    files,
    people,
    reconciliations,
    rules,
    runs,
    sources,
    streams,
    throttle,
    tokens,
)
"""Importing them is what fills the metadata."""

MIGRATING = 7_306_591
"""The advisory lock that whoever migrates holds."""

engine = create_engine(driven_url(context.config.attributes["url"]), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            # Several API processes may start at once; the later ones find nothing left to do.
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATING})
        context.run_migrations()
