"""Admission to an AV: who may ask it for how many readings at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Capacity:
    """A first-come-first-served semaphore over the readings that an engine writes at a time.

    With `limit` None the engine takes `calls` calls at a time, however many readings each is for.
    """

    def __init__(self, limit: int | None, calls: int = 1) -> None:
        self.limit = limit
        self.several = limit is not None or calls > 1
        """Whether one job may have more than one call at a time."""
        self._free = limit or calls
        self._first = asyncio.Lock()
        """Held by the first who waits; the others wait behind it, so that a large request is not overtaken for ever."""
        self._left = asyncio.Event()

    @asynccontextmanager
    async def take(self, readings: int) -> AsyncIterator[None]:
        """Hold the capacity of that many readings, or all of it where it is less."""
        taken = 1 if self.limit is None else min(readings, self.limit)
        async with self._first:
            while self._free < taken:
                self._left.clear()
                await self._left.wait()
            self._free -= taken
        try:
            yield
        finally:
            self._free += taken
            self._left.set()
