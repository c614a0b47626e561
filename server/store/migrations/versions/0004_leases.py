"""Lease of an analysis: the server that works on it, where several share the database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("analysis", sa.Column("owner", sa.String(40)))
    op.add_column("analysis", sa.Column("leased", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("analysis", "leased")
    op.drop_column("analysis", "owner")
