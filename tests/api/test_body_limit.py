from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from server.settings import Settings
from tests.api.test_bad_input import problem
from tests.conftest import client_of, running
from tests.fakes import FakeSource

pytestmark = pytest.mark.anyio
LIMIT = 1000


@pytest.fixture
async def small(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that reads a thousand bytes."""
    low = settings.model_copy(update={"max_body_bytes": LIMIT})
    async with running(low, FakeSource()) as app, client_of(app) as client:
        yield client


def body(size: int) -> bytes:
    frame = len(b'{"text": ""}')
    return b'{"text": "%s"}' % (b"x" * (size - frame))


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 64):
        yield content[start : start + 64]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_up_to_the_limit_is_read(small: httpx.AsyncClient, chunked: bool) -> None:
    content = chunks(body(LIMIT)) if chunked else body(LIMIT)
    answer = await small.post("/api/analyses", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 202


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_larger_body_is_refused(small: httpx.AsyncClient, chunked: bool) -> None:
    content = chunks(body(LIMIT + 1)) if chunked else body(LIMIT + 1)
    answer = await small.post("/api/analyses", content=content, headers={"Content-Type": "application/json"})
    assert "1,000 bytes" in problem(answer, 413)["detail"]


async def test_ten_megabytes_are_refused_by_the_usual_settings(client: httpx.AsyncClient) -> None:
    problem(await client.post("/api/analyses", content=body(10_000_000)), 413)


async def test_a_huge_body_is_not_read_to_its_end(app: FastAPI) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 2**16
            yield b"x" * 2**16

    messages: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": await anext(source), "more_body": True}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            messages.append(int(str(message["status"])))

    source = endless()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/analyses",
        "raw_path": b"/api/analyses",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"transfer-encoding", b"chunked")],
    }
    await app(scope, receive, send)  # type: ignore[arg-type]
    assert messages == [413]
    assert read < 2_000_000 + 2**17
