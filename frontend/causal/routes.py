"""The causal scores of an analysis: asked for, followed, stopped."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from pydantic import ValidationError

from frontend import event_stream, templating
from frontend.analysis.page import legend
from frontend.analysis.panel import pinned_panel
from frontend.analysis.view import View
from frontend.causal.form import form
from frontend.causal.parts import parts
from frontend.causal.section import causal_section, follow_scores
from frontend.causal.stream import stream
from frontend.dependencies import (
    Edits,
    Kept,
    Measured,
    RequestedState,
    Service,
    Streams,
    Viewed,
    fields,
    scripted,
)
from frontend.dependencies import view as viewed
from frontend.urls import urls
from server.api.problems import field_errors
from server.errors import NlaError, NotFound
from server.measurements.schema import MeasurementRequest, PendingMeasurement

router = APIRouter(include_in_schema=False)
Sample = Annotated[int, Query(ge=0, lt=2**31)]


@router.post("/a/{id}/causal")
async def measure(id: str, view: Viewed, measurements: Measured, request: Request) -> Response:
    """Have the causal scores measured."""
    try:
        await measurements.submit(view.analysis.id, MeasurementRequest())
    except NlaError as error:
        return _section(view, error.detail, error.status)
    if not scripted(request):
        return RedirectResponse(urls.analysis(id, view.view_state) + "#causal", status_code=303)
    return _section(view.replace(causal=await measurements.causal(view.analysis.id)))


@router.get("/a/{id}/causal")
async def show(id: str, view: Viewed, request: Request) -> Response:
    """Show the scores that have been measured, those of the panel, and the legend."""
    if not scripted(request):
        return RedirectResponse(urls.analysis(id, view.view_state) + "#causal", status_code=303)
    return _section(view)


@router.get("/a/{id}/causal/stream")
async def follow(
    id: str,
    view: Viewed,
    service: Service,
    edits: Edits,
    measurements: Measured,
    kept: Kept,
    view_state: RequestedState,
    streams: Streams,
) -> StreamingResponse:
    """Stream the scores as server-sent HTML while they are measured. The measurement does not end with the stream."""
    states = partial(measurements.watch_causal, view.analysis.id)
    again = partial(viewed, id, service, edits, measurements, kept, view_state)
    return event_stream.response(stream(streams, states, view, again))


@router.post("/a/{id}/causal/cancel")
async def cancel(
    id: str, view_state: RequestedState, view: Viewed, measurements: Measured
) -> RedirectResponse:
    """Stop the measurement."""
    if isinstance(view.causal, PendingMeasurement):
        with suppress(NotFound):  # it has ended meanwhile
            await measurements.cancel_one(view.analysis.id, view.causal.id)
    return RedirectResponse(urls.analysis(id, view_state) + "#causal", status_code=303)


@router.post("/a/{id}/parts")
async def find_parts(
    id: str, view: Viewed, sample: Sample, measurements: Measured, request: Request
) -> Response:
    """Find out what carries a reading; the form may hold other words for it, one a line."""
    asked = await fields(request)
    typed, reword = asked.get("texts", ""), bool(asked.get("reword"))
    texts = [line.strip() for line in typed.splitlines() if line.strip()]
    try:
        wanted = MeasurementRequest(
            kind="parts", position=view.pinned, sample=sample, texts=texts, reword=reword
        )
        made, _ = await measurements.submit(view.analysis.id, wanted)
    except ValidationError as error:
        return _parts(view, sample, "; ".join(found.detail for found in field_errors(error.errors())), 422)
    except NlaError as error:
        return _parts(view, sample, error.detail, error.status)
    if not scripted(request):
        return RedirectResponse(urls.analysis(id, view.view_state), status_code=303)
    assert view.pinned is not None, "it was measured"
    found = await measurements.get(view.analysis.id, made)
    return _parts(view.replace(parts={(view.pinned, sample): found}), sample)


@router.get("/a/{id}/parts")
async def follow_parts(id: str, view: Viewed, sample: Sample, request: Request) -> Response:
    """Show the parts of a reading, or their progress, which the page asks for again."""
    if not scripted(request):
        return RedirectResponse(urls.analysis(id, view.view_state), status_code=303)
    return _parts(view, sample)


@router.post("/a/{id}/form")
async def measure_form(id: str, view: Viewed, measurements: Measured, request: Request) -> Response:
    """Measure how much of the readings' scores is form."""
    try:
        await measurements.submit(view.analysis.id, MeasurementRequest(kind="form"))
    except NlaError as error:
        return _form(view, error.detail, error.status)
    if not scripted(request):
        return RedirectResponse(urls.analysis(id, view.view_state) + "#causal", status_code=303)
    return _form(view.replace(form=await measurements.form(view.analysis.id)))


@router.get("/a/{id}/form")
async def follow_form(id: str, view: Viewed, request: Request) -> Response:
    """Show the losses in other forms, or their progress, which the page asks for again."""
    if not scripted(request):
        return RedirectResponse(urls.analysis(id, view.view_state) + "#causal", status_code=303)
    return _form(view)


def _form(view: View, error: str = "", status: int = 200) -> HTMLResponse:
    html = templating.fragment("causal/form.form", form(view, error))
    return HTMLResponse(html, status, headers=templating.HEADERS)


def _parts(view: View, sample: int, error: str = "", status: int = 200) -> HTMLResponse:
    readings = view.by_position.get(view.pinned, []) if view.pinned is not None else []
    reading = next((reading for reading in readings if reading.sample == sample), None)
    context = None if reading is None else parts(view, reading, error)
    html = "" if context is None else templating.fragment("causal/parts.parts", context)
    return HTMLResponse(html, status, headers=templating.HEADERS)


def _section(view: View, error: str = "", status: int = 200) -> HTMLResponse:
    html = templating.fragment("causal/section.section", causal_section(view, error)) + follow_scores(view)
    panel = pinned_panel(view)
    if view.causal_scores and panel is not None:
        reading = templating.fragment("analysis/reading.reading", panel)
        html += templating.fragment("analysis/stream.partial", f"reading-{panel.position}", reading)
        colours = templating.fragment("analysis/text.legend", legend(view))
        html += templating.fragment("analysis/stream.partial", "legend", colours)
    return HTMLResponse(html, status, headers=templating.HEADERS)
