"""Every question and every change, as functions of a session: `await store.write(partial(put_readings,
...))`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session, defer, load_only

from server.store.search import matches, words_of
from server.store.tables import AnalysisRow, ReadingRow, TraceRow

UNFINISHED = ("queued", "running")
DELETED = "deleted"
"""In the place of a status: the analyses whose deletion can still be undone, whatever their status."""
SAMPLE = 500
"""Readings of whose lengths a mean is taken."""
Place = tuple[datetime, str]
"""The place of an analysis in the library, newest first: when it was made, and its id."""


@dataclass(frozen=True)
class Summary:
    """One line of the library."""

    id: str
    title: str
    pair: str
    status: str
    created: datetime
    deleted: datetime | None
    tokens: int
    study_id: str | None
    readings: int


@dataclass(frozen=True)
class StoredAnalysis:
    """Everything kept of one analysis; the trace is there if it was asked for and has been made."""

    row: AnalysisRow
    readings: Sequence[ReadingRow]
    trace: TraceRow | None


def add(row: AnalysisRow, session: Session) -> None:
    """Insert a new analysis."""
    session.add(row)


def get(analysis_id: str, session: Session) -> AnalysisRow | None:
    """The analysis of this id, or the one it was found to be the same as; None if that is deleted."""
    row = _standing(analysis_id, session)
    return None if row is None or row.deleted is not None else row


def _standing(analysis_id: str, session: Session) -> AnalysisRow | None:
    row = session.get(AnalysisRow, analysis_id)
    if row is not None and row.alias_of is not None:
        return session.get(AnalysisRow, row.alias_of)
    return row


def claim(address: str | None, analysis_id: str, session: Session) -> AnalysisRow | None:
    """The analysis at the content address or, as long as that is unknown, at the id; brought back if it was
    deleted.
    """
    if address is None:
        return restore(analysis_id, session)
    found = session.scalar(select(AnalysisRow.id).where(AnalysisRow.address == address))
    return None if found is None else restore(found, session)


def restore(analysis_id: str, session: Session) -> AnalysisRow | None:
    """Undo the deletion of an analysis; None if there is nothing left of it."""
    row = _standing(analysis_id, session)
    if row is not None:
        row.deleted = None
    return row


def purge(before: datetime, session: Session) -> None:
    """Remove for good what was deleted before this moment, with all that belongs to it (also the aliases)."""
    session.execute(delete(AnalysisRow).where(AnalysisRow.deleted < before))


def whole(analysis_id: str, session: Session, *, vectors: bool = False) -> StoredAnalysis | None:
    """An analysis with its readings and trace. Reconstructions and activations come only with `vectors`."""
    row = get(analysis_id, session)
    if row is None:
        return None
    query = (
        select(ReadingRow)
        .where(ReadingRow.analysis_id == row.id)
        .order_by(ReadingRow.position, ReadingRow.sample)
    )
    heavy = []
    if not vectors:
        query = query.options(defer(ReadingRow.vector, raiseload=True))
        heavy = [defer(TraceRow.activations, raiseload=True)]
    return StoredAnalysis(row, session.scalars(query).all(), session.get(TraceRow, row.id, options=heavy))


def change_token(analysis_id: str, session: Session) -> tuple[Any, ...] | None:
    """Changes whenever something new is kept of an analysis; None if there is none (any more)."""
    latest = select(func.max(ReadingRow.event)).where(ReadingRow.analysis_id == analysis_id)
    row = session.execute(
        select(
            *(AnalysisRow.status, AnalysisRow.leased_by, AnalysisRow.run_number, AnalysisRow.alias_of),
            *(
                AnalysisRow.lens_event,
                AnalysisRow.tuned_event,
                AnalysisRow.end_event,
                latest.scalar_subquery(),
            ),
        ).where(AnalysisRow.id == analysis_id, AnalysisRow.deleted.is_(None))
    ).first()
    return None if row is None else tuple(row)


def change(analysis_id: str, values: Mapping[str, Any], session: Session) -> None:
    """Set columns of one analysis."""
    session.execute(update(AnalysisRow).where(AnalysisRow.id == analysis_id).values(**values))


def save_trace(trace: TraceRow, values: Mapping[str, Any], session: Session) -> None:
    """Keep the trace together with the columns that became known with it."""
    change(trace.analysis_id, values, session)
    session.merge(trace)


def save_tuned_lens(analysis_id: str, blob: bytes, event: int, session: Session) -> None:
    """Add the tuned lens to the trace that is kept."""
    change(analysis_id, {"tuned_event": event}, session)
    session.execute(update(TraceRow).where(TraceRow.analysis_id == analysis_id).values(tuned_lens=blob))


def save_readings(readings: Sequence[Mapping[str, Any]], session: Session) -> None:
    """Keep readings, new ones or anew: analysis_id, position and sample, and the columns to set, the same of each. Many
    at a time, in three statements.
    """
    key = ReadingRow.analysis_id, ReadingRow.position, ReadingRow.sample
    places = [tuple(reading[column.key] for column in key) for reading in readings]
    there = select(*key).where(key[0].in_({id for id, _, _ in places}), key[1].in_({p for _, p, _ in places}))
    known = {tuple(found) for found in session.execute(there)}
    for verb, wanted in ((insert, False), (update, True)):
        rows = [
            reading for reading, place in zip(readings, places, strict=True) if (place in known) is wanted
        ]
        if rows:
            session.execute(verb(ReadingRow), rows)


def same_text(text_id: str, session: Session) -> list[AnalysisRow]:
    """The analyses of one text, of each pair the newest; without their heavy columns."""
    light = load_only(AnalysisRow.id, AnalysisRow.pair, AnalysisRow.layer, AnalysisRow.status)
    query = select(AnalysisRow).options(light).where(AnalysisRow.text_id == text_id)
    query = query.where(AnalysisRow.alias_of.is_(None), AnalysisRow.deleted.is_(None))
    rows = session.scalars(query.order_by(AnalysisRow.created, AnalysisRow.id))
    return list({row.pair: row for row in rows}.values())


def readings_of_other_texts(analysis_id: str, limit: int, session: Session) -> Sequence[str]:
    """The texts of readings that the same pair has made of other texts, those of the newest analyses."""
    row = session.get_one(AnalysisRow, analysis_id)
    query = select(ReadingRow.text).join(AnalysisRow, AnalysisRow.id == ReadingRow.analysis_id)
    query = query.where(AnalysisRow.pair == row.pair, AnalysisRow.id != row.id)
    query = query.where(AnalysisRow.deleted.is_(None), ReadingRow.text != "")
    if row.text_id is not None:
        query = query.where(or_(AnalysisRow.text_id.is_(None), AnalysisRow.text_id != row.text_id))
    newest = query.order_by(
        AnalysisRow.created.desc(), AnalysisRow.id, ReadingRow.position, ReadingRow.sample
    )
    return session.scalars(newest.limit(limit)).all()


def sibling(text_id: str | None, pair: str, session: Session) -> AnalysisRow | None:
    """The newest analysis of a text by this pair."""
    query = select(AnalysisRow).where(AnalysisRow.text_id == text_id, AnalysisRow.pair == pair)
    query = query.where(AnalysisRow.alias_of.is_(None), AnalysisRow.deleted.is_(None))
    return session.scalar(query.order_by(AnalysisRow.created.desc()).limit(1))


def readings(analysis_id: str, session: Session) -> Sequence[ReadingRow]:
    """All that an analysis reads, in reading order, without vectors."""
    query = select(ReadingRow).where(ReadingRow.analysis_id == analysis_id)
    query = query.options(defer(ReadingRow.vector, raiseload=True))
    return session.scalars(query.order_by(ReadingRow.position, ReadingRow.sample)).all()


def readings_at(analysis_id: str, position: int, session: Session) -> Sequence[ReadingRow]:
    """The readings of an analysis at one position, without vectors."""
    query = select(ReadingRow).where(ReadingRow.analysis_id == analysis_id, ReadingRow.position == position)
    query = query.options(defer(ReadingRow.vector, raiseload=True))
    return session.scalars(query.order_by(ReadingRow.sample)).all()


def activations(analysis_id: str, session: Session) -> bytes | None:
    """The target's activations, once they are made."""
    return session.scalar(select(TraceRow.activations).where(TraceRow.analysis_id == analysis_id))


def readings_in_parts(analysis_id: str, size: int, session: Session) -> Iterator[Sequence[ReadingRow]]:
    """Its readings with their vectors in reading order, never more than `size` in memory."""
    query = select(ReadingRow).where(ReadingRow.analysis_id == analysis_id)
    query = query.order_by(ReadingRow.position, ReadingRow.sample).execution_options(yield_per=size)
    yield from session.scalars(query).partitions()


def typical_length(pair: str, session: Session) -> float | None:
    """Characters of a reading of this pair, as the mean of those that were kept last; None if there are none."""
    lengths = (
        select(func.length(ReadingRow.text).label("characters"))
        .join(AnalysisRow, AnalysisRow.id == ReadingRow.analysis_id)
        .where(AnalysisRow.pair == pair, ReadingRow.error.is_(None))
        .order_by(AnalysisRow.created.desc())
        .limit(SAMPLE)
        .subquery()
    )
    found = session.scalar(select(func.avg(lengths.c.characters)))
    return None if found is None else float(found)


def start_over(analysis_id: str, request: str, session: Session) -> None:
    """Forget all that is kept of an analysis but its address and its edits; it is to be made again from its request."""
    for table in (ReadingRow, TraceRow):
        session.execute(delete(table).where(table.analysis_id == analysis_id))
    values: dict[str, Any] = {
        "request": request,
        "status": "queued",
        "timings": "{}",
        "versions": "{}",
        "token_count": 0,
    }
    for column in (
        "error",
        "finished",
        "tokens",
        "baselines",
        "prompt_ids",
        "generated_ids",
        "focus",
        "leased_by",
    ):
        values[column] = None
    change(analysis_id, values, session)


def save_scores(scores: Sequence[dict[str, Any]], session: Session) -> None:
    """Add scores to readings that are kept: analysis_id, position and sample, and the columns to set."""
    session.execute(update(ReadingRow), list(scores))


def begin(analysis_id: str, session: Session) -> StoredAnalysis:
    """Everything kept of an analysis of which a new run begins, without the failures of the earlier ones."""
    session.execute(
        delete(ReadingRow).where(ReadingRow.analysis_id == analysis_id, ReadingRow.error.is_not(None))
    )
    change(analysis_id, {"end_event": 0}, session)
    found = whole(analysis_id, session, vectors=True)
    assert found is not None
    return found


def recent(
    limit: int,
    query: str | None,
    session: Session,
    *,
    pair: str | None = None,
    status: str | None = None,
    before: Place | None = None,
    studies: bool = True,
) -> list[Summary]:
    """The newest analyses after the place `before`: those with every word of the query in prompt, reply,
    readings or edits, of a pair, of a status (or DELETED), with those that `studies` began or without.
    """
    rows = _summaries().where(*_chosen(query, pair, status, session, studies))
    if before is not None:
        created, last = before
        same_moment = and_(AnalysisRow.created == created, AnalysisRow.id > last)
        rows = rows.where(or_(AnalysisRow.created < created, same_moment))
    rows = rows.order_by(AnalysisRow.created.desc(), AnalysisRow.id).limit(limit)
    return [Summary(*row) for row in session.execute(rows)]


def summary(analysis_id: str, session: Session) -> Summary | None:
    """One analysis as a line of the library, deleted or not."""
    standing = _standing(analysis_id, session)
    if standing is None:
        return None
    row = session.execute(_summaries().where(AnalysisRow.id == standing.id)).first()
    return None if row is None else Summary(*row)


def _summaries() -> Select[Any]:
    count = (
        select(func.count())
        .select_from(ReadingRow)
        .where(ReadingRow.analysis_id == AnalysisRow.id, ReadingRow.error.is_(None))
        .scalar_subquery()
    )
    columns = (
        AnalysisRow.id,
        AnalysisRow.title,
        AnalysisRow.pair,
        AnalysisRow.status,
        AnalysisRow.created,
        AnalysisRow.deleted,
    )
    return select(*columns, AnalysisRow.token_count, AnalysisRow.study_id, count)


def count(
    query: str | None, pair: str | None, status: str | None, session: Session, *, studies: bool = True
) -> int:
    """Count the analyses that `recent` would find, were there no limit."""
    chosen = _chosen(query, pair, status, session, studies)
    return session.scalar(select(func.count()).select_from(AnalysisRow).where(*chosen)) or 0


def place(analysis_id: str, session: Session) -> Place | None:
    """The place of an analysis in the order of the library."""
    row = session.execute(
        select(AnalysisRow.created, AnalysisRow.id).where(AnalysisRow.id == analysis_id)
    ).first()
    return None if row is None else (row[0], row[1])


def pairs(session: Session) -> Sequence[str]:
    """The pairs of which there are analyses."""
    return session.scalars(select(AnalysisRow.pair).distinct().order_by(AnalysisRow.pair)).all()


def _chosen(
    query: str | None, pair: str | None, status: str | None, session: Session, studies: bool
) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = [AnalysisRow.alias_of.is_(None)]
    chosen.append(AnalysisRow.deleted.is_not(None) if status == DELETED else AnalysisRow.deleted.is_(None))
    if status is not None and status != DELETED:
        chosen.append(AnalysisRow.status == status)
    if pair is not None:
        chosen.append(AnalysisRow.pair == pair)
    if not studies:
        chosen.append(AnalysisRow.study_id.is_(None))
    dialect = session.get_bind().dialect.name
    return [*chosen, *(matches(word, dialect) for word in words_of(query))]


def now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)
