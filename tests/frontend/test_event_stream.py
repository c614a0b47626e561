"""Server-sent events of a page: what is said when nothing is new, when something breaks, and at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from frontend import event_stream
from server.errors import NotFound


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
