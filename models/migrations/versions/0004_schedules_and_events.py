"""What happened here, for streams and the engine to know; since when a stream's fire times count"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON_VALUE = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("streams", sa.Column("fires_from", TIME, nullable=True))
    op.create_table(
        "events",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("resource", JSON_VALUE, nullable=False),
        sa.Column("payload", JSON_VALUE, nullable=False),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.Column("dispatched_at", TIME, nullable=True),
        sa.Column("sent_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event_id"),
    )
    op.create_index("ix_events_organization_id", "events", ["organization_id"])
    for column in ("occurred_at", "dispatched_at", "sent_at"):
        op.create_index(f"ix_events_{column}", "events", [column])
