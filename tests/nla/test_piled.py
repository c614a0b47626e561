"""Messages of a replica's answer: what is written piles up in pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from server.nla.cluster.replicas import piled

pytestmark = pytest.mark.anyio


async def test_the_first_comes_at_once_and_the_rest_with_the_end() -> None:
    told = asyncio.Event()

    async def write(put: Callable[[int], None]) -> None:
        put(1)
        await told.wait()
        for number in (2, 3, 4):
            put(number)
            await asyncio.sleep(0)

    found = []
    async for message in piled(write, pause=1e9):
        found.append(message)
        told.set()
    assert found == [[1], [2, 3, 4]]


async def test_what_is_written_in_a_pause_comes_together() -> None:
    async def write(put: Callable[[int], None]) -> None:
        for number in range(3):
            put(number)
        await asyncio.Event().wait()

    messages = piled(write, pause=0.0)
    assert await anext(messages) == [0, 1, 2]
    await messages.aclose()  # type: ignore[attr-defined]


async def test_what_it_raises_is_raised_after_what_was_written() -> None:
    async def write(put: Callable[[int], None]) -> None:
        put(1)
        raise ValueError("no more")

    found = []
    with pytest.raises(ValueError, match="no more"):
        async for message in piled(write, pause=1e9):
            found.extend(message)
    assert found == [1]
