from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from server.jobs.job_queue import JobQueue
from tests.interleavings import play, runs

pytestmark = pytest.mark.anyio


class Someone:
    """Holds a place until told to go; keeps what it was told while waiting."""

    def __init__(self, line: JobQueue, client: str = "") -> None:
        self.client = client
        self.told: list[int] = []
        self.news = asyncio.Event()
        self.inside = asyncio.Event()
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self.visit(line))

    async def visit(self, line: JobQueue) -> None:
        async with line.slot(self.hear, self.client):
            self.inside.set()
            await self.go.wait()

    def hear(self, ahead: int, seconds: float | None) -> None:
        self.told.append(ahead)
        self.news.set()

    async def hears(self, ahead: int) -> None:
        while self.told[-1:] != [ahead]:
            self.news.clear()
            await self.news.wait()


async def test_first_come_first_served_and_told_how_many_are_before() -> None:
    line = JobQueue(1, interval=0)
    first, second, third = (Someone(line) for _ in range(3))
    await first.inside.wait()
    assert (first.told, second.told, third.told) == ([], [0], [1])
    first.go.set()
    await second.inside.wait()
    await third.hears(0)
    assert not third.inside.is_set()
    second.go.set()
    third.go.set()
    await asyncio.gather(first.task, second.task, third.task)
    assert line.length == 0


async def test_who_gives_up_lets_the_others_move_up() -> None:
    line = JobQueue(1, interval=0)
    first, second, third = (Someone(line) for _ in range(3))
    await first.inside.wait()
    second.task.cancel()
    await third.hears(0)
    first.go.set()
    await third.inside.wait()
    third.go.set()
    await third.task


async def test_many_changes_are_told_in_one_round() -> None:
    line = JobQueue(1, interval=0)
    crowd = [Someone(line) for _ in range(100)]
    await crowd[0].inside.wait()
    for someone in crowd[1:99]:
        someone.task.cancel()
    await crowd[99].hears(0)
    assert crowd[99].told == [98, 0]
    for someone in (crowd[0], crowd[99]):
        someone.go.set()
        await someone.task


@pytest.mark.parametrize("clients", ["", "ab"])
@pytest.mark.parametrize("places", [1, 2])
async def test_no_order_of_entering_leaving_and_cancelling_loses_a_place(places: int, clients: str) -> None:
    for run in runs():
        line = JobQueue(places, interval=60)
        await play(run, lambda n, line=line: line.slot(lambda *_: None, clients[n % 2 : n % 2 + 1]))
        line.close()
        async with asyncio.timeout(10), AsyncExitStack() as stack:
            for _ in range(places):
                await stack.enter_async_context(line.slot(lambda *_: None))
            more = asyncio.create_task(line.slot(lambda *_: None).__aenter__())
            await asyncio.sleep(0)
            assert line.length == 1, run
            more.cancel()
            await asyncio.wait([more])
        assert line.length == 0, run


async def test_clients_take_turns() -> None:
    line = JobQueue(1, interval=0)
    began: list[str] = []

    async def visit(name: str) -> None:
        async with line.slot(lambda *_: None, client=name[0]):
            began.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*(visit(name) for name in ("a1", "a2", "a3", "a4", "b1", "b2", "c1")))
    assert began == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_who_is_put_back_by_a_client_that_comes_later_is_told() -> None:
    line = JobQueue(1, interval=0)
    first, second, third = (Someone(line, "a") for _ in range(3))
    await first.inside.wait()
    assert (second.told, third.told) == ([0], [1])
    other = Someone(line, "b")
    await third.hears(2)
    assert (second.told, other.told) == ([0], [1])
    for someone in (first, second, other, third):
        someone.go.set()
        await someone.task


async def test_a_wait_is_estimated_by_the_last_ones() -> None:
    now, told = 0.0, []
    line = JobQueue(2, clock=lambda: now)

    def hear(ahead: int, seconds: float | None) -> None:
        told.append((ahead, seconds))

    async with line.slot(hear), AsyncExitStack() as stack:
        for seconds in (10, 30):
            async with line.slot(hear):
                now += seconds
        await stack.enter_async_context(line.slot(hear))
        waiting = [asyncio.create_task(line.slot(hear).__aenter__()) for _ in range(2)]
        await asyncio.sleep(0)
        assert told == [(0, 10.0), (1, 20.0)]
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    line.close()
