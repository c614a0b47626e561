"""Server-sent events of a page: the messages, and the answer that carries them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi.responses import StreamingResponse

from frontend import templating
from server.errors import NotFound

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


def message(data: str, *, event: str | None = None) -> bytes:
    r"""One server-sent event. Line ends of every kind become `\n`, each line gets its own `data:`."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = f"event: {event}\n" if event else ""
    return (head + "".join(f"data: {line}\n" for line in lines) + "\n").encode()


PING = message("", event="ping")
"""Says that the server is there."""
DONE = message("{}", event="done")
"""Tells the page to stop listening."""
