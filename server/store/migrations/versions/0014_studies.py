"""Studies: jobs with cases, each case the document of one analysis."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("pair", sa.String(200), nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True)),
        sa.Column("run_number", sa.Integer, nullable=False),
        sa.Column("leased_by", sa.String(40)),
        sa.Column("lease_renewed_at", sa.DateTime(timezone=True)),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("cases", sa.Integer, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
    )
    op.create_index("study_created", "study", ["created"])
    op.create_index("study_status", "study", ["status"])
    op.create_table(
        "study_case",
        sa.Column("study_id", sa.String(40), sa.ForeignKey("study.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("case_id", sa.String(40), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("study_case_case_id", "study_case", ["case_id"])


def downgrade() -> None:
    op.drop_table("study_case")
    op.drop_table("study")
