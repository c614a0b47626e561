"""Measurements as jobs, on either database: taken up again, of the analysis's own weights, gone with it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from fastapi import FastAPI

from server.errors import Conflict, NotFound
from server.jobs.event_log import Event
from server.measurements.schema import Measurement, MeasurementRequest, PendingMeasurement
from server.measurements.service import Measurements
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish
from tests.conftest import running
from tests.fakes import FakePair, FakeSource, held

pytestmark = pytest.mark.anyio


def measurements_of(app: FastAPI) -> Measurements:
    service: Measurements = app.state.measurements
    return service


async def made(app: FastAPI, id: str, **request: object) -> Measurement:
    service = measurements_of(app)
    found, _ = await service.submit(id, MeasurementRequest.model_validate(request))
    return await service.wait(found)


async def test_one_that_a_server_has_left_is_made_at_the_next_start(settings: Settings) -> None:
    source = FakeSource()
    async with running(settings, source) as app:
        id = (await finish(analyses_of(app), chat())).id
        source.pair.target.begun.clear()
        source.pair.target.hold.clear()  # until the pair is closed
        left, there = await measurements_of(app).submit(id, MeasurementRequest())
        assert not there
        await asyncio.to_thread(source.pair.target.begun.wait)
    async with running(settings, FakeSource()) as app:
        events = [event async for event in measurements_of(app).events(id, left)]
        assert (events[-1].kind, events[-1].data.id) == ("done", left)
        assert await measurements_of(app).of(id) == [events[-1].data]


async def test_scores_are_kept_one_by_one_and_a_new_start_measures_only_the_rest(settings: Settings) -> None:
    source = FakeSource()
    source.pair.target.most_patches = 12  # those of two readings and a part of the third's
    async with running(settings, source) as app:
        id = (await finish(analyses_of(app), chat())).id
        left, _ = await measurements_of(app).submit(id, MeasurementRequest())
        told: list[Event] = []
        async for event in measurements_of(app).events(id, left):
            told += [event] if event.kind == "score" else []
            if len(told) == 2:
                break
        pending = await measurements_of(app).causal(id)
        assert isinstance(pending, PendingMeasurement) and pending.scores == [event.data for event in told]
    source = FakeSource()
    async with running(settings, source) as app:
        rest = [event async for event in measurements_of(app).events(id, left, told[-1].id)]
        found = await measurements_of(app).wait(left)
        assert found.scores[:2] == [event.data for event in told]
        assert rest[-1].data == found  # whoever comes back late is told the end alone
        assert all(event.data in found.scores[2:] for event in rest if event.kind == "score")
        assert source.pair.target.patches == 5 * len(found.scores[2:])
        again = await made(app, id, seed=0)
        assert again == found
        await measurements_of(app).delete(id, left)
        assert (await made(app, id)).scores == found.scores


@pytest.mark.parametrize("how", ["one", "all"])
async def test_one_that_is_cancelled_goes_on_with_its_scores_when_it_is_asked_again(
    app: FastAPI, id: str, pair: FakePair, how: str
) -> None:
    service, target = measurements_of(app), pair.target
    target.most_patches = 12  # those of two readings and a part of the third's
    cancelled, _ = await service.submit(id, MeasurementRequest())
    told: list[Event] = []
    async for event in service.events(id, cancelled):
        told += [event] if event.kind == "score" else []
        if event.kind == "score" and len(told) == 2:
            await (service.cancel_one(id, cancelled) if how == "one" else service.cancel(id))
    assert (event.kind, event.data.status) == ("failed", "cancelled")
    with pytest.raises(NotFound):
        await service.get(id, cancelled)
    assert await service.causal(id) is None
    target.most_patches, target.patches = 10**9, 0
    target.hold.set()
    found = await made(app, id)
    assert (found.id, found.scores[:2]) == (cancelled, [event.data for event in told])
    assert target.patches == 5 * len(found.scores[2:])


async def test_what_is_kept_of_one_that_was_cancelled_can_be_removed(
    app: FastAPI, id: str, pair: FakePair
) -> None:
    service, target = measurements_of(app), pair.target
    target.most_patches = 12
    cancelled, _ = await service.submit(id, MeasurementRequest())
    async for event in service.events(id, cancelled):
        if event.kind == "score":
            await service.cancel(id)
    await service.delete(id, cancelled)
    with pytest.raises(NotFound):
        await service.delete(id, cancelled)
    target.most_patches, target.patches = 10**9, 0
    target.hold.set()
    found = await made(app, id)
    assert target.patches == 5 * len(found.scores)  # all of them again


async def test_one_for_an_analysis_that_a_server_has_left_begins_after_it(settings: Settings) -> None:
    source = FakeSource()
    source.pair.verbaliser.limit(3)
    async with running(settings, source) as app:
        analysis, _ = await analyses_of(app).create(chat())
        left, _ = await measurements_of(app).submit(analysis.id, MeasurementRequest())
    async with running(settings, FakeSource()) as app:
        found = await measurements_of(app).wait(left)
        assert len(found.scores) == len((await analyses_of(app).get(analysis.id)).readings)


async def test_one_that_waits_is_not_lost_when_the_streams_end_before_the_server(settings: Settings) -> None:
    source = FakeSource()
    source.pair.verbaliser.limit(3)
    async with running(settings, source) as app:
        analysis, _ = await analyses_of(app).create(chat())
        left, _ = await measurements_of(app).submit(analysis.id, MeasurementRequest())
        async for event in measurements_of(app).events(analysis.id, left):
            if event.data.stage == "waiting":
                break
        analyses_of(app).stop_streams()  # as SIGTERM does
        work = app.state.scheduler.get(left)._work
        assert (await asyncio.wait([work], timeout=0.5))[0] == set(), "it has ended without its analysis"
    async with running(settings, FakeSource()) as app:
        found = await measurements_of(app).wait(left)
        assert len(found.scores) == len((await analyses_of(app).get(analysis.id)).readings)


async def test_many_who_ask_at_once_are_answered_with_one(app: FastAPI, id: str) -> None:
    found = await asyncio.gather(*(made(app, id) for _ in range(8)))
    assert len({measurement.model_dump_json() for measurement in found}) == 1
    assert await measurements_of(app).of(id) == [found[0]]


async def test_it_is_listed_by_what_it_measures(app: FastAPI, id: str) -> None:
    causal, parts = await made(app, id), await made(app, id, kind="parts", position=3)
    service = measurements_of(app)
    assert await service.causal(id) == causal
    assert (await service.of_token(id, 3, [0, 1])).parts == {(3, 0): parts}
    assert await service.form(id) is None


async def test_other_weights_are_not_measured(app: FastAPI, id: str, pair: FakePair) -> None:
    pair.fingerprint = "others"
    with pytest.raises(Conflict, match="other weights"):
        await made(app, id)


async def test_a_deletion_stops_it_and_what_is_made_comes_back_with_the_analysis(
    app: FastAPI, id: str, pair: FakePair
) -> None:
    kept = await made(app, id)
    with held(pair.target.hold):
        going, _ = await measurements_of(app).submit(id, MeasurementRequest(seed=1))
        await analyses_of(app).delete(id)
    with pytest.raises(Conflict, match="cancelled"):
        await measurements_of(app).wait(going)
    await analyses_of(app).restore(id)
    assert await measurements_of(app).of(id) == [kept]
    assert await measurements_of(app).pending(id) == []


async def test_one_that_waits_for_what_is_broken_off_says_so_to_whoever_watches(
    app: FastAPI, pair: FakePair
) -> None:
    pair.verbaliser.limit(0)
    analysis, _ = await analyses_of(app).create(chat())
    waiting, _ = await measurements_of(app).submit(analysis.id, MeasurementRequest())
    watching = measurements_of(app).events(analysis.id, waiting)
    await anext(watching)
    await analyses_of(app).cancel(analysis.id)
    last = [event async for event in watching][-1]
    assert (last.kind, last.data.status) == ("failed", "failed")
    assert "has not come to its end" in last.data.error


async def test_whoever_watches_one_that_is_cancelled_at_the_first_look_is_told_that_there_is_none(
    app: FastAPI, id: str, pair: FakePair
) -> None:
    service = measurements_of(app)
    with held(pair.target.hold):
        asked, _ = await service.submit(id, MeasurementRequest())
        async with aclosing(service.watch_causal(id)) as states:
            assert isinstance(await anext(states), PendingMeasurement)
            await service.cancel_one(id, asked)
            assert [state async for state in states] == [None]


async def test_whoever_comes_just_after_the_end_of_one_that_was_removed_is_told(app: FastAPI) -> None:
    (event,) = [event async for event in measurements_of(app).follow("gone")]
    assert (event.kind, event.data.status) == ("failed", "cancelled")
