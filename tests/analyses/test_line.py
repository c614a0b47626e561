from __future__ import annotations

import asyncio

import pytest

from server.analyses.line import Line

pytestmark = pytest.mark.anyio


class Someone:
    """Holds a place until told to go; keeps what it was told while waiting."""

    def __init__(self, line: Line) -> None:
        self.told: list[int] = []
        self.inside = asyncio.Event()
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self.visit(line))

    async def visit(self, line: Line) -> None:
        async with line.place(self.told.append):
            self.inside.set()
            await self.go.wait()


async def test_first_come_first_served_and_told_how_many_are_before() -> None:
    line = Line(1)
    first, second, third = (Someone(line) for _ in range(3))
    await first.inside.wait()
    assert (first.told, second.told, third.told) == ([], [0], [1])
    first.go.set()
    await second.inside.wait()
    assert third.told == [1, 0]
    assert not third.inside.is_set()
    second.go.set()
    third.go.set()
    await asyncio.gather(first.task, second.task, third.task)
    assert line.length == 0


async def test_who_gives_up_lets_the_others_move_up() -> None:
    line = Line(1)
    first, second, third = (Someone(line) for _ in range(3))
    await first.inside.wait()
    second.task.cancel()
    await asyncio.gather(second.task, return_exceptions=True)
    assert third.told == [1, 0]
    first.go.set()
    await third.inside.wait()
    third.go.set()
    await third.task


async def test_a_place_given_to_somebody_who_has_just_left_is_not_lost() -> None:
    line = Line(1)
    first, second, third = (Someone(line) for _ in range(3))
    await first.inside.wait()
    first.go.set()
    await first.task  # second has been called, but has not yet run
    second.task.cancel()
    await asyncio.gather(second.task, return_exceptions=True)
    await third.inside.wait()
    third.go.set()
    await third.task
