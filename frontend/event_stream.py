"""Server-sent events of a page: the messages, and the answer that carries them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from fastapi.responses import StreamingResponse

from frontend import templating
from server.errors import NotFound

S = TypeVar("S")
PING_EVERY = 4.0
"""Seconds after which a page with nothing new hears that the server is there; see QUIET in static/connection.js."""


def response(messages: AsyncGenerator[bytes]) -> StreamingResponse:
    """Answer with a stream of messages. Where what it shows is deleted meanwhile, the page is told to stop listening: a
    stream that ends without that is opened again.
    """
    headers = {**templating.HEADERS, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(ended(messages), media_type="text/event-stream", headers=headers)


async def ended(messages: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The messages, and DONE where what they show has been deleted."""
    try:
        async with aclosing(messages):
            async for sent in messages:
                yield sent
    except NotFound:
        yield DONE


async def pinged(snapshots: AsyncGenerator[S], ping: float = PING_EVERY) -> AsyncGenerator[S | None]:
    """The snapshots (or events) as they come; None after each `ping` seconds without one."""
    async with aclosing(snapshots):
        while True:
            following = asyncio.ensure_future(anext(snapshots, None))
            try:
                while not (await asyncio.wait({following}, timeout=ping))[0]:
                    yield None
                snapshot = following.result()
            finally:
                following.cancel()
                await asyncio.wait({following})
            if snapshot is None:
                return
            yield snapshot


def message(data: str, *, event: str | None = None) -> bytes:
    r"""One server-sent event. Line ends of every kind become `\n`, each line gets its own `data:`."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = f"event: {event}\n" if event else ""
    return (head + "".join(f"data: {line}\n" for line in lines) + "\n").encode()


PING = message("", event="ping")
"""Says that the server is there."""
DONE = message("{}", event="done")
"""Tells the page to stop listening."""
