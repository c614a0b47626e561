"""Notebooks: findings with names and notes, in an order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notebook",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("notebook_changed", "notebook", ["changed"])
    op.create_table(
        "notebook_entry",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column(
            "notebook_id",
            sa.String(40),
            sa.ForeignKey("notebook.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("analysis_id", sa.String(40)),
        sa.Column("position", sa.Integer),
        sa.Column("edit_id", sa.String(40)),
        sa.Column("measurement_id", sa.String(40)),
        sa.Column("study_id", sa.String(40)),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("notebook_entry_notebook", "notebook_entry", ["notebook_id"])


def downgrade() -> None:
    op.drop_table("notebook_entry")
    op.drop_table("notebook")
