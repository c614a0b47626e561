"""Streams that open pages share: rendered once, complete for whoever comes later, and held up by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from frontend import shared_streams
from frontend.event_stream import DONE, PING
from frontend.sent_fragments import Sendable
from frontend.shared_streams import SharedStreams
from server.errors import NotFound
from server.metrics import Metrics

pytestmark = pytest.mark.anyio
END = 99


class Source:
    """Snapshots, which are numbers: as they are put, one renderer's log of them, and whether they are followed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[int | Exception | None] = asyncio.Queue()
        self.shown: list[tuple[int, bool]] = []
        self.followed = 0
        self._made: dict[int, str] = {}

    async def snapshots(self) -> AsyncGenerator[int]:
        self.followed += 1
        try:
            while (found := await self.queue.get()) is not None:
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            self.followed -= 1

    async def show(self, snapshot: int, afresh: bool) -> Sendable:
        """Two fragments: one for each ten, and the number itself."""
        self.shown.append((snapshot, afresh))
        version = len(self.shown)
        self._made = {v: html for v, html in self._made.items() if html.startswith("ten")}
        self._made[version] = f"{snapshot}"
        if snapshot % 10 == 0:
            self._made = {version: f"ten {snapshot}"}
        return Sendable(version, tuple(sorted(self._made.items())))

    def is_final(self, snapshot: int) -> bool:
        return snapshot == END


class Viewer:
    """An open page: what it was sent, one message after the other."""

    def __init__(self, shared: SharedStreams, source: Source, window: float = 0.0) -> None:
        self.stream = shared.stream("key", source.snapshots, lambda: source, window)

    async def next(self) -> str:
        sent = (await anext(self.stream)).decode()
        return sent.removeprefix("data: ").rstrip("\n")


async def test_what_changes_is_rendered_once_for_all(anyio_backend: str) -> None:
    shared, source = SharedStreams(Metrics().watchers), Source()
    viewers = [Viewer(shared, source) for _ in range(100)]
    asked = [asyncio.ensure_future(viewer.next()) for viewer in viewers]
    await source.queue.put(1)
    assert set(await asyncio.gather(*asked)) == {"1"}
    asked = [asyncio.ensure_future(viewer.next()) for viewer in viewers]
    await source.queue.put(2)
    assert set(await asyncio.gather(*asked)) == {"2"}
    assert (source.shown, source.followed) == ([(1, True), (2, False)], 1)
    for viewer in viewers:
        await viewer.stream.aclose()
    assert source.followed == 0


async def test_a_late_viewer_is_sent_all_there_is_rendered_afresh(anyio_backend: str) -> None:
    shared, source = SharedStreams(Metrics().watchers), Source()
    early, late = Viewer(shared, source), Viewer(shared, source)
    for number in (10, 11):
        await source.queue.put(number)
        await early.next()
    assert await late.next() == "ten 1011"
    assert source.shown == [(10, True), (11, False), (11, True)]
    assert await early.next() == "11"  # newer, if the same here
    await source.queue.put(12)
    assert [await early.next(), await late.next()] == ["12", "12"]
    for viewer in (early, late):
        await viewer.stream.aclose()


async def test_what_comes_while_a_late_viewer_is_served_is_not_lost(anyio_backend: str) -> None:
    shared, source = SharedStreams(Metrics().watchers), Source()
    early, late = Viewer(shared, source, window=0.02), Viewer(shared, source)
    await source.queue.put(1)
    await early.next()
    await late.next()  # rendered afresh just now; the next one comes within the window
    for found in (END, None):
        await source.queue.put(found)
    for viewer in (early, late):
        told = [sent async for sent in viewer.stream]
        assert f"data: {END}\n\n".encode() in told and told[-1] == DONE


async def test_a_slow_viewer_is_sent_the_newest_alone_and_holds_up_nobody(anyio_backend: str) -> None:
    shared, source = SharedStreams(Metrics().watchers), Source()
    slow, quick = Viewer(shared, source), Viewer(shared, source)
    await source.queue.put(1)
    await asyncio.gather(slow.next(), quick.next())
    for number in range(2, 30):
        await source.queue.put(number)
        await quick.next()
    assert await slow.next() == "ten 2029"
    for viewer in (slow, quick):
        await viewer.stream.aclose()


async def test_everybody_is_told_the_end(anyio_backend: str) -> None:
    shared, source = SharedStreams(Metrics().watchers), Source()
    viewers = [Viewer(shared, source) for _ in range(3)]
    for found in (1, END, None):
        await source.queue.put(found)

    async def told(viewer: Viewer) -> list[bytes]:
        return [sent async for sent in viewer.stream]

    assert [sent[-1] for sent in await asyncio.gather(*map(told, viewers))] == [DONE] * 3
    assert source.followed == 0


async def test_a_stream_that_ends_too_early_does_not_say_that_it_is_done(anyio_backend: str) -> None:
    shared, source = SharedStreams(Metrics().watchers), Source()
    for found in (1, None):
        await source.queue.put(found)
    assert DONE not in [sent async for sent in Viewer(shared, source).stream]


async def test_an_error_is_everybodys_and_the_next_viewer_begins_anew(anyio_backend: str) -> None:
    shared, source = SharedStreams(Metrics().watchers), Source()
    viewers = [Viewer(shared, source) for _ in range(3)]
    await source.queue.put(NotFound("gone"))
    for raised in await asyncio.gather(*(viewer.next() for viewer in viewers), return_exceptions=True):
        assert isinstance(raised, NotFound)
    again = Viewer(shared, source)
    await source.queue.put(5)
    assert await again.next() == "5"
    await again.stream.aclose()


async def test_a_viewer_who_hears_nothing_new_hears_that_the_server_is_there(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_streams, "PING_EVERY", 0.01)
    viewer = Viewer(SharedStreams(Metrics().watchers), Source())
    assert await anext(viewer.stream) == PING
    await viewer.stream.aclose()


async def test_it_is_followed_until_the_last_viewer_leaves(anyio_backend: str) -> None:
    shared, source = SharedStreams(Metrics().watchers), Source()
    first, second = Viewer(shared, source), Viewer(shared, source)
    await source.queue.put(1)
    await asyncio.gather(first.next(), second.next())
    await first.stream.aclose()
    await source.queue.put(2)
    assert await second.next() == "2"
    waiting = asyncio.ensure_future(second.next())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert source.followed == 0


async def test_what_is_rendered_slowly_is_not_shown_much_later(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_streams, "REST", 1e9)
    monkeypatch.setattr(shared_streams, "LONGEST_REST", 0.0)
    shared, source = SharedStreams(Metrics().watchers), Source()
    viewer = Viewer(shared, source)
    for number in (1, 2):
        await source.queue.put(number)
        assert await viewer.next() == str(number)
    await viewer.stream.aclose()
