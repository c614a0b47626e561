"""Interventions: edited words, and what the model said with them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "intervention",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column(
            "analysis_id", sa.String(40), sa.ForeignKey("analysis.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("result", sa.Text, nullable=False),
    )
    op.create_index("intervention_place", "intervention", ["analysis_id", "position"])


def downgrade() -> None:
    op.drop_table("intervention")
