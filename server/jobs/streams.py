"""Event streams: whoever watches a job follows it wherever it is worked on, from any event to its end."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from server.errors import NotFound, Unreadable
from server.jobs.event_log import Event, EventLog, Key

POLL = 1.0
"""Seconds between two looks at the store."""
BREATH = 1 / 15
"""Seconds between two messages of a stream that carries words."""
Batch = tuple[list[Event], Mapping[Key, str]]
"""Events, and the texts that are being written after them."""


@dataclass(frozen=True)
class RemoteState:
    """State of a job that another server works on, at the last look. `change_token` changes with whatever is kept of
    it.
    """

    progress: Any
    change_token: object


@dataclass(frozen=True)
class Found:
    """A job, here or as the store tells of it: `remote` says how it stands where it is worked on, if that is elsewhere.

    `id` is the one under which it really stands.
    """

    id: str
    log: EventLog
    remote: RemoteState | None = None


class Streams:
    """The streams of one kind of jobs.

    `look` finds a job (raises NotFound, and Unreadable where what is kept is damaged), `change_token` asks the store
    whether something has changed, `lost` makes the last event of a job that has been deleted, or is damaged (with the
    reason), from its id and the id of the event before.
    """

    def __init__(
        self,
        look: Callable[[str], Awaitable[Found]],
        change_token: Callable[[str], Awaitable[object]],
        lost: Callable[[str, int, str | None], Event],
    ) -> None:
        self._look = look
        self._change_token = change_token
        self._lost = lost
        self._watched: weakref.WeakSet[EventLog] = weakref.WeakSet()
        self._stopping = False

    def stop(self) -> None:
        """End every stream, so that the server can end; watchers come back with their last id."""
        self._stopping = True
        for log in list(self._watched):
            log.wake()

    async def batches(self, id: str, cursor: int) -> AsyncGenerator[Batch]:
        """Yield the events after `cursor` as they come, to the end. Raises NotFound at the first step."""
        try:
            found = await self._look(id)
        except Unreadable as error:
            yield [self._lost(id, cursor, error.detail)], {}
            return
        while True:
            log = found.log
            self._watched.add(log)
            news = log.news()
            batch = log.since(cursor)
            if batch:
                cursor = batch[-1].id
                yield batch, log.writing()
            if self._stopping:
                return
            if any(event.kind == "delta" for event in batch):
                await asyncio.sleep(BREATH)
            if batch:
                continue  # there may be more: the watcher may have taken its time
            if log.closed:
                return
            if found.remote is not None:
                yield [Event(cursor, "progress", found.remote.progress)], {}
                await self._news_of(found.id, found.remote, news)
            elif log.moved_to is None:
                await news.wait()
                continue
            before = found.id
            try:
                found = await self._look(log.moved_to or before)
            except NotFound:  # deleted elsewhere
                yield [self._lost(before, cursor, None)], {}
                return
            if found.id != before:
                cursor = 0

    async def _news_of(self, id: str, remote: RemoteState, stop: asyncio.Event) -> None:
        """Wait until something new is kept of a job that is worked on elsewhere, or for `stop`."""
        while not stop.is_set() and await self._change_token(id) == remote.change_token:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL)
