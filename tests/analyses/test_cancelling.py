"""Several who end the same analysis at once, and ends that nothing else may hold up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from server.errors import NotFound
from tests.analyses.asking import analyses_of, chat, until, watch
from tests.analyses.editing import edit, interventions_of
from tests.fakes import FakePair, held

pytestmark = pytest.mark.anyio
DEADLINE = 60
"""Seconds: only against a test that hangs."""


async def came(condition: Callable[[], bool]) -> None:
    """Let everybody else go on until this holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


@asynccontextmanager
async def slow_store(app: FastAPI) -> AsyncIterator[None]:
    """Nothing is kept before the end of the block."""
    hold = threading.Event()
    busy = asyncio.create_task(app.state.store.write(lambda _: hold.wait() and None))
    try:
        yield
    finally:
        hold.set()
        await busy


async def test_whoever_else_cancels_waits_for_the_same_end_and_every_stream_hears_it(
    app: FastAPI, pair: FakePair
) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(0)
    id = (await analyses.create(chat()))[0].id
    await until(analyses, id, "lens")
    watching = [asyncio.create_task(watch(analyses, id)) for _ in range(13)]
    job = app.state.scheduler.get(id)
    async with slow_store(app):
        stops = [asyncio.create_task(job.stop())]
        await came(lambda: app.state.store._writer._work_queue.qsize() == 1)  # its end waits to be kept
        stops += [asyncio.create_task(job.stop()) for _ in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
        stops[1].cancel()  # whoever has asked leaves
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait(stops)
        ends = [(await watcher)[-1] for watcher in watching]
    assert {(end.kind, end.data.status) for end in ends} == {("failed", "cancelled")}
    assert (await analyses.get(id)).status == "cancelled"


async def test_cancels_beside_a_deletion(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(0)
    for n in range(5):
        id = (await analyses.create(chat(f"cats {n}")))[0].id
        watching = [asyncio.create_task(watch(analyses, id)) for _ in range(13)]
        await until(analyses, id, "tokens")
        ended = [analyses.cancel(id), analyses.delete(id), analyses.cancel(id), analyses.delete(id)]
        async with asyncio.timeout(DEADLINE):
            answers = await asyncio.gather(*ended, return_exceptions=True)
            ends = [(await watcher)[-1].kind for watcher in watching]
        assert ends == ["failed"] * 13
        assert {type(answer) for answer in answers if isinstance(answer, BaseException)} <= {NotFound}
        assert id in answers
        with pytest.raises(NotFound):
            await analyses.get(id)
    assert app.state.scheduler._jobs == {}


async def test_neither_deleting_nor_asking_waits_for_a_model_that_is_busy(
    app: FastAPI, pair: FakePair, id: str
) -> None:
    analyses = analyses_of(app)
    with held(pair.target.hold):
        pair.target.begun.clear()
        editing = asyncio.create_task(interventions_of(app).create(id, edit()))
        await asyncio.to_thread(pair.target.begun.wait)
        behind = (await analyses.create(chat("behind it", generate={})))[0].id
        await until(analyses, behind, "progress", stage="reply")
        async with asyncio.timeout(DEADLINE):
            await analyses.delete(behind)
            await analyses.create(chat("of somebody else", positions=[]))
            editing.cancel()  # its asker leaves, which stops nothing
            await analyses.delete(id)
        assert await asyncio.to_thread(pair.target.stopped.wait, DEADLINE)
