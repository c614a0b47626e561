"""Readings of vectors as jobs, on either database: taken up again, by the weights that were asked."""

from __future__ import annotations

import numpy as np
import pytest
from fastapi import FastAPI

from server.analyses.schema import Verbalise
from server.errors import Interrupted
from server.jobs.event_log import Event
from server.settings import Settings
from server.vectors.readings import VectorReader
from server.vectors.schema import VectorRequest
from tests.conftest import running
from tests.fakes import D, FakeSource, text_of

pytestmark = pytest.mark.anyio
V = np.arange(1, D + 1, dtype=np.float32)


def reader_of(app: FastAPI) -> VectorReader:
    reader: VectorReader = app.state.vector_reader
    return reader


async def left_in_the_middle(settings: Settings) -> tuple[str, str]:
    """The vector and the readings that a server had begun when it ended; two of three were written."""
    source = FakeSource()
    source.pair.verbaliser.limit(2)
    async with running(settings, source) as app:
        vector, _ = await app.state.vectors.create(VectorRequest(values=V.tolist()))
        id, existed = await reader_of(app).submit(vector.id, Verbalise(samples=3, temperature=1.0))
        assert not existed
        async for event in reader_of(app).follow(id):
            if getattr(event.data, "done", None) == 2:
                break
    return vector.id, id


async def test_one_that_a_server_has_left_is_made_at_the_next_start(settings: Settings) -> None:
    vector, id = await left_in_the_middle(settings)
    async with running(settings, FakeSource()) as app:
        made = await reader_of(app).wait(id)
        assert [reading.text for reading in made.readings] == [text_of(V, n) for n in range(3)]
        assert await reader_of(app).of(vector) == [made]
        assert await reader_of(app).submit(vector, made.request) == (id, True)


async def test_other_weights_do_not_answer_for_those_that_were_asked(settings: Settings) -> None:
    vector, id = await left_in_the_middle(settings)
    source = FakeSource()
    source.pair.fingerprint = "f2"
    async with running(settings, source) as app:
        assert [event async for event in reader_of(app).follow(id)][-1].kind == "failed"
        assert await reader_of(app).of(vector) == []
        again, existed = await reader_of(app).submit(vector, Verbalise(samples=3, temperature=1.0))
        assert (again != id, existed) == (True, False)
        assert len((await reader_of(app).wait(again)).readings) == 3


async def test_whoever_waits_is_told_that_the_server_ends(settings: Settings) -> None:
    source = FakeSource()
    source.pair.verbaliser.limit(0)
    async with running(settings, source) as app:
        vector, _ = await app.state.vectors.create(VectorRequest(values=V.tolist()))
        id, _ = await reader_of(app).submit(vector.id, Verbalise())
        reader_of(app).stop_streams()
        with pytest.raises(Interrupted, match="goes on with this reading"):
            await reader_of(app).wait(id)


async def test_many_who_ask_at_once_are_answered_with_one(app: FastAPI) -> None:
    vector, _ = await app.state.vectors.create(VectorRequest(values=V.tolist()))
    reader = reader_of(app)
    ids = {(await reader.submit(vector.id, Verbalise()))[0] for _ in range(4)}
    events: list[Event] = [event async for event in reader.follow(ids.pop())]
    assert ids == set() and events[-1].kind == "done"
    assert await reader.of(vector.id) == [events[-1].data]
