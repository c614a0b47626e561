"""The waiting line: so many analyses at work, the others in the order they came, each told how many stand
before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Line:
    """First come, first served."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: dict[asyncio.Future[None], Callable[[int], None]] = {}

    @property
    def length(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def place(self, told: Callable[[int], None]) -> AsyncIterator[None]:
        """Hold a place at work; `told` hears how many wait before this one, whenever that changes."""
        await self._enter(told)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, told: Callable[[int], None]) -> None:
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = told
        told(len(self._waiting) - 1)
        try:
            await turn
        except asyncio.CancelledError:
            if (
                turn.done() and not turn.cancelled()
            ):  # called in the same moment as cancelled: let the next one go
                self._leave()
            else:
                self._waiting.pop(turn, None)
                self._tell()
            raise

    def _leave(self) -> None:
        self._free += 1
        if self._waiting:
            self._free -= 1
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            turn.set_result(None)
            self._tell()

    def _tell(self) -> None:
        for ahead, told in enumerate(self._waiting.values()):
            told(ahead)
