"""Server-sent events of a page: what is said when nothing is new, when something breaks, and at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from frontend import event_stream
from server.errors import NotFound


def test_an_error_of_the_states_ends_the_stream_with_that_error() -> None:
    async def broken() -> AsyncGenerator[str]:
        yield "a state"
        raise RuntimeError("the store is gone")

    async def run() -> list[str | None]:
        return [found async for found in event_stream.pinged(broken())]

    with pytest.raises(RuntimeError, match="the store is gone"):
        asyncio.run(run())


def test_a_quiet_stream_is_pinged_and_its_states_are_put_down_with_it() -> None:
    put_down = False

    async def quiet() -> AsyncGenerator[str]:
        nonlocal put_down
        try:
            await asyncio.Event().wait()
            yield "a state"
        finally:
            put_down = True

    async def run() -> str | None:
        found = event_stream.pinged(quiet(), ping=0.01)
        first = await anext(found)
        await found.aclose()
        return first

    assert asyncio.run(run()) is None
    assert put_down


def test_line_ends_of_every_kind_stay_inside_one_message() -> None:
    assert (
        event_stream.message("a\r\nb\rc\nd\u2028e")
        == "data: a\ndata: b\ndata: c\ndata: d\u2028e\n\n".encode()
    )


def test_a_page_whose_analysis_is_deleted_is_told_to_stop_listening() -> None:
    async def deleted() -> AsyncGenerator[bytes]:
        yield b"a message"
        raise NotFound("There is no analysis.")

    async def sent() -> list[bytes]:
        return [message async for message in event_stream.ended(deleted())]

    assert asyncio.run(sent()) == [b"a message", event_stream.DONE]
