"""Room at an AV: places in the order of asking."""

from __future__ import annotations

import asyncio

import pytest

from server.nla.verbalisers.capacity import Capacity
from tests.interleavings import play, runs

pytestmark = pytest.mark.anyio


class Visitor:
    """Takes places and leaves when told."""

    def __init__(self, capacity: Capacity, readings: int) -> None:
        self.inside, self.go = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._visit(capacity, readings))

    async def _visit(self, capacity: Capacity, readings: int) -> None:
        async with capacity.take(readings):
            self.inside.set()
            await self.go.wait()

    async def leave(self) -> None:
        self.go.set()
        await self.task


async def inside(*visitors: Visitor) -> list[bool]:
    """Who is in, once nothing moves any more."""
    for _ in range(20):
        await asyncio.sleep(0)
    return [visitor.inside.is_set() for visitor in visitors]


async def test_places_are_given_while_there_are_any(anyio_backend: str) -> None:
    capacity = Capacity(5)
    a, b, c = Visitor(capacity, 3), Visitor(capacity, 2), Visitor(capacity, 1)
    assert await inside(a, b, c) == [True, True, False]
    await b.leave()
    assert await inside(c) == [True]
    await asyncio.gather(a.leave(), c.leave())


async def test_who_wants_little_does_not_overtake_who_waits_for_much(anyio_backend: str) -> None:
    capacity = Capacity(4)
    a, much, little = Visitor(capacity, 3), Visitor(capacity, 4), Visitor(capacity, 1)
    assert await inside(a, much, little) == [True, False, False]
    await a.leave()
    assert await inside(much, little) == [True, False]
    await much.leave()
    assert await inside(little) == [True]
    await little.leave()


async def test_more_than_there_is_takes_all(anyio_backend: str) -> None:
    capacity = Capacity(2)
    all_of_it, other = Visitor(capacity, 9), Visitor(capacity, 1)
    assert await inside(all_of_it, other) == [True, False]
    await all_of_it.leave()
    assert await inside(other) == [True]
    await other.leave()


async def test_one_call_after_the_other_whatever_it_is_for(anyio_backend: str) -> None:
    capacity = Capacity(None)
    a, b = Visitor(capacity, 1), Visitor(capacity, 64)
    assert await inside(a, b) == [True, False]
    await a.leave()
    assert await inside(b) == [True]
    await b.leave()


async def test_as_many_calls_as_it_has_replicas(anyio_backend: str) -> None:
    capacity = Capacity(None, calls=2)
    a, b, c = Visitor(capacity, 64), Visitor(capacity, 64), Visitor(capacity, 1)
    assert await inside(a, b, c) == [True, True, False]
    await a.leave()
    assert await inside(c) == [True]
    await b.leave()
    await c.leave()


@pytest.mark.parametrize("waiting", [True, False])
async def test_who_is_cancelled_leaves_no_place_taken(anyio_backend: str, waiting: bool) -> None:
    capacity = Capacity(1)
    a, b = Visitor(capacity, 1), Visitor(capacity, 1)
    await inside(a, b)
    (b if waiting else a).task.cancel()
    await asyncio.gather((b if waiting else a).task, return_exceptions=True)
    if waiting:
        await a.leave()
    c = Visitor(capacity, 1)
    if not waiting:
        await b.leave()
    assert await inside(c) == [True]
    await c.leave()


@pytest.mark.parametrize("places", [None, 3])
async def test_no_order_of_entering_leaving_and_cancelling_loses_a_place(
    anyio_backend: str, places: int | None
) -> None:
    for run in runs():
        capacity = Capacity(places)
        await play(run, lambda n, capacity=capacity: capacity.take(n + 1))
        async with asyncio.timeout(10), capacity.take(99):
            assert capacity._free == 0, run
        assert capacity._free == (places or 1), run


@pytest.mark.parametrize(
    ("capacity", "wanted", "readings"),
    [
        (Capacity(100), 50, 3),  # the samples of a position: readings come and go one by one
        (Capacity(None), 50, 50),
        (Capacity(None), 500, 64),  # a window
        (Capacity(None, calls=4, replicas=4), 128, 32),  # a share for each replica
        (Capacity(None, calls=4, replicas=4), 130, 33),
        (Capacity(None, calls=4, replicas=4), 2000, 64),
        (Capacity(None, calls=40, replicas=40), 100, 8),  # no less
    ],
)
def test_a_call_is_for_as_many_readings_as_suits_what_takes_it(
    capacity: Capacity, wanted: int, readings: int
) -> None:
    assert capacity.readings(wanted, window=64, samples=3) == readings
