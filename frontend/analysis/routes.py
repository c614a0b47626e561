"""The page of one analysis, its fragments, its stream, its export."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from frontend import event_stream, page_stream, templating
from frontend.analysis.contexts import AnalysisPage
from frontend.analysis.html_export import html_export
from frontend.analysis.page import analysis_page
from frontend.analysis.panel import pinned_panel
from frontend.analysis.readings_table import Narrowed, readings_page
from frontend.analysis.ribbon import ribbon_context
from frontend.analysis.token_range import range_context
from frontend.analysis.view import View
from frontend.causal.section import follow_scores
from frontend.dependencies import (
    Edits,
    Kept,
    Measured,
    Models,
    OtherLens,
    RequestedState,
    Service,
    Streams,
    Viewed,
    panel_data,
)
from frontend.dependencies import view as viewed
from frontend.lens.lens_map import lens_map
from frontend.library import listing
from frontend.library.contexts import Deleted
from frontend.urls import urls
from server.analyses.export import attachment
from server.errors import NotFound

router = APIRouter(include_in_schema=False)
Position = Annotated[int, Query(ge=0, lt=2**31)]


@router.get("/a/{id}")
async def analysis(
    id: str,
    service: Service,
    edits: Edits,
    measured: Measured,
    kept: Kept,
    view_state: RequestedState,
    models: Models,
) -> Response:
    """The permalink: the analysis at whatever stage it is, looked at as the address says. Where the address
    holds a word as it was typed, on to the one that holds the exact word. One that was deleted lately offers
    to undo that.
    """
    try:
        view = await viewed(id, service, edits, measured, kept, view_state)
    except NotFound:
        gone = await service.summary(id)
        if gone is None or gone.deleted is None:
            raise
        (line,) = listing.listed([gone], datetime.now(UTC))
        return templating.page("library/deleted.html", Deleted(line, models), status=NotFound.status)
    if view_state.typed != view.view_state.typed:
        return RedirectResponse(urls.analysis(view.analysis.id, view.view_state), status_code=303)
    context = await asyncio.to_thread(analysis_page, view)  # a long text takes a while: not on the event loop
    return await asyncio.to_thread(templating.page, "analysis/analysis.html", AnalysisPage(context, models))


@router.get("/a/{id}/panel")
async def panel(
    id: str, view: Viewed, service: Service, view_state: RequestedState, other_lens: OtherLens
) -> HTMLResponse:
    """One token's panel, and the connection that follows this token from now on, where the page has one open."""
    context = await asyncio.to_thread(pinned_panel, view)
    if context is None:
        return HTMLResponse(
            templating.fragment("analysis/panel.waiting_panel", "The tokens are not known yet."),
            headers=templating.HEADERS,
        )
    # Whoever asks for a fragment has scripts, which draw the curve themselves.
    without_drawing = replace(context, layers=replace(context.layers, drawing=None))
    html = templating.fragment("analysis/panel.panel", without_drawing)
    if other_lens:  # the map changes with the curve
        html += templating.fragment(
            "analysis/stream.partial",
            "lens",
            templating.fragment("lens/map.lens", lens_map(view)),
            "outerHTML",
        )
    if not view.final:
        service.pin(view.analysis.id, context.position)
    html += templating.fragment("analysis/stream.follow", urls.stream(id, view.view_state))
    html += follow_scores(view)
    there = view.view_state.replace(t=context.position, edit=view.edit and view.edit.id)
    pushed = {"HX-Push-Url": urls.analysis(id, there)}
    return HTMLResponse(html, headers={**templating.HEADERS, **pushed})


@router.get("/a/{id}/ribbon")
async def ribbon(id: str, service: Service, view_state: RequestedState, show: str = "on") -> HTMLResponse:
    """The ribbon, shown or not; the page's address follows, and while the analysis runs the connection too."""
    view = View(await service.get(id), view_state.replace(ribbon="on" if show == "on" else "off"))
    context = await asyncio.to_thread(ribbon_context, view)
    html = templating.fragment("analysis/ribbon.ribbon", context)
    if not view.final:
        connection = templating.fragment("analysis/stream.stream", urls.stream(id, view.view_state))
        html += templating.fragment("analysis/stream.partial", "stream", connection, "outerHTML")
    replaced = {"HX-Replace-Url": urls.analysis(id, view.view_state)}
    return HTMLResponse(html, headers={**templating.HEADERS, **replaced})


@router.get("/a/{id}/readings")
async def readings(
    id: str,
    service: Service,
    models: Models,
    sort: str = "position",
    q: str = "",
    role: str = "",
    template: str = "",
) -> HTMLResponse:
    """All readings as a table, sorted and narrowed by the address."""
    view = View(await service.get(id))
    context = await asyncio.to_thread(readings_page, view, Narrowed(sort, q, role, template))
    return await asyncio.to_thread(templating.page, "analysis/readings.html", replace(context, models=models))


@router.get("/a/{id}/beside")
async def other_layers(view: Viewed, service: Service) -> HTMLResponse:
    """Show the readings of other layers at a position; the page asks again until all are there."""
    context = await asyncio.to_thread(pinned_panel, view)
    if context is None:
        return HTMLResponse("", headers=templating.HEADERS)
    for there in view.analysis.siblings:
        service.pin(there.id, context.position)  # somebody waits for this one
    html = templating.fragment("analysis/other_layers.beside", context)
    return HTMLResponse(html, headers=templating.HEADERS)


@router.get("/a/{id}/range")
async def token_range(view: Viewed, first: Position, last: Position) -> HTMLResponse:
    """Show a range of tokens."""
    context = await asyncio.to_thread(range_context, view, first, last)
    return HTMLResponse(templating.fragment("analysis/range.range", context), headers=templating.HEADERS)


@router.get("/a/{id}/stream")
async def stream(
    id: str, service: Service, edits: Edits, kept: Kept, streams: Streams, view_state: RequestedState
) -> StreamingResponse:
    """Stream the page's changes as server-sent HTML. The analysis does not end with the stream."""
    there = await service.check(id)  # no more: many may come at once
    if view_state.t is not None and (pinned := View(await service.get(there), view_state).pinned) is not None:
        service.pin(there, pinned)
    body = page_stream.stream(
        streams,
        there,
        lambda: service.watch(there),
        view_state,
        lambda now: panel_data(service, edits, kept, now, view_state),
    )
    return event_stream.response(body)


@router.post("/a/{id}/cancel")
async def cancel(id: str, service: Service) -> RedirectResponse:
    """Stop the work; what was read is kept."""
    await service.cancel(id)
    return RedirectResponse(urls.analysis(id), status_code=303)


@router.post("/a/{id}/continue")
async def resume(id: str, service: Service) -> RedirectResponse:
    """Take up an analysis that failed or was cancelled: asking for the same again goes on with it, its
    siblings apart.
    """
    request = (await service.get(id)).request
    await service.create(request.model_copy(update={"also": []}))
    return RedirectResponse(urls.analysis(id), status_code=303)


@router.get("/api/analyses/{id}/export.html")
async def export(
    id: str, service: Service, edits: Edits, measured: Measured, request: Request
) -> HTMLResponse:
    """The analysis as a file that opens without this server, with its edits and what its siblings read."""
    found = await service.get(id)
    more = await service.sibling_readings(found), await edits.of(found.id), await measured.causal(found.id)
    html = await asyncio.to_thread(html_export, found, str(request.base_url), datetime.now(UTC), *more)
    return HTMLResponse(html, headers={**templating.HEADERS, **attachment(found, "html")})
