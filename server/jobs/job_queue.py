"""A queue with a number of slots: so many jobs run at a time, the others wait, and clients take turns.

How many may wait is `max_queue` in server/settings.py, which server/jobs/scheduler.py holds them to.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import fmean

Telling = Callable[[int, float | None], None]
"""What is told to one that waits: how many begin before it, and in about how many seconds it begins itself, as long as
the last ones took; None before there were any.
"""
REMEMBERED = 20
"""Jobs by whose times a wait is estimated."""
INTERVAL = 1.0
"""Seconds between two rounds in which all that wait are told their positions."""


@dataclass(eq=False)
class _Waiter:
    on_position: Telling
    granted: asyncio.Future[None]
    ahead: int = -1

    def tell(self, ahead: int, seconds: float | None) -> None:
        if ahead != self.ahead:
            self.ahead = ahead
            self.on_position(ahead, seconds)


class JobQueue:
    """Clients take turns, each with its first come: before a job that is its client's only one, at most one of each
    other client begins. Positions are told in rounds: one for each change would cost the square of the length.
    """

    def __init__(
        self, slots: int, interval: float = INTERVAL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._slots = self.free = slots
        """`free` are the slots that nobody holds."""
        self._clock = clock
        self._took: deque[float] = deque(maxlen=REMEMBERED)
        self._interval = interval
        self._waiting: dict[str, deque[_Waiter]] = {}
        """By client, in the order of their turns; a client that has had one is put at the end."""
        self._round: asyncio.TimerHandle | None = None

    @property
    def length(self) -> int:
        """The number of jobs that wait."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def slot(self, on_position: Telling, client: str = "") -> AsyncIterator[None]:
        """Hold a slot. `on_position` is called at once where there is none, and after a change with the next round."""
        if self.free:
            self.free -= 1
        else:
            await self._wait(on_position, client)
        began = self._clock()
        try:
            yield
        finally:
            self._took.append(self._clock() - began)
            self._release()

    async def _wait(self, on_position: Telling, client: str) -> None:
        waiter = _Waiter(on_position, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(client, deque()).append(waiter)
        ahead = next(n for n, other in enumerate(self._in_turn()) if other is waiter)
        waiter.tell(ahead, self._seconds(ahead))
        self._tell_soon()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.cancelled():
                self._leave(waiter, client)
            else:  # it had just been given a slot
                self._release()
            raise
        finally:
            self._tell_soon()

    def _release(self) -> None:
        """Give a slot to whoever is next."""
        while self._waiting:
            client = next(iter(self._waiting))
            line = self._waiting.pop(client)
            while line and line[0].granted.done():  # it was cancelled, and has not left yet
                line.popleft()
            if line:
                line.popleft().granted.set_result(None)
                if line:
                    self._waiting[client] = line
                return
        self.free += 1

    def _leave(self, waiter: _Waiter, client: str) -> None:
        line = self._waiting.get(client, deque())
        if waiter in line:
            line.remove(waiter)
            if not line:
                del self._waiting[client]

    def _in_turn(self) -> Iterator[_Waiter]:
        """Yield all that wait, in the order in which they would begin if nobody came or left."""
        lines = [iter(line) for line in self._waiting.values()]
        while lines:
            still = []
            for line in lines:
                if (waiter := next(line, None)) is not None:
                    yield waiter
                    still.append(line)
            lines = still

    def _tell_soon(self) -> None:
        if self._round is None and self._waiting:
            self._round = asyncio.get_running_loop().call_later(self._interval, self._tell)

    def _tell(self) -> None:
        self._round = None
        for ahead, waiter in enumerate(list(self._in_turn())):
            waiter.tell(ahead, self._seconds(ahead))

    def _seconds(self, ahead: int) -> float | None:
        """Slots come free at a rate of slots over the mean time that one is held."""
        return (ahead + 1) * fmean(self._took) / self._slots if self._took else None

    def close(self) -> None:
        """Tell nobody any more."""
        if self._round is not None:
            self._round.cancel()
