"""Runs that are recovered, resumed, queued and started by events"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("streams") as streams:
        streams.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="1"))
        # The streams there are get registered once more, which changes nothing.
        streams.add_column(sa.Column("registered_revision", sa.Integer(), nullable=False, server_default="0"))
        streams.add_column(sa.Column("automation_id", sa.String(), nullable=True))
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("submission", sa.Integer(), nullable=False, server_default="1"))
        runs.add_column(sa.Column("restarts", sa.Integer(), nullable=False, server_default="0"))
        runs.add_column(sa.Column("heartbeat_at", TIME, nullable=True))
        runs.add_column(sa.Column("engine_over", sa.Boolean(), nullable=False, server_default=sa.false()))
        runs.add_column(sa.Column("event_id", sa.String(), nullable=True))
        runs.add_column(sa.Column("resumed_from", INTEGER, nullable=True))
        runs.create_foreign_key("fk_runs_resumed_from", "runs", ["resumed_from"], ["id"])
        runs.create_unique_constraint("uq_runs_stream_event", ["stream_id", "event_id"])
    op.create_index("ix_runs_resumed_from", "runs", ["resumed_from"])
    with op.batch_alter_table("step_runs") as step_runs:
        step_runs.add_column(sa.Column("carried_from", INTEGER, nullable=True))
        step_runs.create_foreign_key("fk_step_runs_carried_from", "step_runs", ["carried_from"], ["id"])
    op.create_index("ix_step_runs_carried_from", "step_runs", ["carried_from"])
