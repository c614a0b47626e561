"""Connections on real sockets: the silent and the slow are closed, and shut nobody out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from server.api.body_limit import BodyLimit
from server.http_protocol import bounded
from tests.api.test_bad_input import problem
from tests.conftest import served
from tests.fakes import FakePair, held

pytestmark = pytest.mark.anyio
WHOLE = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
SOON = 1.0
"""Seconds for a head, where a test waits for that."""


class Connection:
    """A client's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        found = b""
        with suppress(ConnectionResetError):
            while data := await self.reader.read(2**16):
                found += data
        return found

    async def answer(self) -> bytes:
        """One whole answer with a length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        return head + await self.reader.readexactly(int(length.split(b":")[1]))


@asynccontextmanager
async def connected(address: str, sent: bytes = b"") -> AsyncIterator[Connection]:
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(sent)
        yield Connection(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", WHOLE[:-2] + b"x: y\r\n"])
async def test_whoever_sends_no_whole_head_is_closed(app: FastAPI, sent: bytes) -> None:
    async with served(app, bounded(10, SOON)) as address, connected(address, sent) as slow:
        assert await slow.rest() == b""


async def test_a_second_head_has_its_time_too(app: FastAPI) -> None:
    async with served(app, bounded(10, SOON)) as address, connected(address, WHOLE) as client:
        assert (await client.answer()).startswith(b"HTTP/1.1 200")
        client.writer.write(WHOLE)
        assert (await client.answer()).startswith(b"HTTP/1.1 200")
        client.writer.write(WHOLE[:9])
        assert await client.rest() == b""


async def test_a_body_that_nobody_reads_holds_no_connection(app: FastAPI) -> None:
    head = b"POST /api/analyses HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: http://evil.example\r\ncontent-length: 9\r\n\r\n"
    async with served(app, bounded(10, SOON)) as address, connected(address, head) as client:
        assert (await client.answer()).startswith(b"HTTP/1.1 403")
        client.writer.write(b"1234")
        assert await client.rest() == b""


async def test_the_silent_give_way_to_those_who_ask(app: FastAPI) -> None:
    async with (
        served(app, bounded(2)) as address,
        connected(address) as first,
        connected(address) as second,
        connected(address, WHOLE) as third,
    ):
        assert (await third.answer()).startswith(b"HTTP/1.1 200")
        assert await first.rest() == b""
        second.writer.write(WHOLE)
        assert (await second.answer()).startswith(b"HTTP/1.1 200")


async def test_where_all_are_at_work_another_is_told_to_come_again(app: FastAPI, pair: FakePair) -> None:
    asked = b'{"text": "cats"}'
    begin = b"POST /api/analyses HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    begin += b"content-length: %d\r\n\r\n" % len(asked)
    with held(pair.target.hold):
        async with served(app, bounded(1)) as address, connected(address, begin + asked) as client:
            id = (await client.answer()).rpartition(b'"url":"/a/')[2].partition(b'"')[0]
            client.writer.write(b"GET /api/analyses/%s/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" % id)
            assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            async with connected(address, WHOLE) as another:
                refused = await another.rest()
                assert refused.startswith(b"HTTP/1.1 503") and b"too many connections" in refused


async def test_a_body_that_does_not_come_is_given_up(app: FastAPI) -> None:
    async def begun() -> AsyncIterator[bytes]:
        yield b'{"text": '
        await asyncio.Event().wait()

    transport = httpx.ASGITransport(BodyLimit(app, 1000, seconds=0.05))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.post("/api/analyses", content=begun())
        assert "too slowly" in problem(answer, 408)["detail"]
