from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from server.store import leases, repository
from server.store.database import migrate
from server.store.tables import AnalysisRow, InterventionRow, TraceRow
from tests.store.rows import analysis, intervention

HOUR = timedelta(hours=1)
AT_ONCE = timedelta(0)


def owed(session: Session, id: str = "cats") -> None:
    session.add(analysis(id, status="queued"))
    session.flush()


def test_an_analysis_has_one_owner(session: Session) -> None:
    owed(session)
    assert leases.take(AnalysisRow, "cats", "a", HOUR, session)
    assert not leases.take(AnalysisRow, "cats", "b", HOUR, session)
    assert leases.take_next(AnalysisRow, ["fake"], "b", HOUR, session) is None
    assert leases.renew("a", session) == {"cats": 1}
    assert leases.renew("b", session) == {}


def test_what_is_done_or_deleted_is_not_taken(session: Session) -> None:
    session.add(analysis("done"))
    session.add(analysis("gone", status="queued", deleted=analysis("x").created))
    session.flush()
    assert not leases.take(AnalysisRow, "done", "a", HOUR, session)
    assert not leases.take(AnalysisRow, "gone", "a", HOUR, session)
    assert leases.take_next(AnalysisRow, ["fake"], "a", HOUR, session) is None


def test_a_lease_that_is_not_renewed_goes_to_another_with_a_new_run(session: Session) -> None:
    owed(session)
    leases.take(AnalysisRow, "cats", "a", HOUR, session)
    taken = leases.take_next(AnalysisRow, ["fake"], "b", AT_ONCE, session)
    assert taken == "cats"
    row = session.get_one(AnalysisRow, "cats")
    assert (row.leased_by, row.run_number) == ("b", 2)
    leases.fence(AnalysisRow, "cats", 2, session)
    with pytest.raises(leases.Taken):
        leases.fence(AnalysisRow, "cats", 1, session)
    assert leases.renew("a", session) == {}


def test_a_lease_of_before_the_clock_was_set_back_counts_from_now_on(session: Session) -> None:
    owed(session)
    leases.take(AnalysisRow, "cats", "a", HOUR, session)
    row = session.get_one(AnalysisRow, "cats")
    assert row.lease_renewed_at is not None
    renewed, row.lease_renewed_at = row.lease_renewed_at, row.lease_renewed_at + timedelta(days=400)
    session.flush()
    assert leases.take_next(AnalysisRow, ["fake"], "b", HOUR, session) is None  # it may live, and renew it
    session.refresh(row)
    assert row.leased_by == "a" and abs(row.lease_renewed_at - renewed) < timedelta(minutes=5)
    assert leases.take_next(AnalysisRow, ["fake"], "b", AT_ONCE, session) == "cats"


def test_edits_are_leased_like_analyses(session: Session) -> None:
    session.add_all([analysis("cats"), analysis("gone", deleted=analysis("x").created)])
    session.flush()
    session.add(intervention("made", "cats", age=9))
    session.add_all(intervention(f"of {id}", id, status="queued") for id in ("cats", "gone"))
    session.flush()
    assert leases.take_next(InterventionRow, ["other"], "a", HOUR, session) is None
    assert leases.take_next(InterventionRow, ["fake"], "a", HOUR, session) == "of cats"
    assert leases.take_next(InterventionRow, ["fake"], "b", HOUR, session) is None
    assert not leases.take(InterventionRow, "of gone", "b", HOUR, session)
    assert leases.renew("a", session) == {"of cats": 1}
    leases.fence(InterventionRow, "of cats", 1, session)
    assert leases.take_next(InterventionRow, ["fake"], "b", AT_ONCE, session) == "of cats"
    with pytest.raises(leases.Taken):
        leases.fence(InterventionRow, "of cats", 1, session)


def test_what_is_released_is_free_at_once(session: Session) -> None:
    owed(session)
    leases.take(AnalysisRow, "cats", "a", HOUR, session)
    leases.release("a", session)
    assert leases.take_next(AnalysisRow, ["fake"], "b", HOUR, session) is not None


def test_cancelling_ends_the_run_whoever_has_it(session: Session) -> None:
    owed(session)
    leases.take(AnalysisRow, "cats", "a", HOUR, session)
    leases.cancel("cats", session)
    with pytest.raises(leases.Taken):
        leases.fence(AnalysisRow, "cats", 1, session)
    row = session.get_one(AnalysisRow, "cats")
    assert (row.status, row.leased_by) == ("cancelled", None)
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
        taken = [
            leases.take_next(AnalysisRow, ["fake"], name, HOUR, s) for name, s in (("a", here), ("b", there))
        ]
        assert taken == ["one", "two"]
        assert leases.take_next(AnalysisRow, ["fake"], "b", HOUR, there) is None


def layer(id: str, **more: Any) -> AnalysisRow:
    return analysis(id, **{"address": None, "text_id": "k", "status": "queued", "pair": "deep", **more})


def test_a_sibling_is_kept_with_its_trace_for_whoever_comes(session: Session) -> None:
    leases.add_layer(layer("deep"), TraceRow(analysis_id="deep", lens=b"l", activations=b"a"), session)
    taken = leases.take_next(AnalysisRow, ["deep"], "b", HOUR, session)
    assert taken is not None
    assert repository.begin(taken, session).trace is not None


def test_a_pair_has_one_analysis_of_a_text(session: Session) -> None:
    session.add(analysis("done", pair="deep", text_id="k"))
    session.flush()
    leases.add_layer(layer("other"), None, session)
    assert [row.id for row in repository.same_text("k", session)] == ["done"]


def test_one_that_stopped_or_was_deleted_goes_on(session: Session) -> None:
    session.add(layer("deep", status="cancelled", deleted=analysis("x").created))
    session.flush()
    leases.add_layer(layer("deep"), None, session)
    assert leases.take_next(AnalysisRow, ["deep"], "b", HOUR, session) is not None


def test_of_each_pair_the_newest_stands_for_a_text(session: Session) -> None:
    session.add_all([analysis("old", text_id="k", age=9), analysis("new", text_id="k"), analysis("none")])
    session.add_all(
        [analysis("deep", pair="deep", text_id="k", age=5), analysis("gone", text_id="k", alias_of="new")]
    )
    session.flush()
    assert {row.id for row in repository.same_text("k", session)} == {"new", "deep"}
