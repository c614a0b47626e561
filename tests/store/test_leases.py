from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from server.store import leases, repository
from server.store.database import migrate
from server.store.tables import AnalysisRow, TraceRow
from tests.store.rows import analysis

HOUR = timedelta(hours=1)
AT_ONCE = timedelta(0)


def owed(session: Session, id: str = "cats") -> None:
    session.add(analysis(id, status="queued"))
    session.flush()


def test_an_analysis_has_one_owner(session: Session) -> None:
    owed(session)
    assert leases.take("cats", "a", HOUR, session) is not None
    assert leases.take("cats", "b", HOUR, session) is None
    assert leases.take_next(["fake"], "b", HOUR, session) is None
    assert leases.renew("a", session) == {"cats": 1}
    assert leases.renew("b", session) == {}


def test_what_is_done_or_deleted_is_not_taken(session: Session) -> None:
    session.add(analysis("done"))
    session.add(analysis("gone", status="queued", deleted=analysis("x").created))
    session.flush()
    assert leases.take("done", "a", HOUR, session) is None
    assert leases.take("gone", "a", HOUR, session) is None
    assert leases.take_next(["fake"], "a", HOUR, session) is None


def test_a_lease_that_is_not_renewed_goes_to_another_with_a_new_run(session: Session) -> None:
    owed(session)
    leases.take("cats", "a", HOUR, session)
    taken = leases.take_next(["fake"], "b", AT_ONCE, session)
    assert taken is not None
    assert (taken.row.owner, taken.row.runs) == ("b", 2)
    leases.fence("cats", 2, session)
    with pytest.raises(leases.Taken):
        leases.fence("cats", 1, session)
    assert leases.renew("a", session) == {}


def test_what_is_released_is_free_at_once(session: Session) -> None:
    owed(session)
    leases.take("cats", "a", HOUR, session)
    leases.release("a", session)
    assert leases.take_next(["fake"], "b", HOUR, session) is not None


def test_cancelling_ends_the_run_whoever_has_it(session: Session) -> None:
    owed(session)
    leases.take("cats", "a", HOUR, session)
    leases.cancel("cats", session)
    with pytest.raises(leases.Taken):
        leases.fence("cats", 1, session)
    row = session.get_one(AnalysisRow, "cats")
    assert (row.status, row.owner) == ("cancelled", None)
    row.status = "done"
    leases.cancel("cats", session)
    assert row.status == "done"


def test_two_servers_take_different_work_without_waiting(engine: Engine) -> None:
    migrate(engine)
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    with Session(engine) as session, session.begin():
        owed(session, "one")
        owed(session, "two")
    with Session(engine) as here, Session(engine) as there:
        taken = [leases.take_next(["fake"], name, HOUR, s) for name, s in (("a", here), ("b", there))]
        assert [whole and whole.row.id for whole in taken] == ["one", "two"]
        assert leases.take_next(["fake"], "b", HOUR, there) is None


def born(id: str, **more: Any) -> AnalysisRow:
    return analysis(id, **{"address": None, "kin": "k", "status": "queued", "pair": "deep", **more})


def test_a_sibling_is_kept_with_its_trace_for_whoever_comes(session: Session) -> None:
    leases.add_sibling(born("deep"), TraceRow(analysis_id="deep", lens=b"l", activations=b"a"), session)
    taken = leases.take_next(["deep"], "b", HOUR, session)
    assert taken is not None
    assert taken.trace is not None


def test_a_pair_has_one_analysis_of_a_kin(session: Session) -> None:
    session.add(analysis("done", pair="deep", kin="k"))
    session.flush()
    leases.add_sibling(born("other"), None, session)
    assert [row.id for row in repository.kindred("k", session)] == ["done"]


def test_one_that_stopped_or_was_deleted_goes_on(session: Session) -> None:
    session.add(born("deep", status="cancelled", deleted=analysis("x").created))
    session.flush()
    leases.add_sibling(born("deep"), None, session)
    assert leases.take_next(["deep"], "b", HOUR, session) is not None


def test_of_each_pair_the_newest_is_kin(session: Session) -> None:
    session.add_all([analysis("old", kin="k", age=9), analysis("new", kin="k"), analysis("none")])
    session.add_all([analysis("deep", pair="deep", kin="k", age=5), analysis("gone", kin="k", same_as="new")])
    session.flush()
    assert {row.id for row in repository.kindred("k", session)} == {"new", "deep"}
