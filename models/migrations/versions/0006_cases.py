"""Exceptions as cases: who works on them until when, what was done, and what a later run carries on; data sources; sessions"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON_VALUE = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("breaks") as breaks:
        breaks.add_column(sa.Column("assignee", sa.String(), nullable=True))
        breaks.add_column(sa.Column("due_at", TIME, nullable=True))
        breaks.add_column(sa.Column("series", sa.String(), nullable=True))
        breaks.add_column(sa.Column("fingerprint", sa.String(), nullable=True))
        breaks.add_column(sa.Column("carried_from", INTEGER, nullable=True))
    op.create_index("ix_breaks_series_fingerprint", "breaks", ["series", "fingerprint", "id"])
    op.create_table(
        "break_events",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("break_id", INTEGER, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("changes", JSON_VALUE, nullable=True),
        sa.Column("text", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_break_events_break_id", "break_events", ["break_id"])
    op.create_table(
        "data_sources",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("config", JSON_VALUE, nullable=True),
        sa.Column("secrets", sa.String(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("last_tested_at", TIME, nullable=True),
        sa.Column("last_test_successful", sa.Boolean(), nullable=True),
        sa.Column("last_test_error", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_data_sources_organization_id", "data_sources", ["organization_id"])
    op.create_table(
        "chat_sessions",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("reconciliation_id", INTEGER, nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chat_sessions_organization_id", "chat_sessions", ["organization_id"])
    op.create_table(
        "preferences",
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
        sa.PrimaryKeyConstraint("organization_id", "name"),
    )
