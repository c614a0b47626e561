"""Questions and changes about sessions that were ended, as functions of a session of the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from server.store import leases
from server.store.tables import EndedSessionRow


def ended(id: str, session: Session) -> bool:
    """Return whether a session was ended."""
    return session.get(EndedSessionRow, id) is not None


def end(id: str, expires: datetime, now: datetime, session: Session) -> None:
    """Keep that a session was ended, and forget those that have expired by now."""
    session.execute(delete(EndedSessionRow).where(EndedSessionRow.expires < now))
    leases.lock(id, session)
    if not ended(id, session):
        session.add(EndedSessionRow(id=id, expires=expires))
