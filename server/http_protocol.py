"""HTTP/1.1 as uvicorn speaks it, with bounds for those who connect: a deadline for the head of a request, and a number
of connections beyond which the one that has said nothing for longest gives way.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 20.0
"""In which a client has to send the head of a request, from its first byte or from the beginning of the connection."""
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 47\r\n\r\n"
    b"The server has too many connections. Try again."
)


class BoundedProtocol(H11Protocol):
    """One connection. Subclasses say how many there may be."""

    most = 2000
    head_seconds = HEAD_SECONDS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._idle_since = time.monotonic()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Watch the first head; make room, or refuse, where there are as many connections as there may be."""
        if len(self.connections) >= self.most and not self._make_room():
            transport.write(_FULL)
            transport.close()
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Take what has come; as long as it is no whole head, the time runs."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._stop_watching()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Note since when the client has nothing to wait for."""
        self._idle_since = time.monotonic()
        super().on_response_complete()
        if self._waits_for_head and self.timeout_keep_alive_task is None:
            self._watch_head()

    @property
    def _waits_for_head(self) -> bool:
        """True if nothing is being answered. What is left of a body that was refused unread counts as silence."""
        return self.cycle is None or self.cycle.response_complete

    def _watch_head(self) -> None:
        if not self._waits_for_head:
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._too_late)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()

    def _make_room(self) -> bool:
        """Close the connection on which nothing has been asked for longest; False if something is asked on each."""
        idle = [
            each
            for each in self.connections
            if isinstance(each, BoundedProtocol) and each._waits_for_head and not each.transport.is_closing()
        ]
        if not idle:
            return False
        longest = min(idle, key=lambda each: each._idle_since)
        longest.transport.abort()
        self.connections.discard(longest)
        return True


def bounded(most: int, head_seconds: float = HEAD_SECONDS) -> type[BoundedProtocol]:
    """The protocol of a server that holds up to `most` connections."""
    return type("Bounded", (BoundedProtocol,), {"most": most, "head_seconds": head_seconds})
