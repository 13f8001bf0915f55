"""When an exception was first seen, in whichever run"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("breaks") as breaks:
        breaks.add_column(sa.Column("first_seen_at", TIME, nullable=True))
    op.execute("UPDATE breaks SET first_seen_at = created_at")
