"""The tuned lens of an analysis, beside the plain one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trace", sa.Column("tuned_lens", sa.LargeBinary))


def downgrade() -> None:
    op.drop_column("trace", "tuned_lens")
