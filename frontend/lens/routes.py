"""The lens map's parts: its frame, its numbers, one cell of it, and its table twin."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, Response

from frontend import templating
from frontend.analysis.view import View
from frontend.dependencies import Models, RequestedState, Service
from frontend.lens import heatmap
from frontend.lens.layer_curve import cell as cell_context
from frontend.lens.layer_curve import selected_row
from frontend.lens.lens_choice import KINDS
from frontend.lens.lens_map import lens_map, map_table
from frontend.urls import urls
from frontend.view_state import ViewState
from server.analyses.lens_table import LensTable
from server.analyses.schema import Analysis
from server.errors import BadInput, Conflict

router = APIRouter(include_in_schema=False)


@router.get("/a/{id}/map")
async def map_frame(id: str, service: Service, view_state: RequestedState) -> HTMLResponse:
    """The map's frame by another metric; the page's address follows."""
    view = View(await service.get(id), view_state)
    html = templating.fragment("lens/map.lens", lens_map(view))
    headers = {**templating.HEADERS, "HX-Replace-Url": urls.analysis(id, view_state)}
    return HTMLResponse(html, headers=headers)


@router.get("/a/{id}/cells")
async def cells(id: str, service: Service, view_state: RequestedState) -> Response:
    """The numbers of the map by one metric. They never change once they are there."""
    view = _strict(await service.get(id), view_state)
    a, lens = view.analysis, _lens(view)
    found = await asyncio.to_thread(heatmap.cells, lens, a.tokens, view_state.metric, a.layer)
    return JSONResponse(found, headers={"Cache-Control": "private, max-age=3600"})


@router.get("/a/{id}/cell")
async def cell(id: str, service: Service, view_state: RequestedState) -> HTMLResponse:
    """One layer at one position: `?t=17&layer=12`."""
    view = _strict(await service.get(id), view_state)
    lens = _lens(view)
    if view_state.t is None or view_state.t >= lens.positions:
        raise BadInput("t", f"There is no position {view_state.t}: the text ends at {lens.positions - 1}.")
    row = selected_row(view)
    assert row is not None
    html = templating.fragment("lens/layers.cell", cell_context(view, view_state.t, row))
    return HTMLResponse(html, headers={**templating.HEADERS, "Cache-Control": "private, max-age=3600"})


def _strict(analysis: Analysis, view_state: ViewState) -> View:
    """A view for an answer that a browser keeps: of exactly what its address asks for, or an error."""
    if view_state.faults:
        raise BadInput("query", view_state.faults[0])
    return View(analysis, view_state)


def _lens(view: View) -> LensTable:
    """The table that is asked for. A browser may keep what is answered, so it is that one or none."""
    if view.lens is None or view.view_state.lens != view.which:
        raise Conflict(f"There is no {KINDS[view.view_state.lens].label} yet.")
    return view.lens


@router.get("/a/{id}/lens")
async def table(id: str, service: Service, models: Models, view_state: RequestedState) -> HTMLResponse:
    """The map around the pinned token as a table."""
    view = View(await service.get(id), view_state)
    context = await asyncio.to_thread(map_table, view)
    return templating.page("lens/table.html", replace(context, models=models))
