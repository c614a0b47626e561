"""Causal scores that are kept one by one while a measurement is made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "causal_score",
        sa.Column(
            "measurement_id",
            sa.String(40),
            sa.ForeignKey("measurement.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("sample", sa.Integer, primary_key=True),
        sa.Column("event", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("causal_score")
