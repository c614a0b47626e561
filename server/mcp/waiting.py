"""Waiting for jobs, with progress notifications."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, Any, TypeVar

from pydantic import Field

from server.errors import BadInput, Conflict, ModelError
from server.jobs.attached import AttachedJobs
from server.jobs.attached_job import NotMade
from server.jobs.event_log import Event
from server.jobs.progress import Progress
from server.mcp.links import AnyContext
from server.pairs.model_pool import ModelPool
from server.schema import ResponseModel

STEP = 1e-6
"""A notification's progress has to be more than the one before; this much is added where nothing else has changed."""
Made = TypeVar("Made", bound=ResponseModel)
Pending = TypeVar("Pending", bound=ResponseModel)
Seconds = Annotated[
    int,
    Field(
        ge=0,
        le=3600,
        description="How long to wait for the end. The work goes on without you: ask the same again to go on waiting.",
    ),
]
PATIENCE = 300


async def wait(events: AsyncGenerator[Event], context: AnyContext, seconds: float) -> Event | None:
    """Report progress until the last event, and return it; None if that has not come after so many seconds."""
    reported, words = 0.0, ""
    last: Event | None = None
    try:
        async with asyncio.timeout(seconds), aclosing(events) as stream:
            async for event in stream:
                last = event
                if isinstance(event.data, Progress) and (said := _said(event.data)) != words:
                    reported, words = max(event.data.fraction or _share(event.data), reported + STEP), said
                    await context.report_progress(reported, 1.0, words)
    except TimeoutError:
        return None
    return last


async def wait_for_made(
    jobs: AttachedJobs[Any, Made, Pending], analysis_id: str, id: str, context: AnyContext, seconds: float
) -> Made | Pending:
    """Wait for a job, made, or, after so many seconds, as it stands. Raises what it failed of."""
    last = await wait(jobs.follow(id), context, seconds)
    if last is not None and isinstance(last.data, NotMade):
        reason = last.data.error or f"This {jobs.noun} was not made."
        if last.data.status == "cancelled":
            raise Conflict(f"This {jobs.noun} was cancelled before it was made: ask for it again.")
        raise BadInput(last.data.field, reason) if last.data.field else ModelError(reason)
    return await jobs.get(analysis_id, id)


async def settled(models: ModelPool, context: AnyContext) -> None:
    """Wait for the models to be loaded, for as long as PATIENCE, where a call needs them at once."""
    if models.state == "loading":
        await context.report_progress(0, None, f"loading. {models.message}")
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await models.settled()


def _share(progress: Progress) -> float:
    return progress.done / progress.total if progress.total else 0.0


def _said(progress: Progress) -> str:
    counted = f"{progress.stage}: {progress.done} of {progress.total}" if progress.total else progress.stage
    return f"{counted}. {progress.message}" if progress.message else counted
