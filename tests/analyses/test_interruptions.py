from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from server.analyses.job import AnalysisJob
from server.analyses.kind import AnalysisKind
from server.errors import NotFound
from server.settings import Settings
from server.store import repository
from server.store.repository import StoredAnalysis
from tests.analyses.asking import analyses_of, chat, finish, until, watch
from tests.conftest import client_of, running
from tests.fakes import FakePair, FakeSource

pytestmark = pytest.mark.anyio


async def test_whoever_leaves_while_a_job_begins_leaves_it_at_work(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyses, loop, plain = analyses_of(app), asyncio.get_running_loop(), AnalysisKind.job
    leased, left = asyncio.Event(), threading.Event()

    def job(kind: AnalysisKind, stored: StoredAnalysis) -> AnalysisJob:
        loop.call_soon_threadsafe(leased.set)
        assert left.wait(60)
        return plain(kind, stored)

    monkeypatch.setattr(AnalysisKind, "job", job)
    asking = asyncio.create_task(analyses.create(chat()))
    await leased.wait()
    asking.cancel()
    await asyncio.wait([asking])
    left.set()
    (analysis,) = await analyses.recent()
    async with asyncio.timeout(60):
        assert (await watch(analyses, analysis.id))[-1].kind == "done"


async def test_a_broken_position_is_one_marked_reading(app: FastAPI, pair: FakePair) -> None:
    pair.verbaliser.broken = {2}
    analysis = await finish(analyses_of(app), chat())
    assert analysis.status == "done"
    marked = [reading for reading in analysis.readings if reading.error]
    assert [(r.position, r.error, r.cos) for r in marked] == [(2, "The AV choked on this one.", None)]


async def test_an_analysis_of_nothing_but_broken_positions_has_failed(app: FastAPI, pair: FakePair) -> None:
    pair.verbaliser.broken = set(range(99))
    analysis = await finish(analyses_of(app), chat())
    assert analysis.status == "failed"
    assert analysis.error is not None
    assert "The AV choked" in analysis.error


async def test_a_dead_engine_fails_the_analysis_and_asking_again_goes_on(
    app: FastAPI, pair: FakePair
) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.dies_after = 3
    failed = await finish(analyses, chat("cats"))
    assert (failed.status, failed.error) == ("failed", "The engine died.")
    kept = {reading.position: reading for reading in failed.readings}
    assert len(kept) == 3
    pair.verbaliser.dies_after = None
    again, existed = await analyses.create(chat("cats"))
    assert existed
    assert again.id == failed.id
    assert again.status == "queued"
    await watch(analyses, again.id)
    done = await analyses.get(again.id)
    assert done.status == "done"
    assert len(done.readings) == 7
    assert all(done.readings[position] == reading for position, reading in kept.items())
    assert len(pair.verbaliser.finished) == 7  # none of them twice
    assert len(pair.target.traced) == 1


async def test_an_unforeseen_error_fails_the_analysis_without_telling_its_insides(
    app: FastAPI, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trace(*_: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(pair.target, "trace", trace)
    analysis = await finish(analyses_of(app), chat())
    assert analysis.status == "failed"
    assert analysis.error == "The server failed at this (ZeroDivisionError). Its log tells more."


async def test_cancelling_keeps_what_is_finished_and_asking_again_does_the_rest(
    app: FastAPI, pair: FakePair
) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(3)
    analysis, _ = await analyses.create(chat("cats"))
    await until(analyses, analysis.id, "progress", stage="readings", done=3)
    cancelled = await analyses.cancel(analysis.id)
    assert cancelled.status == "cancelled"
    assert len(cancelled.readings) == 3
    assert pair.verbaliser.aborted == 1
    assert [event.data.status for event in await watch(analyses, analysis.id) if event.kind == "failed"] == [
        "cancelled"
    ]
    pair.verbaliser.allow()
    done = await finish(analyses, chat("cats"))
    assert (done.id, done.status, len(done.readings)) == (analysis.id, "done", 7)
    assert len(pair.verbaliser.finished) == 7


async def test_cancelling_stops_a_reply_that_is_being_generated(app: FastAPI, pair: FakePair) -> None:
    pair.target.hold.clear()
    analyses = analyses_of(app)
    analysis, _ = await analyses.create(chat(generate={}))
    await until(analyses, analysis.id, "progress", stage="reply")
    assert (await analyses.cancel(analysis.id)).status == "cancelled"
    assert await asyncio.to_thread(pair.target.stopped.wait, 10)


async def test_cancelling_before_the_first_step(app: FastAPI, pair: FakePair) -> None:
    pair.verbaliser.limit(0)
    analyses = analyses_of(app)
    analysis, _ = await analyses.create(chat())
    assert (await analyses.cancel(analysis.id)).status == "cancelled"


async def test_cancelling_what_is_done_changes_nothing(app: FastAPI) -> None:
    analyses = analyses_of(app)
    done = await finish(analyses, chat())
    assert await analyses.cancel(done.id) == done


async def test_deleting_removes_it_also_from_under_a_watcher(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(1)
    analysis, _ = await analyses.create(chat())
    watcher = asyncio.create_task(watch(analyses, analysis.id))
    await until(analyses, analysis.id, "reading")
    await analyses.delete(analysis.id)
    assert (await watcher)[-1].kind == "failed"
    with pytest.raises(NotFound):
        await analyses.get(analysis.id)
    assert await analyses.recent() == []
    with pytest.raises(NotFound):
        await analyses.delete(analysis.id)


async def test_a_restarted_server_takes_up_what_was_unfinished(settings: Settings) -> None:
    before = FakeSource()
    async with running(settings, before) as app:
        before.pair.verbaliser.limit(3)
        analysis, _ = await analyses_of(app).create(chat("cats"))
        await until(analyses_of(app), analysis.id, "progress", stage="readings", done=3)
        seen = await analyses_of(app).get(analysis.id)
    after = FakeSource()
    async with running(settings, after) as app:
        await watch(analyses_of(app), analysis.id)
        done = await analyses_of(app).get(analysis.id)
    assert done.status == "done"
    assert len(done.readings) == 7
    assert [done.readings[r.position] for r in seen.readings] == seen.readings
    assert not set(before.pair.verbaliser.finished[:3]) & set(after.pair.verbaliser.finished)
    assert after.pair.target.traced == []
    assert done.baselines is not None
    assert done.baselines.n == 4  # of content
    assert {"tokens", "lens", "last_score", "total"} <= set(done.timings)


async def test_new_weights_do_not_go_on_with_old_readings(settings: Settings) -> None:
    source = FakeSource()
    async with running(settings, source) as app:
        source.pair.verbaliser.limit(1)
        analysis, _ = await analyses_of(app).create(chat())
        await until(analyses_of(app), analysis.id, "reading")
    retrained = FakeSource(replace(FakePair(), fingerprint="f2"))
    async with running(settings, retrained) as app:
        await watch(analyses_of(app), analysis.id)
        failed = await analyses_of(app).get(analysis.id)
        assert failed.status == "failed"
        assert "weights" in (failed.error or "")
        fresh, existed = await analyses_of(app).create(chat())
        assert not existed
        assert fresh.id != analysis.id
        await watch(analyses_of(app), fresh.id)


async def test_time_is_counted_over_all_runs(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.dies_after = 2
    first = await finish(analyses, chat())
    pair.verbaliser.dies_after = None
    second = await finish(analyses, chat())
    for stage in ("tokens", "lens", "first_reading"):
        assert second.timings[stage] == first.timings[stage]
    assert second.timings["last_score"] >= first.timings["total"]


@pytest.mark.parametrize("days", [400, -400])
async def test_a_clock_that_jumps_disturbs_nothing(
    app: FastAPI, pair: FakePair, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(2)
    during = (await analyses.create(chat("cats")))[0].id
    await until(analyses, during, "progress", stage="readings", done=2)
    monkeypatch.setattr(repository, "now", lambda: datetime.now(UTC) + timedelta(days=days))
    pair.verbaliser.allow()
    events = await watch(analyses, during)
    assert [e.id for e in events] == sorted(e.id for e in events)
    assert [len((await analyses.get(during)).readings), len(pair.verbaliser.finished)] == [7, 7]
    after = await finish(analyses, chat("dogs"))
    assert after.status == "done"
    async with client_of(app) as client:
        listed = (await client.get("/api/analyses")).json()
        assert {found["id"]: found["status"] for found in listed} == {during: "done", after.id: "done"}
        assert "just now" in (await client.get("/library")).text
