"""The page of a word, its numbers, its figure."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from frontend import templating
from frontend.dependencies import Measured, Models, Service
from frontend.made_soon import made_soon
from frontend.urls import urls
from frontend.words.asked import Asked, Requested
from frontend.words.page import word_cell, word_page
from frontend.words.shares import word_cells
from frontend.words.svg import word_drawing
from server.analyses.export import attachment
from server.analyses.schema import Analysis
from server.errors import BadInput, Conflict, NlaError, NotFound
from server.measurements.schema import (
    Measurement,
    PendingMeasurement,
    TrackedWord,
    WordTrack,
)
from server.measurements.service import Measurements

router = APIRouter(include_in_schema=False)
Whole = Annotated[int, Query(ge=0, lt=2**31)]


@router.get("/a/{id}/word")
async def word(
    id: str, service: Service, measured: Measured, models: Models, asked: Requested
) -> HTMLResponse:
    """A word along the text. One that nobody has asked for yet is measured; the page follows that."""
    analysis = await service.get(id)
    found: Measurement | PendingMeasurement | None = None
    mentions, error, status = None, "", 200
    if asked.word:
        try:
            found = await _measured(measured, analysis, asked)
            mentions = await measured.mentions(analysis.id, asked.word)
        except NotFound:
            raise
        except NlaError as refused:
            found, error, status = None, refused.detail, refused.status
    others = await measured.words(analysis.id)
    context = await asyncio.to_thread(word_page, analysis, asked, found, mentions, others, error)
    return await asyncio.to_thread(
        templating.page, "words/word.html", replace(context, models=models), status=status
    )


@router.get("/a/{id}/word/cells")
async def cells(id: str, service: Service, measured: Measured, asked: Requested) -> Response:
    """The numbers of the map."""
    analysis, track, shown = await _made(id, service, measured, asked)
    mentions = await measured.mentions(analysis.id, asked.word)
    data = await asyncio.to_thread(word_cells, analysis, track, shown, mentions, asked.metric)
    return JSONResponse(data, headers={"Cache-Control": "private, max-age=60"})


@router.get("/a/{id}/word/cell")
async def cell(
    id: str, service: Service, measured: Measured, asked: Requested, t: Whole, layer: Whole
) -> HTMLResponse:
    """One layer after one token: `?word=…&t=17&layer=12`."""
    analysis, track, shown = await _made(id, service, measured, asked)
    for name, value, count in (("t", t, len(analysis.tokens)), ("layer", layer, len(track.layers))):
        if value >= count:
            raise BadInput(name, f"There is no {name} {value}: the last one is {count - 1}.")
    html = templating.fragment("words/parts.cell", word_cell(analysis, track, shown, t, layer))
    return HTMLResponse(html, headers={**templating.HEADERS, "Cache-Control": "private, max-age=3600"})


@router.get("/a/{id}/word.svg")
async def svg(id: str, request: Request, service: Service, measured: Measured, asked: Requested) -> Response:
    """The map as a drawing that stands by itself."""
    analysis, track, shown = await _made(id, service, measured, asked)
    mentions = await measured.mentions(analysis.id, asked.word)
    address = str(request.base_url).rstrip("/") + urls.word(analysis.id, **asked.fields())
    context = await asyncio.to_thread(word_drawing, analysis, track, shown, mentions, asked.metric, address)
    drawn = await asyncio.to_thread(templating.render, "words/word.svg", context)
    headers = {**templating.HEADERS, **attachment(analysis, "word.svg")}
    return Response(drawn, media_type="image/svg+xml", headers=headers)


@router.post("/a/{id}/word/{measurement_id}/cancel")
async def cancel(id: str, measurement_id: str, measured: Measured) -> RedirectResponse:
    """Stop a word that is being measured."""
    with suppress(NotFound):  # it has ended meanwhile
        await measured.cancel_one(id, measurement_id)
    return RedirectResponse(urls.word(id), status_code=303)


async def _measured(
    measured: Measurements, analysis: Analysis, asked: Asked
) -> Measurement | PendingMeasurement:
    wanted, _ = await measured.submit(analysis.id, asked.request())
    return await made_soon(measured, analysis.id, wanted)


async def _made(
    id: str, service: Service, measured: Measurements, asked: Asked
) -> tuple[Analysis, WordTrack, TrackedWord]:
    """A word that has been measured. Raises Conflict while it has not."""
    if not asked.word:
        raise BadInput("word", "Say which word; a leading space is a part of it.")
    analysis = await service.get(id)
    found = await _measured(measured, analysis, asked)
    if isinstance(found, PendingMeasurement) or found.word is None:
        raise Conflict("The word is still being measured.")
    return analysis, found.word, asked.shown(found.word)
