"""Vectors under addresses of their own, and what was read of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vectors",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("pair", sa.String(200), nullable=False),
        sa.Column("layer", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String(200)),
        sa.Column("d_model", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("norm", sa.Float, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sources", sa.Text, nullable=False),
        sa.Column("file", sa.Text),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_index("vectors_created", "vectors", ["created"])
    op.create_index("vectors_layer", "vectors", ["pair", "layer"])
    op.create_table(
        "vector_reading",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column(
            "vector_id", sa.String(40), sa.ForeignKey("vectors.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("result", sa.Text, nullable=False),
    )
    op.create_index("vector_reading_vector", "vector_reading", ["vector_id"])


def downgrade() -> None:
    op.drop_table("vector_reading")
    op.drop_table("vectors")
