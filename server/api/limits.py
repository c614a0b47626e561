"""No body is larger than this server reads, whether it says so or comes in chunks."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.problems import respond_to
from server.errors import TooLarge


class BodyLimit:
    """Reads the body up to the limit, then hands the request on; answers 413 beyond it."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        body = b""
        if not length.isdigit() or int(length) <= self.limit:
            read = await self._read(receive)
            if read is None:
                return
            body = read
        if len(body) > self.limit or (length.isdigit() and int(length) > self.limit):
            error = TooLarge(f"The body is larger than the {self.limit:,} bytes that this server reads.")
            await respond_to(scope, error)(scope, receive, send)
            return
        await self.app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body, or as much of it as proves it too large; None if the client has gone."""
        parts, size, more = [], 0, True
        while more and size <= self.limit:
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
