"""Studies of two servers on one PostgreSQL database."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI

from server.errors import NotFound
from server.jobs import lease_keeper
from server.settings import Settings
from tests.analyses.asking import analyses_of
from tests.analyses.test_two_servers import shared as shared
from tests.conftest import running
from tests.studies.sums import asked, ended, multiplying, studies_of

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


async def _one_case(app: FastAPI, id: str) -> None:
    async for event in studies_of(app).events(id):
        if event.kind == "case":
            return


async def _settled(app: FastAPI) -> set[str]:
    """The states of the analyses, once none is at work."""
    analyses = analyses_of(app)
    for summary in await analyses.recent():
        async for _ in analyses.events(summary.id):
            pass
    return {summary.status for summary in await analyses.recent()}


@pytest.mark.parametrize("change", ["cancel", "delete"])
async def test_stopped_at_the_other_server_it_stops_with_its_analyses(shared: Settings, change: str) -> None:
    one, other = multiplying(), multiplying()
    async with running(shared, one) as first, running(shared, other) as second:
        one.pair.verbaliser.limit(6)
        id, _ = await studies_of(first).submit(asked())
        await _one_case(second, id)
        watching = studies_of(first).events(id)
        await anext(watching)
        await getattr(studies_of(second), change)(id)
        told = [event.data.status async for event in watching if event.kind == "failed"]
        assert told == ["cancelled"]
        assert await _settled(second) == {"done", "cancelled"}
        if change == "delete":
            with pytest.raises(NotFound):
                await studies_of(first).get(id)
            return
        for app in (first, second):
            study = await studies_of(app).get(id)
            assert study.status == "cancelled" and study.cases
        one.pair.verbaliser.allow()
        assert await studies_of(second).submit(asked()) == (id, True)
        done = await ended(second, id)
        kept = {case.number: case for case in study.cases}
        assert done.status == "done"
        assert {case.number: case for case in done.cases if case.number in kept} == kept


async def test_a_case_that_comes_after_the_stop_stops_it_too(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        lease_keeper, "RENEWAL", 3600
    )  # no renewal tells the first server before the case does
    one, other = multiplying(), multiplying()
    async with running(shared, one) as first, running(shared, other) as second, asyncio.timeout(60):
        one.pair.verbaliser.limit(6)
        id, _ = await studies_of(first).submit(asked())
        await _one_case(first, id)
        await studies_of(second).cancel(id)
        one.pair.verbaliser.allow(4)
        assert (await ended(first, id)).status == "cancelled"
        assert await _settled(first) == {"done", "cancelled"}


async def test_taken_over_by_the_other_server_its_analyses_go_on(shared: Settings) -> None:
    one, other = multiplying(), multiplying()
    async with running(shared, other) as second:
        async with running(shared, one) as first:
            one.pair.verbaliser.limit(6)
            id, _ = await studies_of(first).submit(asked())
            await _one_case(first, id)
        study = await ended(second, id)
        assert study.status == "done"
        assert await _settled(second) == {"done"}
