from __future__ import annotations

import asyncio

import pytest

from server.analyses.schema import AnalysisRequest, Message
from server.errors import BadInput, NlaError, NotReady
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish, until, watch
from tests.conftest import running
from tests.fakes import FakePair, FakeSource

pytestmark = pytest.mark.anyio


async def test_what_is_asked_while_the_models_load_is_queued(settings: Settings) -> None:
    source = FakeSource()
    source.loads.clear()
    async with running(settings, source, ready=False) as app:
        analyses = analyses_of(app)
        analysis, existed = await analyses.create(chat())
        assert not existed
        assert (analysis.status, analysis.progress.stage) == ("queued", "loading")
        await until(analyses, analysis.id, "progress", message="loading the fake")
        assert (await analyses.create(chat()))[1]
        source.loads.set()
        await watch(analyses, analysis.id)
        assert (await analyses.get(analysis.id)).status == "done"
        found, existed = await analyses.create(chat())
        assert (found.id, existed) == (analysis.id, True)


async def test_bad_prompts_asked_while_loading_fail_with_the_reason(settings: Settings) -> None:
    source = FakeSource()
    source.loads.clear()
    async with running(settings.model_copy(update={"max_prompt_tokens": 5}), source, ready=False) as app:
        analyses = analyses_of(app)
        analysis, _ = await analyses.create(chat("too long"))
        source.loads.set()
        await watch(analyses, analysis.id)
        failed = await analyses.get(analysis.id)
        assert failed.status == "failed"
        assert failed.error == "The prompt is 11 tokens long; this server takes up to 5. Shorten it."


async def test_models_that_cannot_be_loaded_refuse_and_fail_what_waited(settings: Settings) -> None:
    source = FakeSource(error=NlaError("the sidecar lies"))
    source.loads.clear()
    async with running(settings, source, ready=False) as app:
        analyses = analyses_of(app)
        analysis, _ = await analyses.create(chat())
        source.loads.set()
        await watch(analyses, analysis.id)
        assert "the sidecar lies" in ((await analyses.get(analysis.id)).error or "")
        with pytest.raises(NotReady, match="could not be loaded: the sidecar lies"):
            await analyses.create(chat())


async def test_work_for_another_pair_waits_for_it(settings: Settings) -> None:
    source = FakeSource()
    async with running(settings, source) as app:
        source.pair.verbaliser.limit(1)
        analysis, _ = await analyses_of(app).create(chat())
        await until(analyses_of(app), analysis.id, "reading")
    other = FakeSource(FakePair(name="other"))
    async with running(settings.model_copy(update={"pair": "other"}), other) as app:
        waiting = await analyses_of(app).get(analysis.id)
        assert waiting.progress.message == "This waits for a server that holds the pair fake."
        cancelled = await analyses_of(app).cancel(analysis.id)
        assert cancelled.status == "cancelled"
        assert (await watch(analyses_of(app), analysis.id))[-1].kind == "failed"


async def test_what_is_asked_while_loading_turns_out_to_be_known(settings: Settings) -> None:
    async with running(settings, FakeSource()) as app:
        done = await finish(analyses_of(app), chat())
    source = FakeSource()
    source.loads.clear()
    async with running(settings, source, ready=False) as app:
        analyses = analyses_of(app)
        provisional, _ = await analyses.create(chat())
        assert provisional.id != done.id
        watcher = asyncio.create_task(watch(analyses, provisional.id))
        await asyncio.sleep(0)
        source.loads.set()
        events = await watcher
        assert events[-1].kind == "done"
        assert events[-1].data.id == done.id
        assert (await analyses.get(provisional.id)).model_dump() == done.model_dump()
        assert len(await analyses.recent()) == 1
        assert source.pair.target.traced == []


async def test_an_unknown_role_is_refused_before_the_models_are_there(settings: Settings) -> None:
    source = FakeSource()
    source.loads.clear()
    async with running(settings, source, ready=False) as app:
        with pytest.raises(BadInput) as caught:
            await analyses_of(app).create(AnalysisRequest(messages=[Message(role="wizard", content="a")]))
        assert caught.value.field == "messages.0.role"
        source.loads.set()
