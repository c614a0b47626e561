"""Questions and changes about vectors that are kept by themselves, as functions of a session."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session, defer, load_only

from server.store import leases
from server.store.tables import AnalysisRow, VectorRow


def add(row: VectorRow, session: Session) -> bool:
    """Keep a vector unless it is there; True if it was. No other server decides this before the end of the
    transaction.
    """
    leases.lock(row.id, session)
    if session.get(VectorRow, row.id) is not None:
        return True
    session.add(row)
    return False


def get(vector_id: str, session: Session) -> VectorRow | None:
    """One vector, with its values."""
    return session.get(VectorRow, vector_id)


def listed(
    limit: int,
    session: Session,
    *,
    pair: str | None = None,
    layer: int | None = None,
    after: VectorRow | None = None,
) -> Sequence[VectorRow]:
    """The newest vectors, or those that follow `after`, of a pair and a layer or of any; without their values."""
    query = select(VectorRow).options(defer(VectorRow.data, raiseload=True))
    if pair is not None:
        query = query.where(VectorRow.pair == pair)
    if layer is not None:
        query = query.where(VectorRow.layer == layer)
    if after is not None:
        same_moment = and_(VectorRow.created == after.created, VectorRow.id > after.id)
        query = query.where(or_(VectorRow.created < after.created, same_moment))
    return session.scalars(query.order_by(VectorRow.created.desc(), VectorRow.id).limit(limit)).all()


def remove(vector_id: str, session: Session) -> bool:
    """Remove a vector and what was read of it; False if there was none."""
    row = session.get(VectorRow, vector_id)
    if row is None:
        return False
    session.execute(delete(VectorRow).where(VectorRow.id == vector_id))
    return True


def there(analysis_ids: Collection[str], session: Session) -> set[str]:
    """The ids of those analyses that have not been deleted."""
    query = select(AnalysisRow.id).where(AnalysisRow.id.in_(analysis_ids), AnalysisRow.deleted.is_(None))
    return set(session.scalars(query))


def last_texts(pair: str, fingerprint: str, limit: int, session: Session) -> Sequence[AnalysisRow]:
    """The newest analyses of a pair by the same weights: their ids and tokens."""
    query = select(AnalysisRow).options(load_only(AnalysisRow.id, AnalysisRow.tokens))
    query = query.where(AnalysisRow.pair == pair, AnalysisRow.fingerprint == fingerprint)
    query = query.where(AnalysisRow.deleted.is_(None), AnalysisRow.alias_of.is_(None))
    return session.scalars(query.order_by(AnalysisRow.created.desc(), AnalysisRow.id).limit(limit)).all()
