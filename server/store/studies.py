"""Questions and changes about studies and their cases, as functions of a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, defer

from server.store import leases, repository
from server.store.repository import UNFINISHED
from server.store.tables import AnalysisRow, StudyCaseRow, StudyRow


def get(id: str, session: Session) -> StudyRow | None:
    """The study of this id."""
    return session.get(StudyRow, id)


def claim(id: str, session: Session) -> StudyRow | None:
    """The study of this id; None if there is none. No other server decides this before the end of the transaction."""
    leases.lock(id, session)
    return session.get(StudyRow, id, populate_existing=True)


def recent(limit: int, before: datetime | None, session: Session) -> Sequence[StudyRow]:
    """The newest studies, or those older than a moment, without their results."""
    rows = select(StudyRow).options(defer(StudyRow.result), defer(StudyRow.inputs))
    if before is not None:
        rows = rows.where(StudyRow.created < before)
    return session.scalars(rows.order_by(StudyRow.created.desc(), StudyRow.id).limit(limit)).all()


def cases(id: str, session: Session) -> Mapping[int, tuple[str, str]]:
    """(case id, document) of the cases of a study that are made, by number."""
    columns = StudyCaseRow.number, StudyCaseRow.case_id, StudyCaseRow.document
    query = select(*columns).where(StudyCaseRow.study_id == id).order_by(StudyCaseRow.number)
    return {number: (case_id, document) for number, case_id, document in session.execute(query)}


def finished_case(id: str, number: int, session: Session) -> str | None:
    """The case id of one case of a study that is done; None where there is none."""
    query = select(StudyCaseRow.case_id).join(StudyRow, StudyRow.id == StudyCaseRow.study_id)
    return session.scalar(
        query.where(StudyRow.id == id, StudyRow.status == "done", StudyCaseRow.number == number)
    )


def change_token(id: str, session: Session) -> object:
    """A value that changes with whatever is kept of a study."""
    row = session.execute(
        select(StudyRow.status, StudyRow.leased_by, StudyRow.run_number).where(StudyRow.id == id)
    ).first()
    query = select(func.count()).select_from(StudyCaseRow).where(StudyCaseRow.study_id == id)
    return None if row is None else (*row, session.scalar(query))


def known(case_ids: Sequence[str], session: Session) -> Mapping[str, str]:
    """The documents of these cases, as far as any study has made them."""
    query = select(StudyCaseRow.case_id, StudyCaseRow.document).where(StudyCaseRow.case_id.in_(case_ids))
    return {row.case_id: row.document for row in session.execute(query)}


def keep_cases(rows: Sequence[Mapping[str, Any]], session: Session) -> None:
    """Keep cases of a study, in the place of those of the same number."""
    for row in rows:
        session.merge(StudyCaseRow(**row))
    session.flush()


def change(id: str, values: Mapping[str, Any], session: Session) -> None:
    """Set columns of one study."""
    session.execute(update(StudyRow).where(StudyRow.id == id).values(**values))


def remove(id: str, session: Session) -> None:
    """Remove a study for good, whoever works on it; the analyses of its cases stay."""
    session.execute(update(AnalysisRow).where(AnalysisRow.study_id == id).values(study_id=None))
    session.execute(delete(StudyCaseRow).where(StudyCaseRow.study_id == id))
    session.execute(delete(StudyRow).where(StudyRow.id == id))


def cancel(id: str, session: Session) -> None:
    """Cancel a study, whoever works on it; one that has ended is left as it is."""
    row = session.get(StudyRow, id, with_for_update=True, populate_existing=True)
    if row is None or row.status not in UNFINISHED:
        return
    if row.leased_by is not None:
        row.leased_by = None
        row.run_number += 1
    row.status, row.finished = "cancelled", repository.now()
