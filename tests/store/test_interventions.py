from __future__ import annotations

import threading

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from server.store import interventions, repository
from server.store.database import connect, migrate
from server.store.tables import InterventionRow
from tests.databases import new_postgresql
from tests.store.rows import analysis, intervention, reading


def test_they_are_found_oldest_first(session: Session) -> None:
    session.add_all([analysis("cats"), analysis("dogs")])
    session.flush()
    for row in (intervention("b", "cats", 1), intervention("a", "cats", 2, age=5), intervention("c", "dogs")):
        assert interventions.keep(row, session)
    assert interventions.of("cats", None, session) == ["result of a", "result of b"]
    assert interventions.of("cats", 1, session) == ["result of b"]
    assert interventions.get("cats", "a", session) == "result of a"
    assert interventions.get("dogs", "a", session) is None


def test_one_is_removed_under_its_own_analysis_alone(session: Session) -> None:
    session.add(analysis("cats"))
    session.flush()
    interventions.keep(intervention("a", "cats"), session)
    assert not interventions.remove("dogs", "a", session)
    assert interventions.remove("cats", "a", session)
    session.flush()
    assert not interventions.remove("cats", "a", session)


def test_keeping_one_twice_keeps_one(session: Session) -> None:
    session.add(analysis("cats"))
    session.flush()
    for _ in range(2):
        assert interventions.keep(intervention("a", "cats"), session)
        session.flush()
    assert interventions.of("cats", None, session) == ["result of a"]


def test_of_two_servers_that_keep_it_at_once_neither_fails() -> None:
    with new_postgresql() as url:
        engine = connect(url)
        migrate(engine)
        with Session(engine) as session, session.begin():
            session.add(analysis("cats"))
        looked, answers = threading.Event(), []

        def other() -> None:
            with Session(engine) as session, session.begin():
                session.connection()
                assert session.get(InterventionRow, "a") is None
                looked.set()
                answers.append(interventions.keep(intervention("a", "cats"), session))  # waits for the first

        with Session(engine) as session:
            assert interventions.keep(intervention("a", "cats"), session)
            session.flush()
            thread = threading.Thread(target=other)
            thread.start()
            looked.wait()
            until_blocked(engine)
            session.commit()
            thread.join()
        assert answers == [True]
        with Session(engine) as session:
            assert interventions.of("cats", None, session) == ["result of a"]
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


def test_nothing_is_kept_of_what_is_deleted(session: Session) -> None:
    session.add(analysis("cats", deleted=repository.now()))
    session.flush()
    assert not interventions.keep(intervention("a", "cats"), session)
    assert not interventions.keep(intervention("a", "nobody"), session)


def test_reconstructions_come_in_reading_order_as_far_as_there_are_any(session: Session) -> None:
    session.add(analysis("cats"))
    session.flush()
    session.add_all(reading("cats", n, vector=None if n == 3 else bytes([n])) for n in range(6))
    session.flush()
    assert interventions.reconstructions("cats", [5, 1, 3], session) == [b"\1", b"\5"]
