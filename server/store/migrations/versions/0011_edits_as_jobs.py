"""Interventions are jobs: their rows say how they stand, by which server they are made, and what was asked."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
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
        op.add_column("intervention", column)
    op.create_index("intervention_status", "intervention", ["status"])
    op.execute(
        "UPDATE intervention SET finished = created,"
        " pair = (SELECT pair FROM analysis WHERE analysis.id = intervention.analysis_id)"
    )


def downgrade() -> None:
    op.execute("DELETE FROM intervention WHERE status <> 'done'")
    op.drop_index("intervention_status", "intervention")
    for column in _columns():
        op.drop_column("intervention", column.name)
