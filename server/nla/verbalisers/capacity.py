"""Room at an AV: who may ask it for how many readings at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """Places for readings, given out in the order of asking. With `places` None the engine takes one call after the other,
    however many readings each is for.
    """

    def __init__(self, places: int | None) -> None:
        self.places = places
        self._free = places or 1
        self._door = asyncio.Lock()
        """Who has asked first stands in it and waits for his places; the others wait behind him."""
        self._left = asyncio.Event()

    @asynccontextmanager
    async def take(self, readings: int) -> AsyncIterator[None]:
        """Hold the places of that many readings, or all of them if there are fewer."""
        taken = 1 if self.places is None else min(readings, self.places)
        async with self._door:
            while self._free < taken:
                self._left.clear()
                await self._left.wait()
            self._free -= taken
        try:
            yield
        finally:
            self._free += taken
            self._left.set()
