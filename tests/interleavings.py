"""Every order in which three can enter a place, leave it and be cancelled, with and without a step of the
loop between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import permutations, product

Enter = Callable[[int], AbstractAsyncContextManager[object]]
"""How the n-th of them enters."""
ACTORS = 3
ENDS = ("leave", "cancel", "both")
Event = tuple[str, int]
Run = tuple[tuple[Event, ...], tuple[bool, ...]]
"""The events in their order, and whether the loop takes a step after each."""


def runs() -> Iterator[Run]:
    """All of them, equal ones once: who enters first is the first."""
    steps = list(product((False, True), repeat=2 * ACTORS - 1))
    for ends in product(ENDS, repeat=ACTORS):
        events = [("enter", n) for n in range(ACTORS)] + [(end, n) for n, end in enumerate(ends)]
        for order in permutations(range(2 * ACTORS)):
            at = {event: place for place, event in enumerate(order)}
            entered = [at[n] for n in range(ACTORS)]
            if entered == sorted(entered) and all(at[n] < at[n + ACTORS] for n in range(ACTORS)):
                yield from (((*(events[n] for n in order),), (*gaps, True)) for gaps in steps)


async def play(run: Run, enter: Enter) -> None:
    """Let it happen; at the end everybody has left, or never came in."""
    leave = [asyncio.Event() for _ in range(ACTORS)]
    tasks: dict[int, asyncio.Task[None]] = {}

    async def visit(n: int) -> None:
        async with enter(n):
            await leave[n].wait()

    for (what, n), step in zip(*run, strict=True):
        if what == "enter":
            tasks[n] = asyncio.create_task(visit(n))
        if what in {"leave", "both"}:
            leave[n].set()
        if what in {"cancel", "both"}:
            tasks[n].cancel()
        if step:
            await asyncio.sleep(0)
    for task in tasks.values():
        try:
            await task
        except asyncio.CancelledError:
            assert task.cancelled(), "the test itself was cancelled"
