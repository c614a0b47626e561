"""Admission to an AV: who may ask it for how many readings at a time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LEAST = 8
"""Readings of a call that is one replica's share of a job: a call of fewer would cost more than it gains."""


class Capacity:
    """A first-come-first-served semaphore over the readings that an engine writes at a time.

    With `limit` None the engine takes `calls` calls at a time, however many readings each is for, and has so many
    `replicas` that take them.
    """

    def __init__(self, limit: int | None, calls: int = 1, replicas: int = 1) -> None:
        self.limit = limit
        self.replicas = replicas
        self.several = limit is not None or calls > 1
        """Whether one job may have more than one call at a time."""
        self._free = limit or calls
        self._first = asyncio.Lock()
        """Held by the first who waits; the others wait behind it, so that a large request is not overtaken for ever."""
        self._left = asyncio.Event()

    def readings(self, wanted: int, window: int, samples: int) -> int:
        """Return how many readings a call of a job is for that wants so many in all: those of one position where
        readings come and go one by one, else a window of them, or a replica's share of all where that is less.
        """
        if self.limit is not None:
            return samples
        return min(window, max(LEAST, math.ceil(wanted / self.replicas)))

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
