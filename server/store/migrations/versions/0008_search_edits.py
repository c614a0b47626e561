"""Search in edits: the words of every intervention, and those it watches, are passages too."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from server.store.tables import escape

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SQLITE = (
    """CREATE TRIGGER intervention_added AFTER INSERT ON intervention BEGIN
        INSERT INTO passage (analysis_id, intervention_id, text)
        VALUES (new.analysis_id, new.id, lower(new.search_text));
    END""",
    """CREATE TRIGGER intervention_removed AFTER DELETE ON intervention BEGIN
        DELETE FROM passage WHERE intervention_id = old.id;
    END""",
    "DROP TRIGGER analysis_changed",
    """CREATE TRIGGER analysis_changed AFTER UPDATE OF words ON analysis BEGIN
        UPDATE passage SET text = lower(new.words)
        WHERE analysis_id = new.id AND position IS NULL AND intervention_id IS NULL;
    END""",
)
_SQLITE_BEFORE = (
    "DROP TRIGGER intervention_added",
    "DROP TRIGGER intervention_removed",
    "DROP TRIGGER analysis_changed",
    """CREATE TRIGGER analysis_changed AFTER UPDATE OF words ON analysis BEGIN
        UPDATE passage SET text = lower(new.words) WHERE analysis_id = new.id AND position IS NULL;
    END""",
)
_POSTGRESQL = (
    """CREATE FUNCTION passage_of_intervention() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO passage (analysis_id, intervention_id, text)
        VALUES (new.analysis_id, new.id, lower(new.search_text));
        RETURN NULL;
    END $$""",
    """CREATE FUNCTION no_passage_of_intervention() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM passage WHERE intervention_id = old.id;
        RETURN NULL;
    END $$""",
    "CREATE TRIGGER intervention_kept AFTER INSERT ON intervention"
    " FOR EACH ROW EXECUTE FUNCTION passage_of_intervention()",
    "CREATE TRIGGER intervention_removed AFTER DELETE ON intervention"
    " FOR EACH ROW EXECUTE FUNCTION no_passage_of_intervention()",
    """CREATE OR REPLACE FUNCTION passage_of_analysis() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM passage WHERE analysis_id = new.id AND position IS NULL AND intervention_id IS NULL;
        INSERT INTO passage (analysis_id, text) VALUES (new.id, lower(new.words));
        RETURN NULL;
    END $$""",
)
_POSTGRESQL_BEFORE = (
    "DROP TRIGGER intervention_kept ON intervention",
    "DROP TRIGGER intervention_removed ON intervention",
    "DROP FUNCTION passage_of_intervention, no_passage_of_intervention",
    """CREATE OR REPLACE FUNCTION passage_of_analysis() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM passage WHERE analysis_id = new.id AND position IS NULL;
        INSERT INTO passage (analysis_id, text) VALUES (new.id, lower(new.words));
        RETURN NULL;
    END $$""",
)


def upgrade() -> None:
    connection = op.get_bind()
    op.add_column("intervention", sa.Column("search_text", sa.Text, nullable=False, server_default=""))
    op.add_column("passage", sa.Column("intervention_id", sa.String(40)))
    op.create_index("passage_intervention", "passage", ["intervention_id"])
    for id, result in connection.execute(sa.text("SELECT id, result FROM intervention")).all():
        connection.execute(
            sa.text("UPDATE intervention SET search_text = :words WHERE id = :id"),
            {"id": id, "words": escape(_words(result))},
        )
    op.execute(
        "INSERT INTO passage (analysis_id, intervention_id, text)"
        " SELECT analysis_id, id, lower(search_text) FROM intervention"
    )
    for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)


def _words(result: str) -> str:
    """The edited words and those that are watched. One that cannot be read is not found, as before."""
    try:
        request = json.loads(result)["request"]
        return "\n".join([request["text"], *request["targets"]])
    except (ValueError, KeyError, TypeError):
        return ""


def downgrade() -> None:
    op.execute("DELETE FROM passage WHERE intervention_id IS NOT NULL")
    for statement in _SQLITE_BEFORE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL_BEFORE:
        op.execute(statement)
    op.drop_index("passage_intervention", "passage")
    op.drop_column("passage", "intervention_id")
    op.drop_column("intervention", "search_text")
