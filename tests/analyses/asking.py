"""Requests, and waiting for what an analysis tells."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from server.analyses.schema import Analysis, AnalysisRequest
from server.analyses.service import Analyses
from server.jobs.event_log import Event


def chat(text: str = "cats purr", **more: Any) -> AnalysisRequest:
    """A request with one user message."""
    return AnalysisRequest.model_validate({"messages": [{"role": "user", "content": text}], **more})


def analyses_of(app: FastAPI) -> Analyses:
    """The app's service."""
    service: Analyses = app.state.analyses
    return service


async def finish(analyses: Analyses, request: AnalysisRequest) -> Analysis:
    """Ask and wait for the end."""
    analysis, _ = await analyses.create(request)
    await watch(analyses, analysis.id)
    return await analyses.get(analysis.id)


async def watch(analyses: Analyses, id: str, last: int | None = None) -> list[Event]:
    """Every event to the end."""
    return [event async for event in analyses.events(id, last)]


async def until(analyses: Analyses, id: str, kind: str, count: int = 1, **wanted: Any) -> Event:
    """The first (or the count-th) event of a kind whose data has these values."""
    stream = analyses.events(id)
    async for event in stream:
        if event.kind == kind and all(getattr(event.data, k) == v for k, v in wanted.items()):
            count -= 1
            if count == 0:
                await stream.aclose()
                return event
    raise AssertionError(f"the analysis ended without a {kind} {wanted}")
