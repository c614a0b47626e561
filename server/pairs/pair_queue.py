"""The queue for pairs: users of the resident one, and those who wait for another, first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from server.errors import NotReady


class PairQueue:
    """`changed` is called when somebody leaves, or comes to wait."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.holders = 0
        """The number of users at work with the resident pair, to whom it was given in their turn."""
        self.callers = 0
        """The number of users for a single call."""
        self._waiting: dict[asyncio.Future[None], str] = {}
        self._changed = changed

    @property
    def idle(self) -> bool:
        """True if nobody uses the resident pair."""
        return self.holders == self.callers == 0

    def waited_for(self) -> Iterator[str]:
        """The pairs, in the order of asking."""
        return (name for turn, name in self._waiting.items() if not turn.done())

    async def wait(self, name: str) -> None:
        """Until it is this one's turn with the pair. Raises NotReady when that cannot come."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = name
        self._changed()
        try:
            await turn
        except asyncio.CancelledError:
            if self._waiting.pop(turn, None) is None and not turn.cancelled() and turn.exception() is None:
                self.holders -= 1  # its turn had come in the same moment
            self._changed()
            raise

    def leave(self) -> None:
        """One at work is done."""
        self.holders -= 1
        self._changed()

    def let_in(self, name: str) -> None:
        """All that wait for the pair by now go on together."""
        for turn in self._take(name):
            self.holders += 1
            turn.set_result(None)

    def turn_away(self, name: str, error: NotReady) -> None:
        """All that wait for the pair have to do without."""
        for turn in self._take(name):
            turn.set_exception(error)

    def _take(self, name: str) -> list[asyncio.Future[None]]:
        turns = [turn for turn, wanted in self._waiting.items() if wanted == name and not turn.done()]
        for turn in turns:
            del self._waiting[turn]
        return turns
