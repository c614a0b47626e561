"""Questions and changes about interventions, as functions of a session."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from server.store.repository import get as get_analysis
from server.store.tables import InterventionRow, ReadingRow


def keep(row: InterventionRow, session: Session) -> bool:
    """Keep an intervention, unless another server has. False if its analysis has been deleted meanwhile."""
    if get_analysis(row.analysis_id, session) is None:
        return False
    id = row.id
    if session.get(InterventionRow, id) is None:
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:  # it has come since, or the analysis has gone
            return session.get(InterventionRow, id) is not None
    return True


def get(analysis_id: str, intervention_id: str, session: Session) -> str | None:
    """The answer that is kept; None if this analysis has no such intervention."""
    return session.scalar(
        select(InterventionRow.result).where(
            InterventionRow.id == intervention_id, InterventionRow.analysis_id == analysis_id
        )
    )


def of(analysis_id: str, position: int | None, session: Session) -> Sequence[str]:
    """The answers of an analysis, or of one of its positions, oldest first."""
    query = select(InterventionRow.result).where(InterventionRow.analysis_id == analysis_id)
    if position is not None:
        query = query.where(InterventionRow.position == position)
    return session.scalars(query.order_by(InterventionRow.created, InterventionRow.id)).all()


def remove(analysis_id: str, intervention_id: str, session: Session) -> bool:
    """Whether there was one to remove."""
    row = session.get(InterventionRow, intervention_id)
    if row is None or row.analysis_id != analysis_id:
        return False
    session.delete(row)
    return True


def reconstructions(analysis_id: str, positions: Sequence[int], session: Session) -> Sequence[bytes]:
    """What the AR made of the first readings of some positions, as far as that is kept, in reading order."""
    query = select(ReadingRow.vector).where(
        ReadingRow.analysis_id == analysis_id, ReadingRow.position.in_(positions), ReadingRow.sample == 0
    )
    query = query.where(ReadingRow.vector.is_not(None)).order_by(ReadingRow.position)
    return [vector for vector in session.scalars(query) if vector is not None]
