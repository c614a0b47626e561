"""Jobs that may be made before the page is answered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, TypeVar

from server.jobs.attached import AttachedJobs
from server.schema import ResponseModel

SOON = 2.0
"""Seconds that an answer to the page waits for a job: what takes longer is shown with its progress."""
Made = TypeVar("Made", bound=ResponseModel)
Pending = TypeVar("Pending", bound=ResponseModel)


async def made_soon(jobs: AttachedJobs[Any, Made, Pending], parent_id: str, id: str) -> Made | Pending:
    """Return a document once it is made, or how far it is after SOON. Raises what it failed of, and NotFound."""
    with suppress(TimeoutError):
        return await asyncio.wait_for(jobs.wait(id), SOON)
    return await jobs.get(parent_id, id)
