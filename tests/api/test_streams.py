"""Live streams, over a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import fastapi.sse
import httpx
import pytest
from fastapi import FastAPI

from server.app import stop_streams
from tests.analyses.asking import analyses_of, chat, finish, until
from tests.conftest import served
from tests.fakes import FakePair, held

pytestmark = pytest.mark.anyio


@pytest.fixture
async def web(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server on loopback."""
    async with served(app) as address, httpx.AsyncClient(base_url=address, trust_env=False) as client:
        yield client


async def events(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    """Parsed as a browser would."""
    event: dict[str, Any] = {}
    async for line in lines:
        if not line and event:
            yield event
            event = {}
        elif line.startswith(":"):
            yield {"comment": line}
        elif line:
            name, _, value = line.partition(": ")
            event[name] = json.loads(value) if name == "data" else value


async def test_a_stream_begins_at_once_and_goes_on_to_the_end(web: httpx.AsyncClient, pair: FakePair) -> None:
    pair.verbaliser.limit(0)
    id = (await web.post("/api/analyses", json={"text": "cats"})).json()["id"]
    async with web.stream("GET", f"/api/analyses/{id}/events") as answer:
        kinds, words = [], ""
        async for event in events(answer.aiter_lines()):
            kinds.append(event["event"])
            if event["event"] == "delta":
                words += event["data"]["text"]
                pair.verbaliser.allow()
    assert kinds[-1] == "done"
    assert {"tokens", "lens", "delta", "reading", "progress"} <= set(kinds)
    assert kinds.count("reading") >= 4
    assert words.startswith("sample 0 says")


async def test_a_quiet_stream_is_kept_alive(
    web: httpx.AsyncClient, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fastapi.sse._PING_INTERVAL == 15
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.01)
    pair.verbaliser.limit(0)
    id = (await web.post("/api/analyses", json={"text": "cats"})).json()["id"]
    async with web.stream("GET", f"/api/analyses/{id}/events") as answer:
        async for event in events(answer.aiter_lines()):
            if event.get("comment") == ": ping":
                break


async def test_a_viewer_that_leaves_is_let_go_and_stops_nothing(
    web: httpx.AsyncClient, app: FastAPI, pair: FakePair
) -> None:
    pair.verbaliser.limit(0)
    analysis, _ = await analyses_of(app).create(chat())
    async with web.stream("GET", f"/api/analyses/{analysis.id}/events") as answer:
        await anext(answer.aiter_lines())
    pair.verbaliser.allow()
    await until(analyses_of(app), analysis.id, "done")


async def test_a_stream_of_an_unknown_analysis_is_a_problem_not_a_stream(web: httpx.AsyncClient) -> None:
    answer = await web.get("/api/analyses/nobody/events")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("/api/analyses", {"text": "dogs"}),
        ("/api/analyses/ID/interventions", {"position": 3, "text": "dogs"}),
        ("/api/analyses/ID/measurements", {}),
        ("/api/studies", {"kind": "prompts", "prompts": ["dogs"]}),
    ],
)
async def test_open_streams_do_not_keep_a_server_from_ending(
    app: FastAPI, pair: FakePair, address: str, asked: dict[str, Any]
) -> None:
    id = (await finish(analyses_of(app), chat())).id
    pair.verbaliser.limit(0)
    async with served(app) as server, httpx.AsyncClient(base_url=server, trust_env=False) as web:
        with held(pair.target.hold):
            told = {"prefer": "respond-async"}
            begun = await web.post(address.replace("ID", id), json=asked, headers=told)
            async with web.stream("GET", f"{begun.headers['location']}/events") as answer:
                lines = answer.aiter_lines()
                await anext(lines)
                stop_streams(app)
                rest = [line async for line in lines]
    assert not any(line.startswith(("event: done", "event: failed")) for line in rest)


async def test_a_pin_in_the_address_is_followed(web: httpx.AsyncClient, pair: FakePair) -> None:
    pair.verbaliser.limit(0)
    id = (await web.post("/api/analyses", json={"text": "cats"})).json()["id"]
    async with web.stream("GET", f"/api/analyses/{id}/events?pin=1") as answer:
        positions = set()
        async for event in events(answer.aiter_lines()):
            if event["event"] == "progress" and event["data"]["stage"] == "readings":
                pair.verbaliser.allow()
            if event["event"] == "delta":
                positions.add(event["data"]["position"])
    assert 1 in positions
