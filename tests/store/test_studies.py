from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from server.store import leases, studies
from server.store.tables import StudyCaseRow, StudyRow
from tests.store.rows import study

HOUR = timedelta(hours=1)


def kept(session: Session, id: str, *case_ids: str) -> None:
    rows = [
        {"study_id": id, "number": n, "case_id": case_id, "document": f"document of {case_id}"}
        for n, case_id in enumerate(case_ids)
    ]
    studies.keep_cases(rows, session)


def test_a_study_is_a_job_that_belongs_to_no_analysis(session: Session) -> None:
    session.add(study("sums", status="queued"))
    session.flush()
    assert leases.take_next(StudyRow, ["other"], "a", HOUR, session) is None
    assert leases.take_next(StudyRow, ["fake"], "a", HOUR, session) == "sums"
    assert leases.renew("a", session) == {"sums": 1}
    assert not leases.take(StudyRow, "sums", "b", HOUR, session)


def test_a_case_is_found_whichever_study_made_it_and_takes_the_place_of_an_older_one(
    session: Session,
) -> None:
    session.add_all([study("few"), study("many")])
    session.flush()
    kept(session, "few", "c0", "c1")
    assert studies.known(["c1", "c2"], session) == {"c1": "document of c1"}
    kept(session, "many", "c1", "c2")
    kept(session, "many", "c3")
    assert studies.cases("many", session) == {0: ("c3", "document of c3"), 1: ("c2", "document of c2")}


def test_a_study_that_is_removed_takes_its_cases_along(session: Session) -> None:
    session.add_all([study("few"), study("many")])
    session.flush()
    kept(session, "few", "c0")
    kept(session, "many", "c0")
    studies.remove("few", session)
    assert studies.get("few", session) is None
    assert [row.study_id for row in session.query(StudyCaseRow)] == ["many"]


def test_cancelling_ends_the_run_of_whoever_works_on_it(session: Session) -> None:
    session.add_all([study("sums", status="queued"), study("old", age=1)])
    session.flush()
    leases.take(StudyRow, "sums", "a", HOUR, session)
    before = studies.change_token("sums", session)
    studies.cancel("sums", session)
    studies.cancel("old", session)
    assert [row.status for row in studies.recent(9, None, session)] == ["cancelled", "done"]
    assert studies.change_token("sums", session) != before
    with pytest.raises(leases.Taken):
        leases.fence(StudyRow, "sums", 1, session)


def test_what_is_kept_changes_the_token(session: Session) -> None:
    session.add(study("sums"))
    session.flush()
    before = studies.change_token("sums", session)
    kept(session, "sums", "c0")
    assert studies.change_token("sums", session) != before
    assert studies.change_token("nobody", session) is None
