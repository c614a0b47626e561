"""/api/analyses: ask, look, watch, cancel, delete, restore."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, BeforeValidator
from starlette.requests import Request
from starlette.responses import Response

from server.analyses.json_stream import analysis_json, data_json
from server.analyses.schema import Analysis, AnalysisRequest, AnalysisSummary, ListedStatus, Status
from server.analyses.service import Analyses
from server.analyses.word_curves import WhichLens, WhichVariant, WordCurves

router = APIRouter(prefix="/api/analyses", tags=["analyses"])


def service(request: Request) -> Analyses:
    """The app's analyses."""
    analyses: Analyses = request.app.state.analyses
    return analyses


Service = Annotated[Analyses, Depends(service)]
Unset = BeforeValidator(lambda value: value or None)
"""In an address, `pair=` is the same as no pair."""


class Accepted(BaseModel):
    """Where the analysis stands."""

    id: str
    url: str
    status: Status


async def known(analysis_id: str, analyses: Service) -> str:
    """The id, once it is known to exist: a stream that has begun can no longer answer 404."""
    return await analyses.check(analysis_id)


@router.post("", status_code=202, responses={200: {"model": Accepted, "description": "It existed."}})
async def create(request: AnalysisRequest, analyses: Service, response: Response) -> Accepted:
    """Start an analysis, or find the one of the same pair, prompt and settings."""
    analysis, existed = await analyses.create(request)
    response.status_code = 200 if existed else 202
    response.headers["Location"] = f"/api/analyses/{analysis.id}"
    return Accepted(id=analysis.id, url=analysis.url, status=analysis.status)


@router.get("")
async def recent(
    analyses: Service,
    q: Annotated[str | None, Query(max_length=500)] = None,
    pair: Annotated[str | None, Unset] = None,
    status: Annotated[ListedStatus | None, Unset] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[str | None, Unset] = None,
) -> list[AnalysisSummary]:
    """The newest analyses; with `q`, those that hold all its words in prompt, reply, readings or edits.

    What an edit holds are its words and those it watches; `edits` names up to 5 in which the query is found.
    `pair` and `status` narrow the list; the status `deleted` shows what can still be restored. For the next
    page, give the last id of this one as `before`.
    """
    return await analyses.recent(limit, q, pair, status, before)


@router.get("/{analysis_id}", response_model=Analysis)
async def get(analysis_id: str, analyses: Service) -> Response:
    """The analysis at any stage."""
    body = await analysis_json(await analyses.get(analysis_id))
    return Response(body, media_type="application/json")


@router.get("/{analysis_id}/events", response_class=EventSourceResponse)
async def events(
    analysis_id: Annotated[str, Depends(known)],
    analyses: Service,
    last_event_id: Annotated[str | None, Header()] = None,
    pin: Annotated[int | None, Query(ge=0)] = None,
) -> AsyncGenerator[ServerSentEvent]:
    """The analysis as it comes: tokens, lens, tuned_lens, delta, reading, progress, then done or failed.

    `pin` names a position whose words are to be told as they are written.
    """
    if pin is not None:
        analyses.pin(analysis_id, pin)
    async with aclosing(analyses.events(analysis_id, _cursor(last_event_id))) as stream:
        async for event in stream:
            yield ServerSentEvent(raw_data=await data_json(event.data), event=event.kind, id=str(event.id))


@router.get("/{analysis_id}/lens")
async def lens_of_words(
    analysis_id: str,
    analyses: Service,
    position: Annotated[int, Query(ge=0)],
    word: Annotated[list[str], Query()],
    lens: WhichLens = "plain",
    variant: WhichVariant = "exact",
) -> WordCurves:
    """How likely every layer finds each `word` (given once or several times) as the one after `position`.

    A word is taken exactly as it is given, a leading space included. With `variant=likelier`, one without that space is
    measured with it where the model's output finds that likelier: `word` is what was measured, `typed` what was given,
    `other` the variant that was not taken. Of a word of several tokens (`count`) the first is measured.
    """
    return await analyses.words(analysis_id, position, word, lens, variant)


@router.post("/{analysis_id}/cancel")
async def cancel(analysis_id: str, analyses: Service) -> Accepted:
    """Stop it; what is finished stays, and asking for it again goes on from there."""
    analysis = await analyses.cancel(analysis_id)
    return Accepted(id=analysis.id, url=analysis.url, status=analysis.status)


@router.delete("/{analysis_id}", status_code=204)
async def delete(analysis_id: str, analyses: Service) -> Response:
    """Remove it. For a day it can be restored; then it is gone for good."""
    await analyses.delete(analysis_id)
    return Response(status_code=204)


@router.post("/{analysis_id}/restore")
async def restore(analysis_id: str, analyses: Service) -> Accepted:
    """Undo a deletion."""
    analysis = await analyses.get(await analyses.restore(analysis_id))
    return Accepted(id=analysis.id, url=analysis.url, status=analysis.status)


def _cursor(last_event_id: str | None) -> int | None:
    """The number in a Last-Event-ID header; whatever else stands there is none of ours, and means the
    beginning.
    """
    text = last_event_id or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None
