"""Columns by the names that people who know databases and schedulers expect."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_RENAMED = {
    "words": "search_text",
    "leased": "lease_renewed_at",
    "runs": "run_number",
    "owner": "leased_by",
    "same_as": "alias_of",
    "kin": "text_id",
}
_PASSAGE_OF_ANALYSIS = """CREATE OR REPLACE FUNCTION passage_of_analysis() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM passage WHERE analysis_id = new.id AND position IS NULL AND intervention_id IS NULL;
        INSERT INTO passage (analysis_id, text) VALUES (new.id, lower(new.{column}));
        RETURN NULL;
    END $$"""


def upgrade() -> None:
    _rename(_RENAMED)
    op.drop_index("analysis_kin", "analysis")
    op.create_index("analysis_text_id", "analysis", ["text_id"])


def downgrade() -> None:
    _rename({new: old for old, new in _RENAMED.items()})
    op.drop_index("analysis_text_id", "analysis")
    op.create_index("analysis_kin", "analysis", ["kin"])


def _rename(names: dict[str, str]) -> None:
    """Rename columns of `analysis`. SQLite rewrites its triggers by itself; PostgreSQL keeps the text of a function."""
    for before, after in names.items():
        op.execute(f"ALTER TABLE analysis RENAME COLUMN {before} TO {after}")
    if op.get_bind().dialect.name != "sqlite":
        column = names.get("words", names.get("search_text"))
        op.execute(_PASSAGE_OF_ANALYSIS.format(column=column))
