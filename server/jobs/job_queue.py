"""A queue with a number of slots: so many jobs run at a time, the others wait in the order of coming."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

INTERVAL = 1.0
"""Seconds between two rounds in which all that wait are told their positions."""


class JobQueue:
    """First come, first served. Positions are told in rounds: one for each change would cost the square of
    the length.
    """

    def __init__(self, slots: int, interval: float = INTERVAL) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._interval = interval
        self._waiting: dict[object, Callable[[int], None]] = {}
        self._round: asyncio.TimerHandle | None = None

    @property
    def length(self) -> int:
        """The number of jobs that wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def slot(self, on_position: Callable[[int], None]) -> AsyncIterator[None]:
        """Hold a slot. `on_position` is called with how many wait before this one: at once, and after a
        change of that with the next round.
        """
        if self._slots.locked():
            await self._wait(on_position)
        else:
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()

    async def _wait(self, on_position: Callable[[int], None]) -> None:
        key = object()
        self._waiting[key] = on_position
        on_position(len(self._waiting) - 1)
        try:
            await self._slots.acquire()
        finally:
            del self._waiting[key]
            if self._round is None and self._waiting:
                self._round = asyncio.get_running_loop().call_later(self._interval, self._tell)

    def _tell(self) -> None:
        self._round = None
        for ahead, on_position in enumerate(self._waiting.values()):
            on_position(ahead)

    def close(self) -> None:
        """Tell nobody any more."""
        if self._round is not None:
            self._round.cancel()
