"""/mcp over HTTP: both eras of the protocol, behind the same token and the same checks as everything else."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import anyio
import httpx
import pytest
from fastapi import FastAPI
from mcp import Client
from pydantic import SecretStr

from server.jobs.event_log import Event
from server.settings import Settings
from tests.analyses.asking import analyses_of, watch
from tests.api.test_bad_input import problem
from tests.conftest import client_of, running, served
from tests.fakes import FakePair, FakeSource, held
from tests.mcp.asking import ERAS, agent, call, refusal

pytestmark = pytest.mark.anyio
TOKEN = "correct horse battery"
TOOLS = [
    *("analyse", "list_analyses", "find_in_readings", "read_positions", "lens_of_word"),
    *("edit_and_patch", "causal_scores", "agreement", "form_test", "make_vector", "read_vector"),
    *("start_study", "study", "keep_finding", "notebook", "compare", "pairs"),
]
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
async def guarded(settings: Settings) -> AsyncIterator[FastAPI]:
    """A server that demands a token."""
    outside = settings.model_copy(update={"host": "0.0.0.0", "token": SecretStr(TOKEN)})
    async with running(outside, FakeSource()) as app:
        yield app


@pytest.mark.parametrize("mode", ERAS)
async def test_a_client_sees_the_tools_and_how_to_audit(address: str, mode: str) -> None:
    async with agent(address, mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
        assert client.instructions is not None and "confabulated" in client.instructions
        made = await call(client, "analyse", text="cats")
        assert (made["status"], made["permalink"]) == ("done", f"{address}/a/{made['id']}")


async def test_every_argument_of_every_tool_is_described(asker: Client) -> None:
    for tool in (await asker.list_tools()).tools:
        assert tool.description and tool.output_schema is not None
        plain = {"seed", "limit"}
        for name, schema in tool.input_schema["properties"].items():
            assert name in plain or "description" in schema, f"{tool.name} {name}"


@pytest.mark.parametrize("mode", ERAS)
async def test_the_token_is_demanded(guarded: FastAPI, mode: str) -> None:
    async with served(guarded) as address:
        async with agent(address, mode, {"Authorization": f"Bearer {TOKEN}"}) as client:
            assert (await call(client, "pairs"))["pairs"][0]["name"] == "fake"
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            async with httpx.AsyncClient(trust_env=False) as web:
                answer = await web.post(f"{address}/mcp", json=INITIALIZE, headers={**ACCEPT, **headers})
                problem(answer, 401)
                assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_foreign_page_is_refused(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    problem(await client.post("/mcp", json=INITIALIZE, headers={**ACCEPT, **headers}), 403)


async def test_a_name_that_was_allowed_is_let_in(settings: Settings) -> None:
    proxied = settings.model_copy(update={"allowed_hosts": "nla.example"})
    async with running(proxied, FakeSource()) as app, client_of(app, Host="nla.example") as client:
        answer = await client.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert answer.status_code == 200 and "nla-explorer" in answer.text


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_there_are_no_sessions_to_listen_to_or_to_end(client: httpx.AsyncClient, method: str) -> None:
    problem(await client.request(method, "/mcp", headers=ACCEPT), 405)


async def test_a_body_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    problem(await client.post("/mcp", content=b" " * 2_000_001, headers=ACCEPT), 413)


async def test_what_is_no_message_is_refused(client: httpx.AsyncClient) -> None:
    for body in ("{", "[]", "3", '{"jsonrpc": "2.0"}'):
        headers = {**ACCEPT, "Content-Type": "application/json"}
        answer = await client.post("/mcp", content=body, headers=headers)
        assert 400 <= answer.status_code < 500


async def test_without_the_package_it_says_how_to_install_it(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    answer = await client.post("/mcp", json=INITIALIZE, headers=ACCEPT)
    assert "uv sync --extra mcp" in problem(answer, 501)["detail"]


@pytest.mark.parametrize("mode", ERAS)
async def test_progress_is_told_and_grows(address: str, pair: FakePair, mode: str) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        pair.verbaliser.allow(1)

    pair.verbaliser.limit(1)
    async with agent(address, mode) as client:
        result = await client.call_tool("analyse", {"text": "cats purr"}, progress_callback=tell)
    assert result.structured_content is not None and result.structured_content["status"] == "done"
    values = [progress for progress, _, _ in told]
    assert values == sorted(set(values)) and values[-1] <= 1 + 1e-3
    assert any("of 9" in (message or "") for _, _, message in told)


@pytest.mark.parametrize("mode", ERAS)
async def test_who_leaves_stops_nothing_and_leaves_nothing_waiting(
    app: FastAPI, address: str, pair: FakePair, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyses, begun, left = analyses_of(app), asyncio.Event(), asyncio.Event()
    events = analyses.events

    async def watched(id: str, last: int | None = None) -> AsyncGenerator[Event]:
        try:
            async with aclosing(events(id, last)) as stream:
                async for event in stream:
                    begun.set()
                    yield event
        finally:
            left.set()

    monkeypatch.setattr(analyses, "events", watched)
    pair.verbaliser.limit(0)
    async with agent(address, mode) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "analyse", {"text": "cats"})
        await begun.wait()
        tasks.cancel_scope.cancel()
    await left.wait()
    (found,) = await analyses.recent()
    assert found.status in {"queued", "running"}
    pair.verbaliser.allow()
    await watch(analyses, found.id)
    assert (await analyses.get(found.id)).status == "done"


async def test_a_wait_can_be_short_and_be_taken_up_again(app: FastAPI, asker: Client, pair: FakePair) -> None:
    pair.verbaliser.limit(0)
    first = await call(asker, "analyse", text="cats", wait_seconds=0)
    assert first["status"] in {"queued", "running"} and "ask the same again" in first["note"]
    pair.verbaliser.allow()
    again = await call(asker, "analyse", text="cats")
    assert (again["id"], again["status"], again["existed"]) == (first["id"], "done", True)
    with held(pair.target.hold):
        pending = await call(asker, "causal_scores", analysis=first["id"], wait_seconds=0)
        assert pending["status"] != "done" and "content" not in pending
        edit = await call(
            asker, "edit_and_patch", analysis=first["id"], position=2, text="dogs", wait_seconds=0
        )
        assert edit["status"] != "done" and "after" not in edit
    assert (await call(asker, "causal_scores", analysis=first["id"]))["id"] == pending["id"]
    vector = await call(asker, "make_vector", terms=[{"analysis": first["id"], "position": 1}])
    pair.verbaliser.limit(0)
    left = await call(asker, "read_vector", vector=vector["id"], wait_seconds=0)
    assert (left["status"] != "done", left["readings"]) == (True, []) and "ask the same again" in left["note"]
    pair.verbaliser.allow()
    read = await call(asker, "read_vector", vector=vector["id"])
    assert (read["id"], read["status"], len(read["readings"])) == (left["id"], "done", 1)


async def test_models_that_are_not_there_are_told(settings: Settings) -> None:
    source = FakeSource()
    source.loads.clear()
    async with running(settings, source, ready=False) as app, served(app) as address:
        async with agent(address) as client:
            waiting = await call(client, "analyse", text="cats", wait_seconds=0)
            assert waiting["status"] == "queued"
            assert (await call(client, "pairs"))["pairs"][0]["state"] == "loading"
            said = await refusal(client, "lens_of_word", analysis=waiting["id"], word="x", positions=[0])
            assert "tokens" in said
        source.loads.set()
