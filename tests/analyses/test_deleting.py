from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from fastapi import FastAPI

from server.analyses import service
from server.errors import BadInput, NotFound
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish, until, watch
from tests.conftest import running
from tests.fakes import FakePair, FakeSource

pytestmark = pytest.mark.anyio


async def test_undo_brings_the_whole_analysis_back(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    before = await finish(analyses, chat(generate={}))
    await analyses.delete(before.id)
    with pytest.raises(NotFound):
        await analyses.get(before.id)
    assert await analyses.recent() == []
    assert await analyses.restore(before.id) == before.id
    assert (await analyses.get(before.id)).model_dump() == before.model_dump()
    assert [found.id for found in await analyses.recent(q="purr")] == [before.id]
    assert len(pair.target.traced) == 1


async def test_deleting_twice_is_an_error_and_restoring_twice_is_not(app: FastAPI) -> None:
    analyses = analyses_of(app)
    id = (await finish(analyses, chat())).id
    await analyses.delete(id)
    with pytest.raises(NotFound):
        await analyses.delete(id)
    assert await analyses.restore(id) == await analyses.restore(id) == id


async def test_restoring_what_was_never_there_is_refused(app: FastAPI) -> None:
    with pytest.raises(NotFound, match="nothing is left"):
        await analyses_of(app).restore("nobody")


async def test_work_that_a_deletion_interrupted_goes_on_after_the_undo(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(2)
    id = (await analyses.create(chat()))[0].id
    await until(analyses, id, "progress", done=2)
    await analyses.delete(id)
    pair.verbaliser.allow()
    await analyses.restore(id)
    await watch(analyses, id)
    found = await analyses.get(id)
    assert (found.status, len(found.readings)) == ("done", len(found.tokens))
    assert len(pair.verbaliser.finished) == len(set(pair.verbaliser.finished))  # no reading was made twice


async def test_whoever_watches_a_deleted_analysis_is_told_of_its_end(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(0)
    id = (await analyses.create(chat()))[0].id
    watching = asyncio.create_task(watch(analyses, id))
    await until(analyses, id, "lens")
    await analyses.delete(id)
    assert (await watching)[-1].kind == "failed"


async def test_a_cancelled_analysis_is_cancelled_still_after_the_undo(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(0)
    id = (await analyses.create(chat()))[0].id
    await analyses.cancel(id)
    await analyses.delete(id)
    await analyses.restore(id)
    assert (await analyses.get(id)).status == "cancelled"


async def test_asking_again_for_a_deleted_analysis_brings_it_back(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    before = await finish(analyses, chat())
    await analyses.delete(before.id)
    again, existed = await analyses.create(chat())
    assert (existed, again.model_dump()) == (True, before.model_dump())
    assert len(pair.target.traced) == 1


async def test_asking_while_the_models_load_brings_a_deleted_analysis_back(settings: Settings) -> None:
    async with running(settings, FakeSource()) as app:
        before = await finish(analyses_of(app), chat())
        await analyses_of(app).delete(before.id)
    source = FakeSource()
    source.loads.clear()
    async with running(settings, source, ready=False) as app:
        analyses = analyses_of(app)
        alias = (await analyses.create(chat()))[0].id
        source.loads.set()
        await watch(analyses, alias)
        assert (await analyses.get(alias)).model_dump() == before.model_dump()
        await analyses.delete(alias)
        assert (await analyses.create(chat()))[1]
    assert source.pair.target.traced == []


async def test_a_deletion_outlives_the_server_and_becomes_final(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings, FakeSource()) as app:
        analyses = analyses_of(app)
        ids = [(await finish(analyses, chat(text))).id for text in ("cats", "dogs")]
        await analyses.delete(ids[0])
    async with running(settings, FakeSource()) as app:
        assert await analyses_of(app).restore(ids[0]) == ids[0]
        await analyses_of(app).delete(ids[0])
    monkeypatch.setattr(service, "UNDO", timedelta(0))
    async with running(settings, FakeSource()) as app:
        analyses = analyses_of(app)
        await app.state.store.write(lambda session: None)  # the sweep at the start has had its turn
        with pytest.raises(NotFound, match="nothing is left"):
            await analyses.restore(ids[0])
        assert [found.id for found in await analyses.recent()] == [ids[1]]
        assert not (await analyses.create(chat("cats")))[1]


async def test_the_library_is_paged_and_narrowed(app: FastAPI) -> None:
    analyses = analyses_of(app)
    ids = [(await finish(analyses, chat(f"cats {n}"))).id for n in range(5)][::-1]
    first = await analyses.recent(2)
    second = await analyses.recent(9, before=first[-1].id)
    assert [found.id for found in (*first, *second)] == ids
    await analyses.delete(ids[1])
    assert [found.id for found in await analyses.recent(2, before=first[-1].id)] == ids[2:4]
    assert [found.id for found in await analyses.recent(status="deleted")] == [ids[1]]
    assert await analyses.recent(status="failed") == []
    assert await analyses.recent(pair="elsewhere") == []
    assert await analyses.count("cats", "fake", "done") == 4
    assert await analyses.pairs() == ["fake"]
    with pytest.raises(BadInput, match="begin at the newest"):
        await analyses.recent(before="nobody")
