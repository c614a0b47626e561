"""The event of the tuned lens, which is made after the readings; before, it was the one after the lens's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("analysis", sa.Column("tuned_event", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE analysis SET tuned_event = lens_event + 1 WHERE lens_event > 0")


def downgrade() -> None:
    op.drop_column("analysis", "tuned_event")
