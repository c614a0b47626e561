"""Questions and changes about notebooks, as functions of a session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from server.store import leases
from server.store.tables import NotebookEntryRow, NotebookRow


def get(id: str, session: Session) -> tuple[NotebookRow, Sequence[NotebookEntryRow]] | None:
    """A notebook with its entries in their order, or None."""
    row = session.get(NotebookRow, id)
    return None if row is None else (row, _entries(id, session))


def listed(limit: int, before: str | None, session: Session) -> list[tuple[NotebookRow, int]]:
    """The notebooks that were changed last, or those that follow the one of the id `before`, each with the number of
    its entries.
    """
    query = select(NotebookRow, func.count(NotebookEntryRow.id)).outerjoin(NotebookEntryRow)
    after = None if before is None else session.get(NotebookRow, before)
    if after is not None:
        same_moment = and_(NotebookRow.changed == after.changed, NotebookRow.id > after.id)
        query = query.where(or_(NotebookRow.changed < after.changed, same_moment))
    query = query.group_by(NotebookRow.id).order_by(NotebookRow.changed.desc(), NotebookRow.id).limit(limit)
    return [(row, count) for row, count in session.execute(query)]


def add(row: NotebookRow, session: Session) -> None:
    """Keep a notebook."""
    session.add(row)


def rename(id: str, title: str, now: datetime, session: Session) -> bool:
    """Give a notebook another title; False if there is none."""
    row = session.get(NotebookRow, id)
    if row is None:
        return False
    row.title, row.changed = title, now
    return True


def remove(id: str, session: Session) -> bool:
    """Remove a notebook with its entries for good; False if there was none."""
    if session.get(NotebookRow, id) is None:
        return False
    session.execute(delete(NotebookRow).where(NotebookRow.id == id))
    return True


def add_entry(entry: NotebookEntryRow, most: int, session: Session) -> bool | None:
    """Add an entry at the end of its notebook. False if that has `most` of them, None if there is none."""
    leases.lock(entry.notebook_id, session)
    if session.get(NotebookRow, entry.notebook_id) is None:
        return None
    count, last = session.execute(
        select(func.count(), func.max(NotebookEntryRow.place)).where(
            NotebookEntryRow.notebook_id == entry.notebook_id
        )
    ).one()
    if count >= most:
        return False
    entry.place = 0 if last is None else last + 1
    session.add(entry)
    _touch(entry.notebook_id, entry.changed, session)
    return True


def entry(notebook_id: str, id: str, session: Session) -> NotebookEntryRow | None:
    """One entry that can be changed: nobody else changes one of its notebook before the end of the transaction."""
    leases.lock(notebook_id, session)
    return session.scalar(
        select(NotebookEntryRow).where(NotebookEntryRow.notebook_id == notebook_id, NotebookEntryRow.id == id)
    )


def move(found: NotebookEntryRow, place: int, session: Session) -> None:
    """Put an entry at a place, counted from 0; beyond the last one, to the end."""
    others = [each for each in _entries(found.notebook_id, session) if each.id != found.id]
    others.insert(place, found)
    for number, each in enumerate(others):
        each.place = number


def changed(found: NotebookEntryRow, now: datetime, session: Session) -> None:
    """Note when an entry, and with it its notebook, was changed."""
    found.changed = now
    _touch(found.notebook_id, now, session)


def remove_entry(notebook_id: str, id: str, now: datetime, session: Session) -> bool:
    """Remove an entry for good; False if there was none."""
    if entry(notebook_id, id, session) is None:
        return False
    session.execute(delete(NotebookEntryRow).where(NotebookEntryRow.id == id))
    _touch(notebook_id, now, session)
    return True


def _touch(notebook_id: str, now: datetime, session: Session) -> None:
    session.execute(update(NotebookRow).where(NotebookRow.id == notebook_id).values(changed=now))


def _entries(notebook_id: str, session: Session) -> Sequence[NotebookEntryRow]:
    query = select(NotebookEntryRow).where(NotebookEntryRow.notebook_id == notebook_id)
    return session.scalars(query.order_by(NotebookEntryRow.place, NotebookEntryRow.id)).all()
