"""Edits that take long: bounded in number, and stopped when somebody says so."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from server.errors import Conflict
from server.settings import Settings
from tests.analyses.editing import at_work
from tests.api.test_analyses import done
from tests.api.test_bad_input import problem
from tests.fakes import FakePair

pytestmark = pytest.mark.anyio
OTHER = {"position": 2, "text": "about fish"}
BEING_MADE = {"position": 3, "text": "about dogs"}
"""As `at_work` asks for it."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_edits": 1})


@pytest.fixture
async def id(app: FastAPI, client: httpx.AsyncClient) -> str:
    found: str = (await done(app, client, {"text": "cats"}))["id"]
    return found


async def test_more_than_the_server_takes_are_refused_for_the_moment(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair, id: str
) -> None:
    address = f"/api/analyses/{id}/interventions"
    known = await client.post(address, json={**OTHER, "text": "known"})
    async with at_work(app, pair, id) as asked:
        refused = await client.post(address, json=OTHER)
        told = problem(refused, 429)
        assert (told["title"], told["detail"]) == (
            "The server is busy",
            "1 edits are at work or wait already. Try again in a while.",
        )
        assert refused.headers["retry-after"] == "5"
        assert (await client.post(address, json=known.json()["request"])).status_code == 200
        joined = asyncio.create_task(client.post(address, json=BEING_MADE))
        await asyncio.sleep(0)
    assert (await joined).json()["id"] == (await asked)[0].id
    assert (await client.post(address, json=OTHER)).status_code == 201


async def test_it_is_found_watched_and_cancelled_while_it_is_made(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair, id: str
) -> None:
    address = f"/api/analyses/{id}/interventions"
    async with at_work(app, pair, id) as asked:
        joined = await client.post(address, json=BEING_MADE, headers={"Prefer": "respond-async"})
        assert joined.status_code == 202
        here = joined.headers["location"]
        assert here == f"{address}/{joined.json()['id']}"
        assert (await client.get(here)).status_code == 202
        assert (await client.get(f"{address}/pending")).json() == [joined.json()]
        assert (await client.get(f"{address}/pending", params={"position": 4})).json() == []
        assert joined.json()["progress"]["stage"] == "reconstruct"
        assert (await client.post(f"{here}/cancel")).status_code == 204
        with pytest.raises(Conflict):
            await asked
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/events"), ("DELETE", "")):
        assert (await client.request(method, here + path)).status_code == 404
    asked_again = await client.post(address, json=BEING_MADE, headers={"Prefer": "respond-async"})
    events = (await client.get(f"{asked_again.headers['location']}/events")).text
    assert "event: done" in events
    finished = await client.post(address, json=BEING_MADE, headers={"Prefer": "respond-async"})
    assert (finished.status_code, finished.json()["id"]) == (200, asked_again.json()["id"])


async def test_whoever_waits_for_a_cancelled_one_is_told(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair, id: str
) -> None:
    address = f"/api/analyses/{id}/interventions"
    async with at_work(app, pair, id) as asked:
        being_made = [job.id for job in app.state.scheduler.children(id)]
        assert (await client.post("/api/analyses/nobody/interventions/cancel")).status_code == 404
        answer = await client.post(f"{address}/cancel")
        assert (answer.status_code, answer.json()) == (200, {"cancelled": being_made})
        with pytest.raises(Conflict, match="cancelled before it was made"):
            await asked
        assert (await client.post(f"{address}/cancel")).json() == {"cancelled": []}
    assert (await client.get(address)).json() == []
    assert (await client.post(address, json=BEING_MADE)).status_code == 201
