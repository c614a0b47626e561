"""Who works on an analysis, where several servers share a database.

A server that begins a run writes its name and the time into the analysis's row, and renews the time while it
works. A lease that has not been renewed for a while is void: another server takes the analysis over. The
number of the run fences off the one before: its writes are refused from then on, so a server that was only
slow or cut off cannot disturb its successor. Times are the database's: the servers' clocks may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text, type_coerce, update
from sqlalchemy.orm import Session

from server.store import repository
from server.store.repository import UNFINISHED, StoredAnalysis
from server.store.tables import AnalysisRow, Moment, TraceRow


class Taken(Exception):
    """The run is over: another one has begun, or the analysis was stopped or deleted elsewhere."""


def claim_or_add(new: AnalysisRow, owner: str, session: Session) -> AnalysisRow | None:
    """What stands there already, as `claim` finds it; else None, and the new row is kept, for its owner to begin."""
    _advisory_lock(new.address or new.id, session)
    found = repository.claim(new.address, new.id, session)
    if found is None:
        new.owner, new.leased = owner, _moment(session)
        session.add(new)
    elif found.kin is None:
        found.kin = new.kin
    return found


def add_sibling(new: AnalysisRow, trace: TraceRow | None, session: Session) -> None:
    """Keep an analysis of the same kin for whoever comes to work on it, with its trace if there is one. If its pair has
    one already, that is brought back if it was deleted, and goes on if it had stopped.
    """
    _advisory_lock(new.id, session)
    found = repository.restore(new.id, session) or repository.sibling(new.kin, new.pair, session)
    if found is None:
        session.add(new)
        session.flush()
        if trace is not None:
            session.add(trace)
        return
    found.deleted, found.kin = None, found.kin or new.kin
    if found.status in ("failed", "cancelled"):
        found.status = "queued"


def settle(
    analysis_id: str, address: str, fingerprint: str, kin: str, session: Session
) -> AnalysisRow | None:
    """Give an analysis its content address and kin. If another stands there, this one becomes its alias, and the
    other is returned.
    """
    _advisory_lock(address, session)
    other = repository.claim(address, analysis_id, session)
    if other is None:
        values = {"address": address, "fingerprint": fingerprint, "kin": kin}
        repository.change(analysis_id, values, session)
    else:
        other.kin = other.kin or kin
        repository.change(analysis_id, {"same_as": other.id, "status": "done", "owner": None}, session)
    return other


def take(analysis_id: str, owner: str, patience: timedelta, session: Session) -> StoredAnalysis | None:
    """Begin a run of an analysis that is not done. None if it is done or deleted, or another server's."""
    expire(patience, session, but=owner)
    row = session.get_one(AnalysisRow, analysis_id, with_for_update=True, populate_existing=True)
    if row.status == "done" or row.deleted is not None or row.owner not in (None, owner):
        return None
    return _begin(row, owner, session)


def take_next(
    pairs: Sequence[str], owner: str, patience: timedelta, session: Session
) -> StoredAnalysis | None:
    """Begin a run of the oldest unfinished analysis of these pairs that nobody works on; None if there is none."""
    expire(patience, session, but=owner)
    query = (
        select(AnalysisRow)
        .where(AnalysisRow.status.in_(UNFINISHED), AnalysisRow.pair.in_(pairs), AnalysisRow.owner.is_(None))
        .where(AnalysisRow.same_as.is_(None), AnalysisRow.deleted.is_(None))
        .order_by(AnalysisRow.created, AnalysisRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = session.scalar(query)
    return None if row is None else _begin(row, owner, session)


def _begin(row: AnalysisRow, owner: str, session: Session) -> StoredAnalysis:
    row.owner, row.leased = owner, _moment(session)
    return repository.begin(row.id, session)


def renew(owner: str, session: Session) -> Mapping[str, int]:
    """Renew this server's leases. Returns the ids that are still its own, each with the number of its run."""
    mine = AnalysisRow.owner == owner
    session.execute(update(AnalysisRow).where(mine).values(leased=_moment(session)))
    return {row.id: row.runs for row in session.execute(select(AnalysisRow.id, AnalysisRow.runs).where(mine))}


def release(owner: str, session: Session) -> None:
    """Let go of whatever this server has: another may go on with it at once."""
    session.execute(update(AnalysisRow).where(AnalysisRow.owner == owner).values(owner=None))


def expire(patience: timedelta, session: Session, *, but: str) -> None:
    """Take away the leases of other servers that were not renewed for so long."""
    old = select(AnalysisRow.id).where(AnalysisRow.owner != but)
    old = old.where(AnalysisRow.leased <= _moment(session) - patience)
    old = old.with_for_update(skip_locked=True)  # what is being renewed is not old
    session.execute(update(AnalysisRow).where(AnalysisRow.id.in_(old)).values(owner=None))


def fence(analysis_id: str, run: int, session: Session) -> None:
    """To the end of this transaction no other run begins. Raises Taken if one has."""
    query = select(AnalysisRow.runs).where(AnalysisRow.id == analysis_id).with_for_update()
    if session.scalar(query) != run:
        raise Taken


def cancel(analysis_id: str, session: Session) -> None:
    """Cancel an analysis, whoever works on it; one that has ended is left as it is."""
    row = session.get_one(AnalysisRow, analysis_id, with_for_update=True, populate_existing=True)
    if row.status in UNFINISHED:
        cancel_run(analysis_id, {"status": "cancelled", "finished": repository.now()}, session)


def cancel_run(analysis_id: str, values: Mapping[str, Any], session: Session) -> None:
    """End the run of whoever works on it, and set columns."""
    row = session.get_one(AnalysisRow, analysis_id, with_for_update=True, populate_existing=True)
    if row.owner is not None:
        row.owner = None
        row.runs += 1
    for name, value in values.items():
        setattr(row, name, value)


def _advisory_lock(name: str, session: Session) -> None:
    """One server at a time comes past this point with the name, until its transaction ends."""
    if session.get_bind().dialect.name != "sqlite":  # there a transaction that writes is alone
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def _moment(session: Session) -> datetime:
    return session.scalars(select(type_coerce(func.current_timestamp(), Moment()))).one()
