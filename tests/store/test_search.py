"""The same is found in every database."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from server.store import attached, repository
from server.store.search import edits_with
from server.store.tables import InterventionRow
from tests.store.rows import analysis, intervention, reading, written


def fill(session: Session) -> None:
    session.add(analysis("cats", age=1, search_text="Zürich at night\0 今日は良い天気"))
    session.add(analysis("dogs", age=0, search_text='100% snow_white \\u0000 NEAR( a*b "said" -x OR x'))
    session.flush()
    session.add(reading("cats", 0, "about ÉTUDES"))
    session.add(reading("cats", 1, "", error="broken"))
    session.flush()


def found(query: str | None, session: Session) -> list[str]:
    return [summary.id for summary in repository.recent(10, query, session)]


@pytest.mark.parametrize(
    ("query", "expected"),
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
        ("night OR snow", []),
        ("RICH", ["cats"]),
        ("ü", ["cats"]),
        ("天気", ["cats"]),
        ("良い天", ["cats"]),
        ("天良気", []),
        ('"', ["dogs"]),
        ('"said"', ["dogs"]),
        ('"snow night"', []),
        ("*", ["dogs"]),
        ("a*b", ["dogs"]),
        ("nig*", []),
        ("NEAR(", ["dogs"]),
        ("-x", ["dogs"]),
        ("-snow", []),
        ("^zürich", []),
        ("text:night", []),
        ("_", ["dogs"]),
    ],
)
def test_search(session: Session, query: str | None, expected: list[str]) -> None:
    fill(session)
    assert found(query, session) == expected


def test_a_reading_that_is_written_anew_is_found_by_its_new_words_alone(session: Session) -> None:
    fill(session)
    repository.save_readings(
        written(reading("cats", 0, "better words"), reading("dogs", 0, "entirely NEW")), session
    )
    session.flush()
    assert found("études", session) == []
    assert found("better", session) == ["cats"]
    assert found("new", session) == ["dogs"]


def test_the_reply_is_found_once_it_is_known(session: Session) -> None:
    fill(session)
    repository.change("cats", {"search_text": "Zürich at night\nA reply"}, session)
    assert found("reply zürich", session) == ["cats"]
    assert found("天気", session) == []


def test_a_reading_that_is_forgotten_is_not_found(session: Session) -> None:
    fill(session)
    repository.save_readings(written(reading("cats", 1, "half a thought", error="broken")), session)
    session.flush()
    assert found("thought", session) == ["cats"]
    repository.begin("cats", session)
    assert found("thought", session) == []
    assert found("études", session) == ["cats"]


def test_nothing_of_a_purged_analysis_is_left_in_the_index(session: Session) -> None:
    fill(session)
    repository.change("cats", {"deleted": repository.now()}, session)
    repository.purge(repository.now(), session)
    assert found("études", session) == []
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("INSERT INTO passage_words (passage_words) VALUES ('integrity-check')"))
        assert (
            session.scalar(text("SELECT count(*) FROM passage_words WHERE passage_words MATCH 'rich'")) == 0
        )


def edited(session: Session) -> None:
    """Two edits of the cats, one of the dogs."""
    fill(session)
    session.add(intervention("one", "cats", words="Un CHÂTEAU\0 at 50%\n Madrid", age=2))
    session.add(intervention("two", "cats", words="a castle at night\n 城 Roma", age=1))
    session.add(intervention("three", "dogs", words="snow_white too"))
    session.flush()


@pytest.mark.parametrize(
    ("query", "analyses", "edits"),
    [
        ("château", ["cats"], ["one"]),
        ("madrid", ["cats"], ["one"]),
        ("50%", ["cats"], ["one"]),
        ("5%", [], []),
        ("城", ["cats"], ["two"]),
        ("castle zürich", ["cats"], ["two"]),  # one word in an edit alone, one in the prompt
        ("night zürich", ["cats"], []),  # found without its edits
        ("night", ["cats"], ["two"]),  # in the prompt, and in an edit
        ("castle château", ["cats"], ["one", "two"]),
        ("at", ["cats"], ["one", "two"]),
        ("castle dogs", [], []),
        ("snow_white", ["dogs"], ["three"]),
        ("", ["dogs", "cats"], []),
    ],
)
def test_edits_are_found_and_named(
    session: Session, query: str, analyses: list[str], edits: list[str]
) -> None:
    edited(session)
    assert found(query, session) == analyses
    assert [edit.id for edit in edits_with(query, analyses, session)] == edits


def test_an_edit_that_is_removed_is_not_found(session: Session) -> None:
    edited(session)
    attached.remove(InterventionRow, "one", session)
    session.flush()
    assert found("château", session) == []
    assert found("castle", session) == ["cats"]


def test_edits_are_found_after_the_reply_has_come(session: Session) -> None:
    edited(session)
    repository.change("cats", {"search_text": "Zürich at night\nA reply"}, session)
    assert found("château reply", session) == ["cats"]
    assert [edit.id for edit in edits_with("château reply", ["cats"], session)] == ["one"]


def test_a_search_does_not_read_every_passage(session: Session) -> None:
    fill(session)
    if session.get_bind().dialect.name != "sqlite":
        pytest.skip("PostgreSQL chooses by the number of rows")
    seen: list[str] = []

    def explain(statement: str) -> None:
        if statement.startswith("SELECT analysis.id"):
            seen.append(statement)

    connection = session.connection().connection.dbapi_connection
    assert connection is not None
    connection.set_trace_callback(explain)
    assert found("night", session) == ["cats"]
    connection.set_trace_callback(None)
    plan = " ".join(str(row[3]) for row in session.execute(text(f"EXPLAIN QUERY PLAN {seen[0]}")))
    assert "SCAN passage_words VIRTUAL TABLE INDEX" in plan
    assert "SCAN passage " not in plan + " "
