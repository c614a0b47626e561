from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from server.store import repository
from server.store.database import connect, migrate
from server.store.tables import ReadingRow, TraceRow
from tests.store.rows import analysis, reading


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = connect(f"sqlite:///{tmp_path / 'a.db'}")
    migrate(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def fill(session: Session) -> None:
    session.add(analysis("cats", age=1, words="Zürich at night\0"))
    session.add(analysis("dogs", age=0, words="100% snow_white \\u0000"))
    session.flush()
    session.add(reading("cats", 0, "about ÉTUDES"))
    session.add(reading("cats", 1, "", error="broken"))
    session.flush()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (None, ["dogs", "cats"]),
        ("", ["dogs", "cats"]),
        ("zürich", ["cats"]),
        ("ZÜRICH NIGHT", ["cats"]),
        ("études", ["cats"]),
        ("night études", ["cats"]),
        ("night snow", []),
        ("100%", ["dogs"]),
        ("1%", []),
        ("snow_white", ["dogs"]),
        ("snowXwhite", []),
        ("\\u0000", ["dogs"]),
        ("' OR 1=1 --", []),
    ],
)
def test_search(session: Session, query: str | None, found: list[str]) -> None:
    fill(session)
    assert [summary.id for summary in repository.recent(10, query, session)] == found


def test_recent_counts_readings_that_did_not_fail(session: Session) -> None:
    fill(session)
    assert {s.id: s.readings for s in repository.recent(10, None, session)} == {"cats": 1, "dogs": 0}
    assert len(repository.recent(1, None, session)) == 1


def test_an_alias_leads_to_the_other_and_goes_with_it(session: Session) -> None:
    fill(session)
    session.add(analysis("alias", address=None, same_as="cats"))
    session.flush()
    row = repository.get("alias", session)
    assert row is not None
    assert row.id == "cats"
    assert "alias" not in [s.id for s in repository.recent(10, None, session)]
    assert repository.drop("alias", session)
    session.expire_all()
    assert repository.get("alias", session) is None
    assert repository.get("cats", session) is None
    assert session.query(ReadingRow).count() == 0
    assert not repository.drop("cats", session)


def test_only_this_pairs_unfinished_work_is_taken_up_oldest_first(session: Session) -> None:
    session.add(analysis("new", age=1, status="queued"))
    session.add(analysis("old", age=5, status="running"))
    session.add(analysis("other", status="queued", pair="other"))
    session.add(analysis("over", status="failed"))
    session.flush()
    assert [row.id for row in repository.unfinished("fake", session)] == ["old", "new"]


def test_beginning_again_forgets_failures_and_keeps_the_rest(session: Session) -> None:
    fill(session)
    whole = repository.begin("cats", session)
    assert [row.position for row in whole.readings] == [0]
    assert (whole.row.status, whole.row.runs, whole.row.error) == ("queued", 1, None)


def test_readings_are_replaced_and_scored(session: Session) -> None:
    fill(session)
    repository.put_readings([reading("cats", 0, "better"), reading("cats", 7, "new")], session)
    score = {"cos": 0.5, "vector": b"v", "event": 9}
    repository.put_scores([{"analysis_id": "cats", "position": 7, "sample": 0, **score}], session)
    session.expire_all()
    whole = repository.whole("cats", session, vectors=True)
    assert whole is not None
    assert [(r.position, r.text, r.cos, r.vector, r.event) for r in whole.readings] == [
        (0, "better", None, None, 1),
        (1, "", None, None, 1),
        (7, "new", 0.5, b"v", 9),
    ]


def test_vectors_are_left_where_they_are_unless_asked_for(session: Session) -> None:
    fill(session)
    session.expunge_all()
    whole = repository.whole("cats", session)
    assert whole is not None
    with pytest.raises(InvalidRequestError):
        _ = whole.readings[0].vector


def test_a_trace_is_kept_with_what_was_learnt_with_it(session: Session) -> None:
    fill(session)
    repository.put_trace(
        TraceRow(analysis_id="cats", lens=b"l", activations=b"a"), {"token_count": 7}, session
    )
    session.expire_all()
    whole = repository.whole("cats", session)
    assert whole is not None
    assert whole.trace is not None
    assert (whole.row.token_count, whole.trace.lens) == (7, b"l")
