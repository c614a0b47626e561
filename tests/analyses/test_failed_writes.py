"""A database that cannot be written for a while: nothing finished is lost, and the work goes on by itself."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import event

from server.settings import Settings
from server.store import database, repository
from tests.analyses.asking import analyses_of, chat, finish, until, watch
from tests.analyses.editing import at_work, interventions_of
from tests.conftest import client_of, running
from tests.fakes import FakePair, FakeSource

pytestmark = pytest.mark.anyio
DEADLINE = 60
"""Seconds: only against a test that hangs."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.02)
    monkeypatch.setattr(database, "FIRST_RETRY", 0.02)
    monkeypatch.setattr(database, "LAST_RETRY", 0.02)


@pytest.fixture
def settings(tmp_path: Path, plain_environment: None) -> Settings:
    """A server on SQLite, which another program can lock, with a place for each analysis of a test."""
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", pair="fake", max_running=3)


@contextmanager
def locked(app: FastAPI) -> Iterator[None]:
    """Another program holds the database."""
    with closing(sqlite3.connect(app.state.store.engine.url.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def refusing(app: FastAPI, refuse: str, allow: str) -> Iterator[None]:
    """The database refuses to write, by a setting of each connection."""
    engine, setting = app.state.store.engine, refuse

    def set_up(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA {setting}").close()

    event.listen(engine, "checkout", set_up)
    yield
    setting = allow


full = partial(
    refusing, refuse="max_page_count=1", allow=f"max_page_count={2**30}"
)  # 1: as many as there are
read_only = partial(refusing, refuse="query_only=1", allow="query_only=0")


async def waits_for_the_store(app: FastAPI, id: str) -> None:
    async with asyncio.timeout(DEADLINE):
        async for told in analyses_of(app).events(id):
            if told.kind == "progress" and "cannot be used at the moment" in (told.data.message or ""):
                return
    raise AssertionError("it ended")


@pytest.mark.parametrize("refused", [locked, full, read_only], ids=["locked", "full", "read-only"])
async def test_what_is_read_while_the_store_cannot_be_written_is_kept_later(
    app: FastAPI, pair: FakePair, refused: Callable[[FastAPI], AbstractContextManager[None]]
) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(2)
    pair.verbaliser.says = dict.fromkeys(
        range(7), "x" * 50_000
    )  # more than a page of the database has room for
    id = (await analyses.create(chat("cats")))[0].id
    await until(analyses, id, "progress", stage="readings", done=2)
    with refused(app):
        pair.verbaliser.allow()
        await waits_for_the_store(app, id)
    events = await watch(analyses, id)
    assert [e.id for e in events] == sorted(e.id for e in events)
    done = await analyses.get(id)
    assert (done.status, len(done.readings)) == ("done", 7)
    assert all(reading.scored for reading in done.readings)
    assert len(pair.verbaliser.finished) == 7  # none of them twice


async def test_a_cancel_is_answered_at_once_and_kept_later(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(2)
    id = (await analyses.create(chat("cats")))[0].id
    await until(analyses, id, "progress", stage="readings", done=2)
    job = app.state.scheduler.get(id)
    with locked(app):
        async with asyncio.timeout(DEADLINE):
            assert (await analyses.cancel(id)).status == "cancelled"
            assert (await watch(analyses, id))[-1].data.status == "cancelled"
        row = await app.state.store.read(partial(repository.get, id))
        assert row.status == "running"
    assert not job.end_is_kept
    await job._keeping
    row = await app.state.store.read(partial(repository.get, id))
    assert (row.status, row.leased_by) == ("cancelled", None)
    assert app.state.scheduler.get(id) is None
    pair.verbaliser.allow()
    assert (await finish(analyses, chat("cats"))).status == "done"


async def test_asking_while_the_store_cannot_be_written_is_answered_with_503(
    app: FastAPI, pair: FakePair
) -> None:
    async with client_of(app) as client:
        with locked(app):
            answer = await client.post("/api/analyses", json={"text": "cats"})
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert answer.json()["title"] == "The database cannot be used at the moment"
        assert (await client.post("/api/analyses", json={"text": "cats"})).status_code == 202


async def test_an_edit_that_is_made_is_kept_later(app: FastAPI, pair: FakePair) -> None:
    id = (await finish(analyses_of(app), chat())).id
    edits = interventions_of(app)
    async with at_work(app, pair, id) as asked:
        with locked(app):
            pair.reconstructor.hold.set()
            (being_made,) = await edits.pending(id)
            async with asyncio.timeout(DEADLINE):
                async for told in edits.events(id, being_made.id):
                    if told.kind == "progress" and "cannot be used" in (told.data.message or ""):
                        break
            assert not asked.done()
        found, _ = await asked
    assert await edits.of(id) == [found]
    assert await edits.pending(id) == []


async def test_the_server_ends_while_the_store_cannot_be_written(
    settings: Settings, source: FakeSource
) -> None:
    source.pair.verbaliser.limit(2)
    async with asyncio.timeout(DEADLINE):
        async with running(settings, source) as app:
            id = (await analyses_of(app).create(chat("cats")))[0].id
            await until(analyses_of(app), id, "progress", stage="readings", done=2)
            lock = sqlite3.connect(app.state.store.engine.url.database, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            source.pair.verbaliser.allow()
            await waits_for_the_store(app, id)
    lock.close()
    async with running(settings, FakeSource()) as app:
        await watch(analyses_of(app), id)
        done = await analyses_of(app).get(id)
    assert (done.status, len(done.readings)) == ("done", 7)


async def test_what_has_piled_up_is_kept_in_one_transaction(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(1)
    id = (await analyses.create(chat("cats")))[0].id
    await until(analyses, id, "progress", stage="readings", done=1)
    hold = threading.Event()
    commits: list[object] = []
    busy = asyncio.create_task(app.state.store.write(lambda _: hold.wait() and None))
    pair.verbaliser.allow()
    async with asyncio.timeout(DEADLINE):
        while len(pair.verbaliser.finished) < 7:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    event.listen(app.state.store.engine, "commit", commits.append)
    hold.set()
    await busy
    await watch(analyses, id)
    assert len((await analyses.get(id)).readings) == 7
    assert len(commits) < 7  # with a transaction each: twelve and the end's


async def test_a_damaged_analysis_fails_by_itself_and_can_be_made_again(settings: Settings) -> None:
    source = FakeSource()
    source.pair.verbaliser.limit(0)
    ids = []
    async with running(settings, source) as app:
        for text in ("tokens", "request", "well"):
            ids.append((await analyses_of(app).create(chat(text)))[0].id)
            await until(analyses_of(app), ids[-1], "lens")
        file = app.state.store.engine.url.database
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE analysis SET tokens = x'00ff' WHERE id = ?", (ids[0],))
        other.execute("UPDATE analysis SET request = '{\"of\": 2031}' WHERE id = ?", (ids[1],))
    async with running(settings, FakeSource()) as app, client_of(app) as client:
        await watch(analyses_of(app), ids[2])
        assert (await analyses_of(app).get(ids[2])).status == "done"
        for id in ids[:2]:
            answer = await client.get(f"/api/analyses/{id}")
            assert (answer.status_code, answer.json()["title"]) == (500, "This analysis cannot be read")
            assert "restore a backup" in answer.json()["detail"]
            assert [e.data.status for e in await watch(analyses_of(app), id)] == ["failed"]
        listed = {each["id"]: each["status"] for each in (await client.get("/api/analyses")).json()}
        assert [listed[id] for id in ids] == ["failed", "failed", "done"]
        for text, id in zip(("tokens", "request"), ids[:2], strict=True):
            again = await finish(analyses_of(app), chat(text))
            assert (again.id, again.status) == (id, "done")
            assert len(again.readings) == len(again.tokens)
