from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from server.store import leases, repository
from server.store.tables import AnalysisRow, PassageRow, ReadingRow, TraceRow
from tests.store.rows import analysis, reading, written

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def fill(session: Session) -> None:
    session.add(analysis("cats", age=1, search_text="Zürich at night\0"))
    session.add(analysis("dogs", age=0, search_text="100% snow_white \\u0000"))
    session.flush()
    session.add(reading("cats", 0, "about ÉTUDES"))
    session.add(reading("cats", 1, "", error="broken"))
    session.flush()


def test_recent_counts_readings_that_did_not_fail(session: Session) -> None:
    fill(session)
    assert {s.id: s.readings for s in repository.recent(10, None, session)} == {"cats": 1, "dogs": 0}
    assert len(repository.recent(1, None, session)) == 1


def test_an_alias_leads_to_the_other_and_goes_with_it(session: Session) -> None:
    fill(session)
    session.add(analysis("alias", address=None, alias_of="cats"))
    session.flush()
    row = repository.get("alias", session)
    assert row is not None
    assert row.id == "cats"
    assert "alias" not in [s.id for s in repository.recent(10, None, session)]
    row.deleted = NOW - timedelta(hours=2)
    session.flush()
    repository.purge(NOW - timedelta(hours=1), session)
    session.expire_all()
    assert repository.get("alias", session) is None
    assert repository.get("cats", session) is None
    assert session.query(ReadingRow).count() == 0
    assert session.query(PassageRow).filter_by(analysis_id="cats").count() == 0


def delete(id: str, session: Session, when: datetime = NOW) -> None:
    repository.change(id, {"deleted": when}, session)
    session.expire_all()


def test_a_deleted_analysis_is_nowhere_but_among_the_deleted(session: Session) -> None:
    fill(session)
    session.add(analysis("alias", address=None, alias_of="cats"))
    session.flush()
    delete("cats", session)
    assert repository.get("cats", session) is None
    assert repository.get("alias", session) is None
    assert repository.whole("cats", session) is None
    assert [s.id for s in repository.recent(10, None, session)] == ["dogs"]
    assert repository.recent(10, "études", session) == []
    assert [s.id for s in repository.recent(10, None, session, status="deleted")] == ["cats"]


def test_a_deleted_analysis_is_not_taken_up(session: Session) -> None:
    session.add(analysis("new", status="queued", deleted=NOW))
    session.flush()
    assert leases.take_next(AnalysisRow, ["fake"], "me", timedelta(0), session) is None


@pytest.mark.parametrize("id", ["cats", "alias"])
def test_restoring_brings_everything_back(session: Session, id: str) -> None:
    fill(session)
    session.add(analysis("alias", address=None, alias_of="cats"))
    session.flush()
    delete("cats", session)
    restored = repository.restore(id, session)
    assert restored is not None
    session.flush()
    whole = repository.whole("cats", session)
    assert whole is not None
    assert [r.text for r in whole.readings] == ["about ÉTUDES", ""]
    assert [s.id for s in repository.recent(10, "études", session)] == ["cats"]


def test_what_was_never_there_cannot_be_restored(session: Session) -> None:
    assert repository.restore("nobody", session) is None


@pytest.mark.parametrize(("address", "id"), [("address of cats", "other"), (None, "cats")])
def test_asking_for_a_deleted_analysis_brings_it_back(session: Session, address: str | None, id: str) -> None:
    fill(session)
    delete("cats", session)
    claimed = repository.claim(address, id, session)
    assert claimed is not None
    assert (claimed.id, claimed.deleted) == ("cats", None)


def test_nothing_is_purged_before_its_time(session: Session) -> None:
    fill(session)
    delete("cats", session)
    repository.purge(NOW, session)
    assert repository.restore("cats", session) is not None


def test_pages_follow_each_other_without_gap_or_overlap(session: Session) -> None:
    session.add_all([analysis(f"a{n}", age=n // 3) for n in range(10)])  # three of the same moment
    session.flush()
    expected = [s.id for s in repository.recent(99, None, session)]
    found: list[str] = []
    before = None
    while page := repository.recent(4, None, session, before=before):
        found += [s.id for s in page]
        before = repository.place(found[-1], session)
    assert found == expected == [f"a{n}" for n in range(10)]


def test_filters_narrow_the_list_and_the_count(session: Session) -> None:
    fill(session)
    session.add(analysis("cows", pair="other", status="failed", search_text="night"))
    session.flush()
    assert [s.id for s in repository.recent(9, "night", session, pair="other")] == ["cows"]
    assert [s.id for s in repository.recent(9, None, session, status="done")] == ["dogs", "cats"]
    assert repository.count("night", None, None, session) == 2
    assert repository.count(None, "fake", "failed", session) == 0
    assert repository.pairs(session) == ["fake", "other"]
    assert repository.place("nobody", session) is None


def test_readings_come_in_parts_with_their_vectors(session: Session) -> None:
    fill(session)
    session.add(reading("cats", 2, vector=b"v"))
    session.flush()
    parts = [[r.position for r in part] for part in repository.readings_in_parts("cats", 2, session)]
    assert parts == [[0, 1], [2]]


def test_only_this_pairs_unfinished_work_is_taken_up_oldest_first(session: Session) -> None:
    session.add(analysis("new", age=1, status="queued"))
    session.add(analysis("old", age=5, status="running"))
    session.add(analysis("other", status="queued", pair="other"))
    session.add(analysis("over", status="failed"))
    session.flush()
    taken = [leases.take_next(AnalysisRow, ["fake"], "me", timedelta(0), session) for _ in range(3)]
    assert taken == ["old", "new", None]


def test_beginning_again_forgets_failures_and_keeps_the_rest(session: Session) -> None:
    fill(session)
    session.get_one(AnalysisRow, "cats").status = "failed"
    assert leases.take(AnalysisRow, "cats", "me", timedelta(0), session)
    whole = repository.begin("cats", session)
    assert [row.position for row in whole.readings] == [0]
    assert (whole.row.status, whole.row.run_number, whole.row.error) == ("queued", 1, None)


def test_readings_are_replaced_and_scored(session: Session) -> None:
    fill(session)
    repository.save_readings(written(reading("cats", 0, "better"), reading("cats", 7, "new")), session)
    score = {"cos": 0.5, "vector": b"v", "event": 9}
    repository.save_scores([{"analysis_id": "cats", "position": 7, "sample": 0, **score}], session)
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
    repository.save_trace(
        TraceRow(analysis_id="cats", lens=b"l", activations=b"a"), {"token_count": 7}, session
    )
    session.expire_all()
    whole = repository.whole("cats", session)
    assert whole is not None
    assert whole.trace is not None
    assert (whole.row.token_count, whole.trace.lens) == (7, b"l")
