"""The waiting line: so many analyses at work, the others in the order they came, each told how many stand
before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

INTERVAL = 1.0
"""Seconds between two rounds in which all that wait are told their positions."""


class Line:
    """First come, first served. Positions are told in rounds: one for each change would cost the square of the length."""

    def __init__(self, places: int, interval: float = INTERVAL) -> None:
        self._places = asyncio.Semaphore(places)
        self._interval = interval
        self._waiting: dict[object, Callable[[int], None]] = {}
        self._round: asyncio.TimerHandle | None = None

    @property
    def length(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def place(self, told: Callable[[int], None]) -> AsyncIterator[None]:
        """Hold a place at work. `told` hears how many wait before this one: at once, and after a change of that with the
        next round.
        """
        if self._places.locked():
            await self._wait(told)
        else:
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    async def _wait(self, told: Callable[[int], None]) -> None:
        key = object()
        self._waiting[key] = told
        told(len(self._waiting) - 1)
        try:
            await self._places.acquire()
        finally:
            del self._waiting[key]
            if self._round is None and self._waiting:
                self._round = asyncio.get_running_loop().call_later(self._interval, self._tell)

    def _tell(self) -> None:
        self._round = None
        for ahead, told in enumerate(self._waiting.values()):
            told(ahead)

    def close(self) -> None:
        """Tell nobody any more."""
        if self._round is not None:
            self._round.cancel()
