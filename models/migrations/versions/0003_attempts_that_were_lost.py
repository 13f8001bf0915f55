"""Attempts that were lost"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("step_runs") as step_runs:
        step_runs.add_column(sa.Column("lost_attempts", sa.Integer(), nullable=False, server_default="0"))
