from __future__ import annotations

import threading

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from server.store import attached, leases
from server.store.database import connect
from server.store.tables import InterventionRow
from tests.databases import new_postgresql
from tests.store.rows import analysis, intervention, reading


def test_they_are_found_oldest_first(session: Session) -> None:
    session.add_all([analysis("cats"), analysis("dogs")])
    session.flush()
    for row in (intervention("b", "cats", 1), intervention("a", "cats", 2, age=5), intervention("c", "dogs")):
        session.add(row)
    session.flush()
    assert attached.made(InterventionRow, "cats", session) == ["result of a", "result of b"]
    assert attached.made(InterventionRow, "cats", session, position=1) == ["result of b"]
    session.add(intervention("d", "cats", 1, status="queued"))
    session.flush()
    assert attached.made(InterventionRow, "cats", session) == ["result of a", "result of b"]
    assert [row.id for row in attached.pending(InterventionRow, "cats", session)] == ["d"]
    assert attached.pending(InterventionRow, "cats", session, position=2) == []


def test_one_belongs_to_its_own_analysis_alone(session: Session) -> None:
    session.add(analysis("cats"))
    session.flush()
    session.add(intervention("a", "cats"))
    session.flush()
    assert attached.find(InterventionRow, "dogs", "a", session) is None
    assert attached.find(InterventionRow, "cats", "a", session) is not None
    attached.remove(InterventionRow, "a", session)
    assert attached.claim(InterventionRow, "a", session) is None


def test_of_two_servers_that_claim_it_at_once_one_makes_it(postgresql_template: str) -> None:
    with new_postgresql(postgresql_template) as url:
        engine = connect(url)
        with Session(engine) as session, session.begin():
            session.add(analysis("cats"))
        looked, answers = threading.Event(), []

        def other() -> None:
            with Session(engine) as session, session.begin():
                session.connection()
                assert session.get(InterventionRow, "a") is None
                looked.set()
                found = attached.claim(InterventionRow, "a", session)  # waits for the first
                answers.append(found and found.leased_by)

        with Session(engine) as session:
            assert attached.claim(InterventionRow, "a", session) is None
            leases.add(intervention("a", "cats", status="queued"), "one", session)
            thread = threading.Thread(target=other)
            thread.start()
            looked.wait()
            until_blocked(engine)
            session.commit()
            thread.join()
        assert answers == ["one"]
        engine.dispose()


def until_blocked(engine: Engine) -> None:
    """Until somebody waits for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    while True:
        with engine.connect() as connection:
            if connection.scalar(waiting):
                return


def test_what_is_not_made_goes_with_its_analysis(session: Session) -> None:
    session.add(analysis("cats"))
    session.flush()
    session.add_all([intervention("a", "cats"), intervention("b", "cats", status="running")])
    session.flush()
    assert attached.cancel_pending(InterventionRow, "cats", session) == ["b"]
    assert attached.made(InterventionRow, "cats", session) == ["result of a"]
    assert attached.pending(InterventionRow, "cats", session) == []


def test_reconstructions_come_in_reading_order_as_far_as_there_are_any(session: Session) -> None:
    session.add(analysis("cats"))
    session.flush()
    session.add_all(reading("cats", n, vector=None if n == 3 else bytes([n])) for n in range(6))
    session.flush()
    assert attached.reconstructions("cats", [5, 1, 3], session) == [b"\1", b"\5"]
