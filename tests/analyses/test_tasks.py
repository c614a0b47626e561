from __future__ import annotations

import asyncio

import pytest

from server.jobs.tasks import end_all

pytestmark = pytest.mark.anyio


async def test_a_second_cancel_does_not_break_off_what_is_done_about_the_first() -> None:
    finish, about, told = asyncio.Event(), asyncio.Event(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            about.set()
            await finish.wait()
            told.append("finished")

    tasks = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(0)  # they have begun
    tasks[0].cancel()
    ending = asyncio.create_task(end_all(tasks))
    await about.wait()
    ending.cancel()
    await asyncio.wait([ending], timeout=0)
    assert not ending.done()
    finish.set()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert told == ["finished"] * 3
