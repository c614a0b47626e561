"""/api/analyses: ask, look, watch, cancel, delete, restore."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext, suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, BeforeValidator
from starlette.requests import Request
from starlette.responses import Response

from server.analyses.forecast import Forecast
from server.analyses.json_stream import analysis_json, data_json
from server.analyses.ribbon import ribbon
from server.analyses.ribbon_schema import Ribbon
from server.analyses.schema import Analysis, AnalysisRequest, AnalysisSummary, ListedStatus
from server.analyses.service import Analyses
from server.analyses.word_curves import WhichLens, WhichVariant, WordCurves
from server.api.cursor import cursor
from server.api.measurements import Service as Measurements
from server.errors import Busy, NotFound
from server.jobs.progress import Status
from server.measurements.schema import MeasurementRequest, PendingMeasurement

router = APIRouter(prefix="/api/analyses", tags=["analyses"])


async def service(request: Request) -> Analyses:
    """The app's analyses."""
    analyses: Analyses = request.app.state.analyses
    return analyses


Service = Annotated[Analyses, Depends(service)]
Unset = BeforeValidator(lambda value: value or None)
"""In an address, `pair=` is the same as no pair."""


class Accepted(BaseModel):
    """The address and the status of an analysis."""

    id: str
    url: str
    status: Status


async def known(analysis_id: str, analyses: Service) -> str:
    """The id, once it is known to exist: a stream that has begun can no longer answer 404."""
    return await analyses.check(analysis_id)


@router.post("", status_code=202, responses={200: {"model": Accepted, "description": "It existed."}})
async def create(
    request: AnalysisRequest, analyses: Service, measurements: Measurements, response: Response
) -> Accepted:
    """Start an analysis, or find the one of the same pair, prompt and settings; with `causal`, have its causal scores
    measured as soon as its readings are there.
    """
    analysis, existed = await analyses.create(request)
    if measurements.is_wanted(request.pair, request.causal):
        with (
            nullcontext() if request.causal else suppress(Busy)
        ):  # they are the server's wish, not the asker's
            await measurements.submit(analysis.id, MeasurementRequest())
    response.status_code = 200 if existed else 202
    response.headers["Location"] = f"/api/analyses/{analysis.id}"
    return Accepted(id=analysis.id, url=analysis.url, status=analysis.status)


@router.post("/forecast")
async def forecast(request: AnalysisRequest, analyses: Service) -> Forecast:
    """Count the tokens and the readings of a request, and the time they would take here, before asking for it. Nothing
    is begun.
    """
    return await analyses.forecast(request)


@router.get("")
async def recent(
    analyses: Service,
    q: Annotated[str | None, Query(max_length=500)] = None,
    pair: Annotated[str | None, Unset] = None,
    status: Annotated[ListedStatus | None, Unset] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[str | None, Unset] = None,
    studies: bool = True,
) -> list[AnalysisSummary]:
    """The newest analyses; with `q`, those that hold all its words in prompt, reply, readings or edits.

    What an edit holds are its words and those it watches; `edits` names up to 5 in which the query is found.
    `pair` and `status` narrow the list; the status `deleted` shows what can still be restored. `studies=false`
    leaves out those that a study began. For the next page, give the last id of this one as `before`.
    """
    return await analyses.recent(limit, q, pair, status, before, studies=studies)


@router.get("/{analysis_id}", response_model=Analysis)
async def get(analysis_id: str, analyses: Service, measurements: Measurements) -> Response:
    """The analysis at any stage, with the causal scores of its readings where they have been measured."""
    body = await analysis_json(await measurements.with_causal(await analyses.get(analysis_id)))
    return Response(body, media_type="application/json")


@router.get("/{analysis_id}/events", response_class=EventSourceResponse)
async def events(
    analysis_id: Annotated[str, Depends(known)],
    analyses: Service,
    measurements: Measurements,
    last_event_id: Annotated[str | None, Header()] = None,
    pin: Annotated[int | None, Query(ge=0)] = None,
) -> AsyncGenerator[ServerSentEvent]:
    """The analysis as it comes: tokens, lens, tuned_lens, delta, reading, progress, then done or failed. Where causal
    scores are measured, each reading comes again with its own, before done.

    `pin` names a position whose words are to be told as they are written.
    """
    if pin is not None:
        analyses.pin(analysis_id, pin)
    last = cursor(last_event_id) or 0
    async with aclosing(analyses.events(analysis_id, last)) as stream:
        async for event in stream:
            if event.kind == "done":
                with suppress(NotFound):  # it has just been deleted
                    async with aclosing(measurements.causal_readings(analysis_id)) as readings:
                        async for reading in readings:
                            # Under the id before: whoever comes back with it is told all that is known by then.
                            yield await _sent("reading", reading, last)
                    if isinstance(await measurements.causal(analysis_id), PendingMeasurement):
                        return  # this server ends
            yield await _sent(event.kind, event.data, event.id)
            last = event.id


async def _sent(kind: str, data: object, id: int) -> ServerSentEvent:
    return ServerSentEvent(raw_data=await data_json(data), event=kind, id=str(id))


@router.get("/{analysis_id}/lens")
async def lens_of_words(
    analysis_id: str,
    analyses: Service,
    position: Annotated[int, Query(ge=0)],
    word: Annotated[list[str], Query()],
    lens: WhichLens = "plain",
    variant: WhichVariant = "exact",
) -> WordCurves:
    """Measure how likely every layer finds each `word` (given once or several times) as the one after `position`.

    A word is taken exactly as it is given, a leading space included. With `variant=likelier`, one without that space is
    measured with it where the model's output finds that likelier: `word` is what was measured, `typed` what was given,
    `other` the variant that was not taken. Of a word of several tokens (`count`) the first is measured.
    """
    return await analyses.words(analysis_id, position, word, lens, variant)


@router.get("/{analysis_id}/ribbon")
async def ribbon_of(analysis_id: str, analyses: Service) -> Ribbon:
    """Read along the text: what is distinctive in the reading of each token, in a line; spans of tokens whose readings
    agree; and mean scores a turn. At any stage: of the readings that are there.
    """
    return await asyncio.to_thread(ribbon, await analyses.get(analysis_id))


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
