"""Two servers of one pair on one PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from server.errors import NotFound
from server.jobs import lease_keeper, streams
from server.measurements.schema import MeasurementRequest
from server.settings import Settings
from server.store import repository
from tests.analyses.asking import analyses_of, chat, finish, until, watch
from tests.analyses.test_kill import killed
from tests.conftest import client_of, running
from tests.databases import new_postgresql
from tests.fakes import FakeSource

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


@pytest.fixture
def shared(
    tmp_path: Path, plain_environment: None, postgresql_template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of servers that share a database and do not wait for long."""
    monkeypatch.setattr(lease_keeper, "RENEWAL", 0.05)
    monkeypatch.setattr(streams, "POLL", 0.02)
    with new_postgresql(postgresql_template) as url:
        yield Settings(data_dir=tmp_path, cache_dir=tmp_path, pair="fake", database_url=url)


class Two:
    """Two servers that run, and where their pairs come from."""

    def __init__(self, first: FastAPI, second: FastAPI, one: FakeSource, other: FakeSource) -> None:
        self.first, self.second = analyses_of(first), analyses_of(second)
        self.apps = (first, second)
        self.one, self.other = one.pair, other.pair


@asynccontextmanager
async def _two(settings: Settings) -> AsyncIterator[Two]:
    one, other = FakeSource(), FakeSource()
    async with running(settings, one) as first, running(settings, other) as second:
        yield Two(first, second, one, other)


@pytest.fixture
async def two(shared: Settings, anyio_backend: str) -> AsyncIterator[Two]:
    async with _two(shared) as two:
        yield two


async def test_the_same_question_to_both_at_once_is_one_run(two: Two) -> None:
    async with client_of(two.apps[0]) as here, client_of(two.apps[1]) as there:
        body = {"messages": [{"role": "user", "content": "cats purr"}]}
        asked = [client.post("/api/analyses", json=body) for client in (here, there) for _ in range(4)]
        answers = await asyncio.gather(*asked)
    ids = {answer.json()["id"] for answer in answers}
    assert len(ids) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
    id = ids.pop()
    told = await asyncio.gather(watch(two.first, id), watch(two.second, id))
    assert [events[-1].kind for events in told] == ["done", "done"]
    assert len(two.one.target.traced) + len(two.other.target.traced) == 1
    found = await two.second.get(id)
    assert len(two.one.verbaliser.finished) + len(two.other.verbaliser.finished) == len(found.readings)
    assert found.model_dump() == (await two.first.get(id)).model_dump()


async def test_watchers_at_the_other_server_see_it_grow_and_end(two: Two) -> None:
    two.one.verbaliser.limit(3)
    id = (await two.first.create(chat()))[0].id
    progress = (await until(two.second, id, "progress", done=3)).data
    assert (progress.stage, progress.message) == ("readings", "Another server works on this.")
    now = await two.second.get(id)
    assert (now.status, len(now.readings), now.lens is not None) == ("running", 3, True)
    watching = asyncio.create_task(watch(two.second, id))
    two.one.verbaliser.allow()
    there = [event for event in await watching if event.kind != "progress"]
    kept = [event for event in await watch(two.first, id) if event.kind != "progress"]
    latest = {(e.kind, getattr(e.data, "position", None)): e.id for e in there}
    assert latest == {(e.kind, getattr(e.data, "position", None)): e.id for e in kept}
    assert [event.id for event in there] == sorted({event.id for event in there})
    assert two.other.verbaliser.asked == []


async def test_a_watcher_may_change_servers_and_goes_on_after_its_last_event(two: Two) -> None:
    two.one.verbaliser.limit(2)
    id = (await two.first.create(chat("cats")))[0].id
    last = (await until(two.first, id, "progress", stage="readings", done=2)).id
    two.one.verbaliser.allow()
    rest = [event for event in await watch(two.second, id, last) if event.kind == "reading"]
    assert {event.data.position for event in rest} == {1, 2, 3, 5, 6}  # 4 and 0 it had


async def test_cancelling_at_the_other_server_stops_the_work(two: Two) -> None:
    two.one.verbaliser.limit(3)
    id = (await two.first.create(chat()))[0].id
    await until(two.second, id, "progress", done=3)
    stream = two.first.events(id)
    await anext(stream)  # it watches
    assert (await two.second.cancel(id)).status == "cancelled"
    assert [event.data.status async for event in stream if event.kind == "failed"] == ["cancelled"]
    assert two.one.verbaliser.aborted == 1
    for analyses in (two.first, two.second):
        found = await analyses.get(id)
        assert (found.status, len(found.readings)) == ("cancelled", 3)


async def test_what_was_cancelled_elsewhere_goes_on_where_it_is_asked_again(two: Two) -> None:
    two.one.verbaliser.limit(3)
    id = (await two.first.create(chat()))[0].id
    await until(two.second, id, "progress", done=3)
    await two.second.cancel(id)
    done = await finish(two.second, chat())
    assert (done.id, done.status) == (id, "done")
    assert len(two.other.verbaliser.finished) == len(done.readings) - 3
    two.one.verbaliser.allow()
    assert (await two.first.get(id)).model_dump() == done.model_dump()


async def test_causal_scores_that_are_cancelled_at_the_other_server_go_on_there(two: Two) -> None:
    here, there = (app.state.measurements for app in two.apps)
    id = (await finish(two.first, chat())).id
    two.one.target.most_patches = 12  # those of two readings and a part of the third's
    asked, _ = await here.submit(id, MeasurementRequest())
    told = []
    async for event in there.events(id, asked):
        told += [event.data] if event.kind == "score" else []
        if len(told) == 2:
            break
    stream = here.events(id, asked)
    await anext(stream)  # it watches
    await there.cancel_one(id, asked)
    last = [event async for event in stream][-1]
    assert (last.kind, last.data.status) == ("failed", "cancelled")
    assert two.one.target.stopped.is_set()
    await there.submit(id, MeasurementRequest())
    found = await there.wait(asked)
    assert found.scores[:2] == told
    assert two.other.target.patches == 5 * len(found.scores[2:])
    assert await here.get(id, asked) == found


async def test_deleting_at_the_other_server_stops_the_work_and_can_be_undone(two: Two) -> None:
    two.one.verbaliser.limit(3)
    id = (await two.first.create(chat()))[0].id
    await until(two.second, id, "progress", done=3)
    streams = [analyses.events(id) for analyses in (two.first, two.second)]
    for stream in streams:
        await anext(stream)  # it watches
    await two.second.delete(id)
    assert [[event async for event in stream][-1].kind for stream in streams] == ["failed", "failed"]
    with pytest.raises(NotFound):
        await two.first.get(id)
    two.one.verbaliser.allow()  # either may take it up
    await two.second.restore(id)
    await watch(two.second, id)
    found = await two.first.get(id)
    assert (found.status, len(found.readings)) == ("done", len(found.tokens))
    assert two.one.verbaliser.aborted == 1


async def test_a_server_that_ends_hands_over_at_once(shared: Settings) -> None:
    before = FakeSource()
    async with running(shared, FakeSource()) as other:
        async with running(shared, before) as app:
            before.pair.verbaliser.limit(3)
            id = (await analyses_of(app).create(chat()))[0].id
            await until(analyses_of(other), id, "progress", done=3)
            watching = asyncio.create_task(watch(analyses_of(other), id))
        readings = [e.data.position for e in await watching if e.kind == "reading"]
        done = await analyses_of(other).get(id)
    assert done.status == "done"
    assert set(readings) == {reading.position for reading in done.readings}
    assert len(before.pair.target.traced) == 1


async def test_another_server_finishes_what_a_killed_one_began(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FakeSource()
    async with running(shared, source) as app:
        told = await killed(shared.data_dir, shared.database_url)
        monkeypatch.setattr(lease_keeper, "LEASE", timedelta(seconds=0.1))  # instead of waiting for so long
        id = told[-1]["job"]
        events = await watch(analyses_of(app), id)
        done = await analyses_of(app).get(id)
    readings = {e["data"]["position"]: e["data"] for e in told if e["kind"] == "reading"}
    after = {reading.position: reading.model_dump() for reading in done.readings}
    assert (done.status, len(after)) == ("done", len(done.tokens))
    assert {position: after[position] for position in readings} == readings
    assert source.pair.target.traced == []
    assert {key[0] for key in source.pair.verbaliser.finished} == set(after) - set(readings)
    assert events[-1].kind == "done"


async def test_a_server_that_was_cut_off_cannot_disturb_its_successor(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _two(shared) as two:
        monkeypatch.setattr(two.apps[0].state.scheduler._leases, "_renew", _nothing)
        monkeypatch.setattr(two.apps[0].state.scheduler._leases, "_on_renewed", lambda: None)
        two.one.verbaliser.limit(3)
        id = (await two.first.create(chat()))[0].id
        await until(two.second, id, "progress", done=3)
        watching = asyncio.create_task(watch(two.first, id))
        monkeypatch.setattr(lease_keeper, "LEASE", timedelta(seconds=0))
        await until(two.second, id, "progress", stage="done")
        kept = await two.apps[1].state.store.read(partial(repository.change_token, id))
        two.one.verbaliser.allow()  # it writes on, not knowing
        assert (await watching)[-1].kind == "done"
        assert await two.apps[1].state.store.read(partial(repository.change_token, id)) == kept


async def _nothing() -> None: ...


async def test_work_goes_on_after_the_database_has_broken_every_connection(two: Two) -> None:
    two.one.verbaliser.limit(3)
    id = (await two.first.create(chat()))[0].id
    await until(two.first, id, "progress", done=3)
    hang_up = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await two.apps[1].state.store.read(lambda session: session.execute(hang_up) and None)
    two.one.verbaliser.allow()
    await watch(two.second, id)
    assert (await two.second.get(id)).status == "done"
