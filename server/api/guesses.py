"""Wrong tokens: answered slowly, so that nobody finds the right one by trying."""

from __future__ import annotations

import asyncio

from server.errors import Busy

PAUSE = 0.2
"""Seconds that a wrong token is waited for, one after the other, whoever sends them."""
WAITING = 32
"""Wrong tokens that may wait at a time: more are refused at once, and told nothing."""


class Guesses:
    """The wrong tokens of a server. A right one never waits."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def wrong(self) -> None:
        """Wait before a wrong token is refused. Raises Busy when too many wait already."""
        if self._waiting >= WAITING:
            raise Busy("Too many wrong tokens are being sent. Try again in a while.")
        self._waiting += 1
        try:
            async with self._turn:
                await asyncio.sleep(PAUSE)
        finally:
            self._waiting -= 1
