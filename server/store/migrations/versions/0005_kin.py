"""Hash that the analyses of one text by several pairs of one target share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("analysis", sa.Column("kin", sa.String(64)))
    op.create_index("analysis_kin", "analysis", ["kin"])


def downgrade() -> None:
    op.drop_index("analysis_kin", "analysis")
    op.drop_column("analysis", "kin")
