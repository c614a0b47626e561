from __future__ import annotations

from server.analyses.row_mapping import delta_of
from server.analyses.schema import Ended, Reading, ReadingDelta
from server.jobs.event_log import PER_RUN, EventLog
from server.jobs.progress import Progress


def reading(position: int, cos: float | None = None) -> Reading:
    return Reading(position=position, text="words", cos=cos)


def kinds(log: EventLog, cursor: int = 0) -> list[str]:
    return [event.kind for event in log.since(cursor)]


def test_a_late_watcher_is_told_only_what_is_true_now() -> None:
    log = EventLog(delta=delta_of)
    for n in range(1000):
        log.put("progress", Progress(stage="readings", done=n))
        log.put("reading", reading(n % 10, cos=n / 1000), key=(n % 10, 0))
    events = log.since(0)
    assert len(events) == 11
    assert [e.data.cos for e in events if e.kind == "reading"] == [n / 1000 for n in range(990, 1000)]
    assert [e.data.done for e in events if e.kind == "progress"] == [999]


def test_a_watcher_that_comes_back_is_told_the_rest() -> None:
    log = EventLog(delta=delta_of)
    first = log.put("tokens", [])
    log.put("reading", reading(0), key=(0, 0))
    assert kinds(log, first.id) == ["reading"]
    assert kinds(log, log.since(0)[-1].id) == []


def test_ids_grow_and_are_those_of_the_latest_change() -> None:
    log = EventLog(delta=delta_of)
    log.put("reading", reading(0), key=(0, 0))
    log.put("reading", reading(1), key=(1, 0))
    log.put("reading", reading(0, cos=0.5), key=(0, 0))
    assert [(e.id, e.data.position) for e in log.since(0)] == [(2, 1), (3, 0)]


def test_words_come_in_one_piece_from_where_the_watcher_is() -> None:
    log = EventLog(delta=delta_of)
    for word in ("the ", "cat ", "sleeps"):
        log.write((4, 0), word)
    (whole,) = log.since(0)
    assert whole.data == ReadingDelta(position=4, sample=0, text="the cat sleeps")
    assert [e.data.text for e in log.since(1)] == ["cat sleeps"]
    assert [e.data.text for e in log.since(2)] == ["sleeps"]
    assert log.since(whole.id) == []


def test_a_finished_reading_takes_the_place_of_its_words() -> None:
    log = EventLog(delta=delta_of)
    log.write((4, 0), "half a ")
    log.write((5, 0), "another")
    log.put("reading", reading(4), key=(4, 0))
    assert [(e.kind, e.data.position) for e in log.since(0)] == [("delta", 5), ("reading", 4)]


def test_an_end_closes_the_log() -> None:
    log = EventLog(delta=delta_of)
    log.write((0, 0), "never finished")
    log.put("failed", Ended(id="x", url="/a/x", status="cancelled"))
    assert log.closed
    assert kinds(log) == ["failed"]


def test_a_later_run_counts_on_above_the_earlier_one() -> None:
    first, second = EventLog(1), EventLog(2)
    assert first.put("tokens", []).id == 1
    assert second.put("tokens", []).id == PER_RUN + 1


def test_a_watcher_that_waits_is_woken() -> None:
    log = EventLog(delta=delta_of)
    news = log.news()
    assert not news.is_set()
    log.put("tokens", [])
    assert news.is_set()
    assert not log.news().is_set()
