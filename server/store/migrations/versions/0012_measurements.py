"""Measurements of analyses: jobs with a document, as interventions are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "measurement",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("pair", sa.String(200), nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True)),
        sa.Column("run_number", sa.Integer, nullable=False),
        sa.Column("leased_by", sa.String(40)),
        sa.Column("lease_renewed_at", sa.DateTime(timezone=True)),
        sa.Column(
            "analysis_id", sa.String(40), sa.ForeignKey("analysis.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("what", sa.String(40), nullable=False),
    )
    op.create_index("measurement_place", "measurement", ["analysis_id", "what"])
    op.create_index("measurement_status", "measurement", ["status"])


def downgrade() -> None:
    op.drop_table("measurement")
