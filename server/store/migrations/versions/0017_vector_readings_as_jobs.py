"""Readings of vectors are jobs: their rows say how they stand, by which server they are made, and what was asked."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def _columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("pair", sa.String(200), nullable=False, server_default=""),
        sa.Column("status", sa.String(12), nullable=False, server_default="done"),
        sa.Column("error", sa.Text),
        sa.Column("finished", sa.DateTime(timezone=True)),
        sa.Column("run_number", sa.Integer, nullable=False, server_default="0"),
        sa.Column("leased_by", sa.String(40)),
        sa.Column("lease_renewed_at", sa.DateTime(timezone=True)),
        sa.Column("inputs", sa.Text, nullable=False, server_default=""),
    )


def upgrade() -> None:
    for column in _columns():
        op.add_column("vector_reading", column)
    op.create_index("vector_reading_status", "vector_reading", ["status"])
    op.execute(
        "UPDATE vector_reading SET finished = created,"
        " pair = (SELECT pair FROM vectors WHERE vectors.id = vector_reading.vector_id)"
    )


def downgrade() -> None:
    op.execute("DELETE FROM vector_reading WHERE status <> 'done'")
    op.drop_index("vector_reading_status", "vector_reading")
    for column in _columns():
        op.drop_column("vector_reading", column.name)
