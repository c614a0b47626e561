"""Analyses, their traces and readings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "analysis",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("address", sa.String(64), unique=True),
        sa.Column("same_as", sa.String(40), sa.ForeignKey("analysis.id", ondelete="CASCADE")),
        sa.Column("pair", sa.String(200), nullable=False),
        sa.Column("fingerprint", sa.String(200)),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True)),
        sa.Column("layer", sa.Integer),
        sa.Column("fve_variance", sa.Float),
        sa.Column("focus", sa.Integer),
        sa.Column("prompt_ids", sa.LargeBinary),
        sa.Column("generated_ids", sa.LargeBinary),
        sa.Column("tokens", sa.LargeBinary),
        sa.Column("token_count", sa.Integer, nullable=False),
        sa.Column("baselines", sa.Text),
        sa.Column("timings", sa.Text, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("tokens_event", sa.BigInteger, nullable=False),
        sa.Column("lens_event", sa.BigInteger, nullable=False),
        sa.Column("end_event", sa.BigInteger, nullable=False),
    )
    op.create_index("analysis_created", "analysis", ["created"])
    op.create_index("analysis_status", "analysis", ["status"])
    op.create_table(
        "trace",
        sa.Column(
            "analysis_id", sa.String(40), sa.ForeignKey("analysis.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("lens", sa.LargeBinary, nullable=False),
        sa.Column("activations", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "reading",
        sa.Column(
            "analysis_id", sa.String(40), sa.ForeignKey("analysis.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("sample", sa.Integer, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("truncated", sa.Boolean, nullable=False),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("cos", sa.Float),
        sa.Column("mse", sa.Float),
        sa.Column("fve", sa.Float),
        sa.Column("rank", sa.Integer),
        sa.Column("error", sa.Text),
        sa.Column("event", sa.BigInteger, nullable=False),
        sa.Column("vector", sa.LargeBinary),
    )


def downgrade() -> None:
    for table in ("reading", "trace", "analysis"):
        op.drop_table(table)
