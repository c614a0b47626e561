"""Tasks of a job that end together."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any


async def end_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel the tasks that nobody has cancelled yet, and wait until all have ended. Whoever is cancelled while waiting
    here waits on, and raises CancelledError then: a second cancel would break off what a task does about the first.
    """
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while left := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
