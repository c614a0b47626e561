"""Among how many activations a reading is ranked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reading", sa.Column("rank_of", sa.Integer))


def downgrade() -> None:
    op.drop_column("reading", "rank_of")
