"""Search in prompts, replies, readings and edits, with the index that each database has of its own.

A word is looked for as a run of letters anywhere in a passage, in either case: tokens are parts of words, and
Chinese or Japanese has no blanks to find words by. So both indices are of trigrams: FTS5's tokenizer of that
name on SQLite, pg_trgm on PostgreSQL. What is typed is quoted, never a query language: `"`, `*`, `NEAR(` or
`-x` find themselves. One or two letters have no trigram; they are looked for in every passage, which is slower
and finds the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import ColumnElement, String, column, select, table
from sqlalchemy.orm import Session

from server.store.tables import AnalysisRow, InterventionRow, PassageRow, escape

GRAM = 3
MOST = 8
"""Words of a query that are looked for."""
_INDEX = table("passage_words", column("rowid"), column("passage_words", String))  # SQLite's alone


def words_of(query: str | None) -> list[str]:
    """The words of a query, one by one."""
    return (query or "").split()[:MOST]


def matches(word: str, dialect: str) -> ColumnElement[bool]:
    """The condition that a text or an edit of an analysis holds the word. `dialect` is the database's name."""
    return AnalysisRow.id.in_(select(PassageRow.analysis_id).where(_found(word, dialect)))


def edits_with(query: str, analysis_ids: Sequence[str], session: Session) -> Sequence[InterventionRow]:
    """The edits, oldest first, by which these analyses are found: those that hold every word of the query, or
    a word that nothing else of their analysis holds.
    """
    dialect, words = session.get_bind().dialect.name, words_of(query)
    edited = (
        select(InterventionRow.analysis_id).where(InterventionRow.analysis_id.in_(analysis_ids)).distinct()
    )
    among = session.scalars(edited).all()
    if not words or not among:
        return []
    columns = select(PassageRow.analysis_id, PassageRow.intervention_id).distinct()
    columns = columns.where(PassageRow.analysis_id.in_(among))
    wanted: set[str] = set()
    in_all: dict[str, int] = defaultdict(int)
    for word in dict.fromkeys(words):
        holders: dict[str, set[str | None]] = defaultdict(set)  # None: prompt, reply or a reading
        for analysis_id, intervention_id in session.execute(columns.where(_found(word, dialect))):
            holders[analysis_id].add(intervention_id)
        for found in holders.values():
            edits = {id for id in found if id is not None}
            for id in edits:
                in_all[id] += 1
            if None not in found:
                wanted |= edits
    wanted |= {id for id, count in in_all.items() if count == len(set(words))}
    rows = select(InterventionRow).where(InterventionRow.id.in_(wanted), InterventionRow.status == "done")
    return session.scalars(rows.order_by(InterventionRow.created, InterventionRow.id)).all()


def _found(word: str, dialect: str) -> ColumnElement[bool]:
    """The condition that a passage holds the word."""
    needle = escape(word).lower()
    if dialect == "sqlite" and len(needle) >= GRAM:
        phrase = '"' + needle.replace('"', '""') + '"'
        return PassageRow.id.in_(select(_INDEX.c.rowid).where(_INDEX.c.passage_words.op("MATCH")(phrase)))
    return PassageRow.text.contains(
        needle, autoescape=True
    )  # PostgreSQL serves LIKE from its trigrams by itself
