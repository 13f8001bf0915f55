"""Alembic's entry: migrates the database whose URL `models.db.migrate` gives."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool
from sqlmodel import SQLModel

from models import (
    adapter,
    artifacts,
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
)
from models.db import driven_url

TABLES = (
    adapter,
    artifacts,
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
)
"""Importing them is what fills the metadata."""

engine = create_engine(driven_url(context.config.attributes["url"]), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
