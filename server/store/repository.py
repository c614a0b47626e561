"""Every question and every change, as functions of a session: `await store.write(partial(put_readings,
...))`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased, defer

from server.store.tables import AnalysisRow, ReadingRow, TraceRow, escape

UNFINISHED = ("queued", "running")


@dataclass(frozen=True)
class Summary:
    """One line of the library."""

    id: str
    title: str
    pair: str
    status: str
    created: datetime
    tokens: int
    readings: int


@dataclass(frozen=True)
class Whole:
    """Everything kept of one analysis; the trace is there if it was asked for and has been made."""

    row: AnalysisRow
    readings: Sequence[ReadingRow]
    trace: TraceRow | None


def add(row: AnalysisRow, session: Session) -> None:
    """Insert a new analysis."""
    session.add(row)


def get(analysis_id: str, session: Session) -> AnalysisRow | None:
    """The analysis of this id, or the one it was found to be the same as."""
    row = session.get(AnalysisRow, analysis_id)
    if row is not None and row.same_as is not None:
        return session.get(AnalysisRow, row.same_as)
    return row


def find(address: str, session: Session) -> AnalysisRow | None:
    """The analysis of this content address."""
    return session.scalar(select(AnalysisRow).where(AnalysisRow.address == address))


def whole(analysis_id: str, session: Session, *, vectors: bool = False) -> Whole | None:
    """An analysis with its readings and trace. Reconstructions come along only with `vectors`."""
    row = get(analysis_id, session)
    if row is None:
        return None
    query = (
        select(ReadingRow)
        .where(ReadingRow.analysis_id == row.id)
        .order_by(ReadingRow.position, ReadingRow.sample)
    )
    if not vectors:
        query = query.options(defer(ReadingRow.vector, raiseload=True))
    return Whole(row, session.scalars(query).all(), session.get(TraceRow, row.id))


def unfinished(pair: str, session: Session) -> Sequence[AnalysisRow]:
    """What this pair still owes, oldest first."""
    query = select(AnalysisRow).where(
        AnalysisRow.status.in_(UNFINISHED), AnalysisRow.pair == pair, AnalysisRow.same_as.is_(None)
    )
    return session.scalars(query.order_by(AnalysisRow.created, AnalysisRow.id)).all()


def change(analysis_id: str, values: Mapping[str, Any], session: Session) -> None:
    """Set columns of one analysis."""
    session.execute(update(AnalysisRow).where(AnalysisRow.id == analysis_id).values(**values))


def put_trace(trace: TraceRow, values: Mapping[str, Any], session: Session) -> None:
    """Keep the trace together with the columns that became known with it."""
    change(trace.analysis_id, values, session)
    session.merge(trace)


def put_readings(readings: Sequence[ReadingRow], session: Session) -> None:
    """Keep readings, new ones or anew."""
    for reading in readings:
        session.merge(reading)


def put_scores(scores: Sequence[dict[str, Any]], session: Session) -> None:
    """Add scores to readings that are kept: analysis_id, position and sample, and the columns to set."""
    session.execute(update(ReadingRow), list(scores))


def drop(analysis_id: str, session: Session) -> bool:
    """Delete an analysis with all that belongs to it (and the aliases that lead to it); False if there was
    none.
    """
    row = get(analysis_id, session)
    if row is None:
        return False
    session.execute(delete(AnalysisRow).where(AnalysisRow.id == row.id))
    return True


def begin(analysis_id: str, session: Session) -> Whole:
    """Put an analysis to work (again): a new run, without the failures of the earlier ones. Returns all that
    was kept.
    """
    session.execute(
        delete(ReadingRow).where(ReadingRow.analysis_id == analysis_id, ReadingRow.error.is_not(None))
    )
    row = session.get_one(AnalysisRow, analysis_id)
    row.status, row.error, row.finished, row.end_event = "queued", None, None, 0
    row.runs += 1
    session.flush()
    found = whole(analysis_id, session, vectors=True)
    assert found is not None
    return found


def recent(limit: int, query: str | None, session: Session) -> list[Summary]:
    """The newest analyses, or those whose prompt, reply or readings hold every word of the query."""
    count = (
        select(func.count())
        .select_from(ReadingRow)
        .where(ReadingRow.analysis_id == AnalysisRow.id, ReadingRow.error.is_(None))
        .scalar_subquery()
    )
    columns = (AnalysisRow.id, AnalysisRow.title, AnalysisRow.pair, AnalysisRow.status, AnalysisRow.created)
    rows = select(*columns, AnalysisRow.token_count, count).where(AnalysisRow.same_as.is_(None))
    for word in (query or "").split()[:8]:
        rows = rows.where(_holds(word))
    rows = rows.order_by(AnalysisRow.created.desc(), AnalysisRow.id).limit(limit)
    return [Summary(*row) for row in session.execute(rows)]


def _holds(word: str) -> ColumnElement[bool]:
    needle = escape(word).lower()
    reading = aliased(ReadingRow)
    return or_(
        func.lower(AnalysisRow.words).contains(needle, autoescape=True),
        exists().where(
            reading.analysis_id == AnalysisRow.id, func.lower(reading.text).contains(needle, autoescape=True)
        ),
    )


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)
