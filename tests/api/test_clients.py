"""A server that many use: each has a share of it, and they take turns."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from server.jobs.clients import working_for
from server.settings import Settings
from tests.analyses.asking import analyses_of, watch
from tests.api.test_bad_input import problem
from tests.conftest import running
from tests.fakes import FakePair, FakeSource

pytestmark = pytest.mark.anyio
TOKEN = "correct horse battery"
SHARED = {"host": "0.0.0.0", "token": SecretStr(TOKEN)}


def visitor(app: FastAPI, address: str, **headers: str) -> httpx.AsyncClient:
    """A client at an address of the network, with the token."""
    transport = httpx.ASGITransport(app, client=(address, 40000))
    bearer = {"Authorization": f"Bearer {TOKEN}", **headers}
    return httpx.AsyncClient(transport=transport, base_url="http://gpu.example", headers=bearer)


async def ask(client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await client.post("/api/analyses", json={"text": text})


@pytest.fixture
def pair() -> FakePair:
    """A pair that writes nothing before it is allowed to."""
    pair = FakePair()
    pair.verbaliser.limit(0)
    return pair


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_running": 1, "max_queue": 4, "max_calls": 4})


@pytest.fixture
async def shared(settings: Settings, pair: FakePair) -> AsyncIterator[FastAPI]:
    """A server that demands a token."""
    async with running(settings.model_copy(update=SHARED), FakeSource(pair)) as app:
        yield app


async def test_one_who_asks_for_much_leaves_room_for_others(shared: FastAPI) -> None:
    async with visitor(shared, "10.0.0.1") as greedy, visitor(shared, "10.0.0.2") as other:
        assert [(await ask(greedy, text)).status_code for text in "ab"] == [202, 202]
        refused = await ask(greedy, "c")
        assert problem(refused, 429)["detail"] == (
            "2 analyses of yours are at work or wait already, as many as one client may have of the 4 that this server "
            "takes. Try again in a while."
        )
        assert int(refused.headers["Retry-After"]) > 0
        assert (await ask(greedy, "a")).status_code == 200  # what is asked for already takes nobody's room
        assert [(await ask(other, text)).status_code for text in "cd"] == [202, 202]
        async with visitor(shared, "10.0.0.3") as third:
            assert "4 analyses are at work" in problem(await ask(third, "e"), 429)["detail"]


async def test_browsers_at_one_address_are_told_apart_by_their_sessions(shared: FastAPI) -> None:
    for _ in range(2):
        async with visitor(shared, "10.0.0.1", Authorization="") as browser:
            await browser.post("/login", data={"token": TOKEN})
            texts = [f"{browser.cookies}{n}" for n in range(2)]
            assert [(await ask(browser, text)).status_code for text in texts] == [202, 202]


async def test_where_clients_are_not_told_apart_nobody_has_a_share(
    settings: Settings, pair: FakePair
) -> None:
    async with running(settings, FakeSource(pair)) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            assert [(await ask(client, text)).status_code for text in "abcde"] == [202] * 4 + [429]


async def test_clients_take_turns_and_are_told_their_places(shared: FastAPI, pair: FakePair) -> None:
    async with visitor(shared, "10.0.0.1") as greedy, visitor(shared, "10.0.0.2") as other:
        ids = [(await ask(greedy, text)).json()["id"] for text in "ab"]
        ids += [(await ask(other, text)).json()["id"] for text in "cd"]
        places = [(await greedy.get(f"/api/analyses/{id}")).json()["progress"]["ahead"] for id in ids]
        assert places == [None, 0, 1, 2]
        pair.verbaliser.allow()
        for id in ids:
            await watch(analyses_of(shared), id)
        begun = [(await greedy.get(f"/api/analyses/{id}")).json()["finished"] for id in ids]
        assert begun == sorted(begun)


async def test_calls_of_the_models_are_bounded_too(shared: FastAPI) -> None:
    body = {"texts": ["cats"]}
    calls = shared.state.scheduler.call
    async with visitor(shared, "10.0.0.1") as greedy, visitor(shared, "10.0.0.2") as other:
        with working_for("10.0.0.1"):
            async with calls(), calls():
                refused = await greedy.post("/api/reconstruct", json=body)
                detail = problem(refused, 429)["detail"]
                assert detail.startswith("2 calls of yours are at work or wait already")
                assert (await other.post("/api/reconstruct", json=body)).status_code == 200
        assert (await greedy.post("/api/reconstruct", json=body)).status_code == 200
