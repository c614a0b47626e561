"""Leases: which server works on a job, where several servers share a database.

A server that begins a run writes its name and the time into the job's row, and renews the time while it
works. A lease that has not been renewed for a while is void: another server takes the job over. The
number of the run fences off the one before: its writes are refused from then on, so a server that was only
slow or cut off cannot disturb its successor. Times are the database's: the servers' clocks may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, text, type_coerce, update
from sqlalchemy.orm import Session

from server.store import repository
from server.store.repository import UNFINISHED
from server.store.tables import (
    AnalysisJobRow,
    AnalysisRow,
    InterventionRow,
    JobRow,
    MeasurementRow,
    Moment,
    StudyRow,
    TraceRow,
    VectorReadingRow,
)

TABLES: tuple[type[JobRow], ...] = (AnalysisRow, InterventionRow, MeasurementRow, StudyRow, VectorReadingRow)
"""The tables whose rows are jobs."""


class Taken(Exception):
    """The run is over: another one has begun, or the job was stopped or deleted elsewhere."""


def claim(new: AnalysisRow, session: Session) -> AnalysisRow | None:
    """The analysis that stands there already, brought back if it was deleted; None if there is none. No other server
    decides this before the end of the transaction. What a study asked for that is gone by now is like anybody's.
    """
    lock(new.address or new.id, session)
    if new.study_id is not None and session.get(StudyRow, new.study_id) is None:
        new.study_id = None
    found = repository.claim(new.address, new.id, session)
    if found is not None and found.text_id is None:
        found.text_id = new.text_id
    if found is not None and new.study_id is None:
        found.study_id = None
    return found


def add(new: JobRow, server: str, session: Session) -> None:
    """Keep a new job, for this server to begin."""
    new.leased_by, new.lease_renewed_at = server, _moment(session)
    session.add(new)
    session.flush()


def add_layer(new: AnalysisRow, trace: TraceRow | None, session: Session) -> None:
    """Keep an analysis of the same text by another pair, with its trace if there is one, for whichever server takes it.
    If that pair has one already, it is brought back if it was deleted, and goes on if it had stopped.
    """
    lock(new.id, session)
    found = repository.restore(new.id, session) or repository.sibling(new.text_id, new.pair, session)
    if found is None:
        session.add(new)
        session.flush()
        if trace is not None:
            session.add(trace)
        return
    found.deleted, found.text_id = None, found.text_id or new.text_id
    if found.status in ("failed", "cancelled"):
        found.status = "queued"


def settle(
    analysis_id: str, address: str, fingerprint: str, text_id: str, session: Session
) -> AnalysisRow | None:
    """Give an analysis its content address and text_id. If another stands there, this one becomes its alias, and the
    other is returned.
    """
    lock(address, session)
    other = repository.claim(address, analysis_id, session)
    if other is None:
        values = {"address": address, "fingerprint": fingerprint, "text_id": text_id}
        repository.change(analysis_id, values, session)
    else:
        other.text_id = other.text_id or text_id
        repository.change(analysis_id, {"alias_of": other.id, "status": "done", "leased_by": None}, session)
    return other


def take(table: type[JobRow], id: str, server: str, patience: timedelta, session: Session) -> bool:
    """Begin a run of a job that is not done. False if it is done or deleted, or another server's."""
    expire(table, patience, session, but=server)
    query = select(table).where(table.id == id, *_workable(table)).with_for_update()
    row = session.scalar(query.execution_options(populate_existing=True))
    if row is None or row.status == "done" or row.leased_by not in (None, server):
        return False
    _begin(row, server, session)
    return True


def take_next(
    table: type[JobRow], pairs: Sequence[str], server: str, patience: timedelta, session: Session
) -> str | None:
    """Begin a run of the oldest unfinished job of these pairs that nobody works on. Returns its id, or None."""
    expire(table, patience, session, but=server)
    query = (
        select(table)
        .where(
            table.status.in_(UNFINISHED), table.pair.in_(pairs), table.leased_by.is_(None), *_workable(table)
        )
        .order_by(table.created, table.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=table)
    )
    row = session.scalar(query)
    if row is None:
        return None
    _begin(row, server, session)
    return row.id


def _workable(table: type[Any]) -> list[ColumnElement[bool]]:
    """Conditions under which a row is a job at all: an alias is none, and neither is what is deleted."""
    there: list[ColumnElement[bool]] = [AnalysisRow.alias_of.is_(None), AnalysisRow.deleted.is_(None)]
    if issubclass(table, AnalysisJobRow):
        return [table.analysis_id.in_(select(AnalysisRow.id).where(*there))]
    return there if issubclass(table, AnalysisRow) else []


def _begin(row: JobRow, server: str, session: Session) -> None:
    row.leased_by, row.lease_renewed_at = server, _moment(session)
    row.status, row.error, row.finished = "queued", None, None
    row.run_number += 1
    session.flush()


def renew(server: str, session: Session) -> Mapping[str, int]:
    """Renew this server's leases. Returns the ids that are still its own, each with the number of its run."""
    found: dict[str, int] = {}
    for table in TABLES:
        mine = table.leased_by == server
        session.execute(update(table).where(mine).values(lease_renewed_at=_moment(session)))
        rows = session.execute(select(table.id, table.run_number).where(mine))
        found |= {row.id: row.run_number for row in rows}
    return found


def release(server: str, session: Session) -> None:
    """Let go of whatever this server has: another may go on with it at once."""
    for table in TABLES:
        session.execute(update(table).where(table.leased_by == server).values(leased_by=None))


def expire(table: type[JobRow], patience: timedelta, session: Session, *, but: str) -> None:
    """Take away the leases of other servers that were not renewed for so long.

    One that was renewed in the future is from before the database's clock was set back: it counts from now on, or that
    of a server that is gone would last until that time comes again.
    """
    now = _moment(session)
    others = select(table.id).where(table.leased_by != but).with_for_update(skip_locked=True)
    # What is being renewed is locked, and left as it is.
    old = others.where(table.lease_renewed_at <= now - patience)
    session.execute(update(table).where(table.id.in_(old)).values(leased_by=None))
    ahead = others.where(table.lease_renewed_at > now + patience)
    session.execute(update(table).where(table.id.in_(ahead)).values(lease_renewed_at=now))


def fence(table: type[JobRow], id: str, run: int, session: Session) -> None:
    """To the end of this transaction no other run begins. Raises Taken if one has."""
    query = select(table.run_number).where(table.id == id).with_for_update()
    if session.scalar(query) != run:
        raise Taken


def cancel(analysis_id: str, session: Session) -> None:
    """Cancel an analysis, whoever works on it; one that has ended is left as it is."""
    row = session.get_one(AnalysisRow, analysis_id, with_for_update=True, populate_existing=True)
    if row.status in UNFINISHED:
        cancel_run(analysis_id, {"status": "cancelled", "finished": repository.now()}, session)


def cancel_run(analysis_id: str, values: Mapping[str, Any], session: Session) -> None:
    """End the run of whoever works on an analysis, and set columns."""
    row = session.get_one(AnalysisRow, analysis_id, with_for_update=True, populate_existing=True)
    if row.leased_by is not None:
        row.leased_by = None
        row.run_number += 1
    for name, value in values.items():
        setattr(row, name, value)


def lock(name: str, session: Session) -> None:
    """One server at a time comes past this point with the name, until its transaction ends."""
    if session.get_bind().dialect.name != "sqlite":  # there a transaction that writes is alone
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def _moment(session: Session) -> datetime:
    return session.scalars(select(type_coerce(func.current_timestamp(), Moment()))).one()
