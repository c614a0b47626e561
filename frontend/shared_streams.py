"""Event streams of open pages: what changes is rendered once, and sent to all that have the same open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

from prometheus_client import Gauge

from frontend.event_stream import DONE, PING, PING_EVERY, message
from frontend.sent_fragments import NOTHING, Sendable

REST, LONGEST_REST = 4.0, 1.0
"""A rendering is followed by a pause so many times as long, at least: what is large is sent less often. But by no more
than so many seconds, or a busy server would show late what is finished.
"""
S = TypeVar("S")
R = TypeVar("R", contravariant=True)


class Renderer(Protocol[R]):
    """Renders the snapshots of what a page shows."""

    async def show(self, snapshot: R, afresh: bool) -> Sendable:
        """Render a snapshot; return all that a page is sent. `afresh`: somebody has come who may know more than was
        known at the last snapshot.
        """
        ...

    def is_final(self, snapshot: R) -> bool:
        """Return whether nothing will come after this."""
        ...


class _Shared(Generic[S]):
    """One thing, looked at in one way, followed once for all viewers. Each of them is sent whatever is newer than what
    it has, when it takes it: a slow one misses states, and holds up nobody.
    """

    def __init__(self, snapshots: AsyncGenerator[S], renderer: Renderer[S], window: float) -> None:
        self._snapshots = snapshots
        self._renderer = renderer
        self._window = window
        self._sendable: Sendable = NOTHING
        self._last = 0, NOTHING.version, b""
        self._news = asyncio.Event()
        self._pings = 0
        self._timer: asyncio.TimerHandle | None = None
        self._arrival = asyncio.Event()
        self._arrived = self._served = 0
        self._final = False
        self._error: Exception | None = None
        self.viewers = 0
        self._task = asyncio.create_task(self._run(), name="page")
        self._task.add_done_callback(lambda _: self._tell())
        self._tell()

    @property
    def over(self) -> bool:
        """Whether there is nothing more to come."""
        return self._task.done()

    async def messages(self) -> AsyncGenerator[bytes]:
        """Messages of one viewer, from all there is to the end. Raises what ended it."""
        self._arrived += 1
        self._arrival.set()
        ticket, seen = self._arrived, 0
        while True:
            news, pings = self._news, self._pings
            if (self._served >= ticket or self.over) and self._sendable.version > seen:
                sent, seen = self._since(seen), self._sendable.version
                yield sent
            elif self.over:
                if self._error is not None:
                    raise self._error
                if self._final:
                    yield DONE
                return
            else:
                await news.wait()
                if self._pings > pings:
                    yield PING

    async def end(self) -> None:
        """Follow it no longer."""
        self._task.cancel()
        await asyncio.wait({self._task})

    def _since(self, version: int) -> bytes:
        """The message that brings a page of this version up to date; most pages have the same one."""
        if self._last[:2] != (version, self._sendable.version):
            self._last = version, self._sendable.version, message(self._sendable.since(version))
        return self._last[2]

    async def _run(self) -> None:
        try:
            async with aclosing(self._snapshots) as snapshots:
                await self._follow(snapshots)
        except Exception as error:  # each viewer raises it
            self._error = error

    async def _follow(self, snapshots: AsyncGenerator[S]) -> None:
        snapshot = await anext(snapshots, None)
        following: asyncio.Future[S | None] | None = None
        try:
            while snapshot is not None:
                arrived = self._arrived
                self._arrival.clear()
                began = time.monotonic()
                self._sendable = await self._renderer.show(snapshot, arrived > self._served)
                took = time.monotonic() - began
                self._served, self._final = arrived, self._renderer.is_final(snapshot)
                self._tell()
                await asyncio.sleep(max(self._window, min(REST * took, LONGEST_REST)))
                following = following or asyncio.ensure_future(anext(snapshots, None))
                arrival = asyncio.ensure_future(self._arrival.wait())
                either: set[asyncio.Future[Any]] = {following, arrival}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                arrival.cancel()
                if following.done():
                    snapshot, following = following.result(), None
        finally:
            if following is not None:
                following.cancel()
                await asyncio.wait({following})

    def _tell(self) -> None:
        """Wake all viewers, and again when there is nothing else to tell them for a while: one timer for all, since the
        timers of thousands would be most of what the event loop does.
        """
        self._news.set()
        self._news = asyncio.Event()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if self.over else asyncio.get_running_loop().call_later(PING_EVERY, self._ping)

    def _ping(self) -> None:
        self._pings += 1
        self._tell()


class SharedStreams:
    """The event streams of all open pages. `watchers` counts them."""

    def __init__(self, watchers: Gauge) -> None:
        self._watchers = watchers
        self._open: dict[Hashable, _Shared[Any]] = {}

    async def stream(
        self,
        key: Hashable,
        snapshots: Callable[[], AsyncGenerator[S]],
        renderer: Callable[[], Renderer[S]],
        window: float,
    ) -> AsyncGenerator[bytes]:
        """Yield the messages of one page. Pages of the same `key` share what renders them, with at least `window`
        seconds between two renderings; the last one to leave ends it. Raises what `snapshots` raises.
        """
        shared = self._open.get(key)
        if shared is None or shared.over:
            shared = self._open[key] = _Shared(snapshots(), renderer(), window)
        shared.viewers += 1
        try:
            with self._watchers.track_inprogress():
                async with aclosing(shared.messages()) as messages:
                    async for sent in messages:
                        yield sent
        finally:
            shared.viewers -= 1
            if not shared.viewers:
                if self._open.get(key) is shared:
                    del self._open[key]
                await shared.end()
