"""Search by index, and deletion that can be undone.

The text of every reading, and of every prompt with its reply, is copied in lower case into `passage` and
indexed there by its trigrams. Triggers keep copy and index, so that no writer can forget them.
"""

from __future__ import annotations

import logging

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
_log = logging.getLogger(__name__)

_SQLITE = (
    "CREATE VIRTUAL TABLE passage_words USING fts5"
    "(text, content='passage', content_rowid='id', tokenize='trigram')",
    """CREATE TRIGGER passage_added AFTER INSERT ON passage BEGIN
        INSERT INTO passage_words (rowid, text) VALUES (new.id, new.text);
    END""",
    """CREATE TRIGGER passage_removed AFTER DELETE ON passage BEGIN
        INSERT INTO passage_words (passage_words, rowid, text) VALUES ('delete', old.id, old.text);
    END""",
    """CREATE TRIGGER passage_changed AFTER UPDATE OF text ON passage BEGIN
        INSERT INTO passage_words (passage_words, rowid, text) VALUES ('delete', old.id, old.text);
        INSERT INTO passage_words (rowid, text) VALUES (new.id, new.text);
    END""",
    """CREATE TRIGGER reading_added AFTER INSERT ON reading BEGIN
        INSERT INTO passage (analysis_id, position, sample, text)
        VALUES (new.analysis_id, new.position, new.sample, lower(new.text));
    END""",
    """CREATE TRIGGER reading_changed AFTER UPDATE OF text ON reading BEGIN
        UPDATE passage SET text = lower(new.text)
        WHERE analysis_id = new.analysis_id AND position = new.position AND sample = new.sample;
    END""",
    """CREATE TRIGGER analysis_added AFTER INSERT ON analysis BEGIN
        INSERT INTO passage (analysis_id, text) VALUES (new.id, lower(new.words));
    END""",
    """CREATE TRIGGER analysis_changed AFTER UPDATE OF words ON analysis BEGIN
        UPDATE passage SET text = lower(new.words) WHERE analysis_id = new.id AND position IS NULL;
    END""",
)
_POSTGRESQL = (
    """CREATE FUNCTION passage_of_reading() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO passage (analysis_id, position, sample, text)
        VALUES (new.analysis_id, new.position, new.sample, lower(new.text))
        ON CONFLICT (analysis_id, position, sample) DO UPDATE SET text = excluded.text;
        RETURN NULL;
    END $$""",
    """CREATE FUNCTION passage_of_analysis() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM passage WHERE analysis_id = new.id AND position IS NULL;
        INSERT INTO passage (analysis_id, text) VALUES (new.id, lower(new.words));
        RETURN NULL;
    END $$""",
    "CREATE TRIGGER reading_kept AFTER INSERT OR UPDATE OF text ON reading"
    " FOR EACH ROW EXECUTE FUNCTION passage_of_reading()",
    "CREATE TRIGGER analysis_kept AFTER INSERT OR UPDATE OF words ON analysis"
    " FOR EACH ROW EXECUTE FUNCTION passage_of_analysis()",
)


def upgrade() -> None:
    op.add_column("analysis", sa.Column("deleted", sa.DateTime(timezone=True)))
    op.create_index("analysis_pair", "analysis", ["pair"])
    op.create_table(
        "passage",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "analysis_id", sa.String(40), sa.ForeignKey("analysis.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("position", sa.Integer),
        sa.Column("sample", sa.Integer),
        sa.Column("text", sa.Text, nullable=False),
        sa.UniqueConstraint("analysis_id", "position", "sample", name="passage_place"),
        sa.ForeignKeyConstraint(
            ["analysis_id", "position", "sample"],
            ["reading.analysis_id", "reading.position", "reading.sample"],
            ondelete="CASCADE",
        ),
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _SQLITE if sqlite else _POSTGRESQL:
        op.execute(statement)
    if not sqlite:
        _index_trigrams(op.get_bind())
    op.execute("INSERT INTO passage (analysis_id, text) SELECT id, lower(words) FROM analysis")
    op.execute(
        "INSERT INTO passage (analysis_id, position, sample, text)"
        " SELECT analysis_id, position, sample, lower(text) FROM reading"
    )


def _index_trigrams(connection: sa.Connection) -> None:
    """The index makes searches quick; they find the same without it."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            connection.exec_driver_sql(
                "CREATE INDEX passage_trigrams ON passage USING gin (text gin_trgm_ops)"
            )
    except DBAPIError as error:
        _log.warning(
            "Searches will be slow: PostgreSQL refuses its extension pg_trgm (%s). Let its administrator run "
            "CREATE EXTENSION pg_trgm; "
            "CREATE INDEX passage_trigrams ON passage USING gin (text gin_trgm_ops);",
            error.orig,
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in ("reading_added", "reading_changed", "analysis_added", "analysis_changed"):
            op.execute(f"DROP TRIGGER {name}")
        op.execute("DROP TABLE passage_words")
    else:
        op.execute("DROP TRIGGER reading_kept ON reading")
        op.execute("DROP TRIGGER analysis_kept ON analysis")
        op.execute("DROP FUNCTION passage_of_reading, passage_of_analysis")
    op.drop_table("passage")
    op.drop_index("analysis_pair", "analysis")
    op.drop_column("analysis", "deleted")
