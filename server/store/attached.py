"""Questions and changes about jobs that belong to something (an analysis, a vector) and come to one document, as
functions of a session. `table` is theirs.

One that was broken off is gone, unless something of it was finished (causal scores): then its row stays, failed or
cancelled, for whoever asks again, and everybody else is told that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from server.store import causal_scores, leases, repository
from server.store.repository import UNFINISHED
from server.store.tables import AttachedRow, InterventionRow, ReadingRow

Row = TypeVar("Row", bound=AttachedRow)


def find(table: type[Row], parent_id: str, id: str, session: Session) -> Row | None:
    """The job of this id, made or being made, if it belongs to this."""
    row = get(table, id, session)
    return None if row is None or row.parent_id != parent_id else row


def get(table: type[Row], id: str, session: Session) -> Row | None:
    """The job of this id, made or being made."""
    row = session.get(table, id)
    return row if row is not None and row.status in (*UNFINISHED, "done") else None


def is_kept(table: type[Row], parent_id: str, id: str, session: Session) -> bool:
    """Return whether anything is kept of this job of this, also of one that was broken off."""
    row = session.get(table, id)
    return row is not None and row.parent_id == parent_id


def claim(table: type[Row], id: str, session: Session) -> Row | None:
    """The job of this id, also one that was broken off; None if there is none. No other server decides this before the
    end of the transaction.
    """
    leases.lock(id, session)
    return session.get(table, id, populate_existing=True)


def made(table: type[Row], parent_id: str, session: Session, **where: object) -> Sequence[str]:
    """The results of those that belong to this, oldest first; `where` are columns with the values that are wanted
    (None: any).
    """
    query = select(table.result).where(table.parent_id == parent_id, table.status == "done")
    return session.scalars(query.filter_by(**_given(where)).order_by(table.created, table.id)).all()


def asked(table: type[Row], parent_id: str, session: Session, **where: object) -> Sequence[str]:
    """The requests of those that `made` has the results of, which may be large."""
    query = select(table.inputs).where(table.parent_id == parent_id, table.status == "done")
    return session.scalars(query.filter_by(**_given(where)).order_by(table.created, table.id)).all()


def pending(table: type[Row], parent_id: str, session: Session, **where: object) -> Sequence[Row]:
    """The jobs that belong to this and are being made or wait, oldest first; `where` as in `made`."""
    query = select(table).where(table.parent_id == parent_id, table.status.in_(UNFINISHED))
    return session.scalars(query.filter_by(**_given(where)).order_by(table.created, table.id)).all()


def latest(
    table: type[Row], parent_id: str, session: Session, column: str, values: Sequence[str]
) -> dict[str, Row]:
    """For each of some values of a column, the youngest of those that belong to this, have it, and are being made or
    wait, or else of those that are made. A value that none has is left out.
    """
    of = getattr(table, column)
    query = select(table).where(table.parent_id == parent_id, of.in_(values))
    query = query.where(table.status.in_((*UNFINISHED, "done")))
    youngest_last = table.status != "done", table.created, table.id
    return {getattr(row, column): row for row in session.scalars(query.order_by(*youngest_last))}


def edits(analysis_id: str, session: Session) -> Sequence[tuple[int, str]]:
    """The position and the status of each edit of an analysis, made or not."""
    query = select(InterventionRow.position, InterventionRow.status)
    query = query.where(InterventionRow.analysis_id == analysis_id)
    found = session.execute(query.where(InterventionRow.status.in_((*UNFINISHED, "done"))))
    return [(position, status) for position, status in found]


def change(table: type[Row], id: str, values: Mapping[str, Any], session: Session) -> None:
    """Set columns of one job."""
    session.execute(update(table).where(table.id == id).values(**values))


def remove(table: type[Row], id: str, session: Session) -> None:
    """Remove a job for good, whoever works on it."""
    session.execute(delete(table).where(table.id == id))


def break_off(table: type[Row], id: str, status: str, session: Session) -> None:
    """End the making of a job, whoever works on it: `status` is failed or cancelled. One that is made is left."""
    row = session.get(table, id, with_for_update=True, populate_existing=True)
    if row is None or row.status not in UNFINISHED:
        return
    if causal_scores.last_event(id, session) is None:
        session.delete(row)
    else:
        row.status, row.finished, row.leased_by = status, repository.now(), None
        row.run_number += 1
    session.flush()


def cancel_pending(table: type[Row], parent_id: str, session: Session) -> list[str]:
    """Cancel the jobs that belong to this and are not made yet, whoever works on them. Returns their ids."""
    ids = [row.id for row in pending(table, parent_id, session)]
    for id in ids:
        break_off(table, id, "cancelled", session)
    return ids


def all_reconstructions(analysis_id: str, session: Session) -> dict[tuple[int, int], bytes]:
    """The reconstructions of an analysis, as far as they are kept, by position and sample."""
    query = select(ReadingRow.position, ReadingRow.sample, ReadingRow.vector)
    query = query.where(ReadingRow.analysis_id == analysis_id, ReadingRow.vector.is_not(None))
    return {(position, sample): vector for position, sample, vector in session.execute(query) if vector}


def reconstructions(analysis_id: str, positions: Sequence[int], session: Session) -> Sequence[bytes]:
    """The reconstructions of the first readings of some positions, as far as they are kept, in reading order."""
    query = select(ReadingRow.vector).where(
        ReadingRow.analysis_id == analysis_id, ReadingRow.position.in_(positions), ReadingRow.sample == 0
    )
    query = query.where(ReadingRow.vector.is_not(None)).order_by(ReadingRow.position)
    return [vector for vector in session.scalars(query) if vector is not None]


def _given(where: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in where.items() if value is not None}
