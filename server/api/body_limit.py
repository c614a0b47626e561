"""No body is larger than this server reads, whether it says so or comes in chunks, and none comes for ever."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.problems import respond_to
from server.errors import NlaError, TooLarge, TooSlow

BODY_SECONDS = 30.0
"""In which a body has to come, and one second more for each LEAST_RATE bytes that have come."""
LEAST_RATE = 10_000


class BodyLimit:
    """Reads the body up to the limit, then hands the request on; answers 413 beyond it, and 408 to one that comes too
    slowly.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self.limit = limit
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        body = b""
        if not length.isdigit() or int(length) <= self.limit:
            try:
                read = await self._read(receive)
            except TimeoutError:
                slow = TooSlow("The body of the request came too slowly. Send it again.")
                await self._refuse(slow, scope, receive, send)
                return
            if read is None:
                return
            body = read
        if len(body) > self.limit or (length.isdigit() and int(length) > self.limit):
            error = TooLarge(f"The body is larger than the {self.limit:,} bytes that this server reads.")
            await self._refuse(error, scope, receive, send)
            return
        await self.app(scope, _replay(body, receive), send)

    async def _refuse(self, error: NlaError, scope: Scope, receive: Receive, send: Send) -> None:
        await respond_to(scope, error)(scope, receive, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body, or as much of it as proves it too large; None if the client has gone. Raises TimeoutError."""
        parts, size, more = [], 0, True
        began = time.monotonic()
        while more and size <= self.limit:
            spent = time.monotonic() - began
            async with asyncio.timeout(self.seconds + size / LEAST_RATE - spent):
                message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
        return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
