"""The causal scores of measurements that are being made, as functions of a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from server.store.tables import CausalScoreRow


def add(rows: Sequence[dict[str, Any]], session: Session) -> None:
    """Keep some scores."""
    session.execute(insert(CausalScoreRow), list(rows))


def kept(measurement_id: str, session: Session) -> Sequence[CausalScoreRow]:
    """The scores that are kept of a measurement, in the order in which they were told."""
    query = select(CausalScoreRow).where(CausalScoreRow.measurement_id == measurement_id)
    return session.scalars(query.order_by(CausalScoreRow.event)).all()


def last_event(measurement_id: str, session: Session) -> int | None:
    """The id of the last event that told one of them; None before the first."""
    query = select(func.max(CausalScoreRow.event))
    return session.scalar(query.where(CausalScoreRow.measurement_id == measurement_id))


def remove(measurement_id: str, session: Session) -> None:
    """Remove them: the measurement is made."""
    session.execute(delete(CausalScoreRow).where(CausalScoreRow.measurement_id == measurement_id))
