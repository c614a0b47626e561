"""The study that began an analysis."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("analysis", sa.Column("study_id", sa.String(40)))
    op.create_index("analysis_study", "analysis", ["study_id"])


def downgrade() -> None:
    op.drop_index("analysis_study", "analysis")
    op.drop_column("analysis", "study_id")
