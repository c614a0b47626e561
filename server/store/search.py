"""Search in prompts, replies and readings, with the index that each database has of its own.

A word is looked for as a run of letters anywhere in a passage, in either case: tokens are parts of words, and
Chinese or Japanese has no blanks to find words by. So both indices are of trigrams: FTS5's tokenizer of that
name on SQLite, pg_trgm on PostgreSQL. What is typed is quoted, never a query language: `"`, `*`, `NEAR(` or
`-x` find themselves. One or two letters have no trigram; they are looked for in every passage, which is slower
and finds the same.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, String, column, select, table

from server.store.tables import AnalysisRow, PassageRow, escape

GRAM = 3
_INDEX = table("passage_words", column("rowid"), column("passage_words", String))  # SQLite's alone


def holds(word: str, dialect: str) -> ColumnElement[bool]:
    """Whether prompt, reply or a reading of an analysis hold the word. `dialect` is the database's name."""
    needle = escape(word).lower()
    passages = select(PassageRow.analysis_id)
    if dialect == "sqlite" and len(needle) >= GRAM:
        phrase = '"' + needle.replace('"', '""') + '"'
        hits = select(_INDEX.c.rowid).where(_INDEX.c.passage_words.op("MATCH")(phrase))
        passages = passages.where(PassageRow.id.in_(hits))
    else:  # PostgreSQL serves LIKE from its trigrams by itself
        passages = passages.where(PassageRow.text.contains(needle, autoescape=True))
    return AnalysisRow.id.in_(passages)
