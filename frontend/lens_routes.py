"""The lens map's parts: its frame, its numbers, one cell of it, and its table twin."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, Response

from frontend import heatmap, templating
from frontend.given import Looked, Models, Service
from frontend.layers import cell as cell_context
from frontend.layers import selected_row
from frontend.lens_map import map_table
from frontend.lenses import KINDS
from frontend.look import Look
from frontend.urls import urls
from frontend.view import View
from server.analyses.lens import LensTable
from server.analyses.schema import Analysis
from server.errors import BadInput, Conflict

router = APIRouter(include_in_schema=False)


@router.get("/a/{id}/map")
async def lens_map(id: str, service: Service, look: Looked) -> HTMLResponse:
    """The map's frame by another metric; the page's address follows."""
    view = View(await service.get(id), look)
    html = templating.fragment("lens", view.map())
    headers = {**templating.HEADERS, "HX-Replace-Url": urls.analysis(id, look)}
    return HTMLResponse(html, headers=headers)


@router.get("/a/{id}/cells")
async def cells(id: str, service: Service, look: Looked) -> Response:
    """The numbers of the map by one metric. They never change once they are there."""
    view = _strict(await service.get(id), look)
    a, lens = view.analysis, _lens(view)
    found = await asyncio.to_thread(heatmap.cells, lens, a.tokens, look.metric, a.layer)
    return JSONResponse(found, headers={"Cache-Control": "private, max-age=3600"})


@router.get("/a/{id}/cell")
async def cell(id: str, service: Service, look: Looked) -> HTMLResponse:
    """One layer at one position: `?t=17&layer=12`."""
    view = _strict(await service.get(id), look)
    lens = _lens(view)
    if look.t is None or look.t >= lens.positions:
        raise BadInput("t", f"There is no position {look.t}: the text ends at {lens.positions - 1}.")
    row = selected_row(view)
    assert row is not None
    html = templating.fragment("cell", cell_context(view, look.t, row))
    return HTMLResponse(html, headers={**templating.HEADERS, "Cache-Control": "private, max-age=3600"})


def _strict(analysis: Analysis, look: Look) -> View:
    """A view for an answer that a browser keeps: of exactly what its address asks for, or an error."""
    if look.faults:
        raise BadInput("query", look.faults[0])
    return View(analysis, look)


def _lens(view: View) -> LensTable:
    """The table that is asked for. A browser may keep what is answered, so it is that one or none."""
    if view.lens is None or view.look.lens != view.which:
        raise Conflict(f"There is no {KINDS[view.look.lens].label} yet.")
    return view.lens


@router.get("/a/{id}/lens")
async def table(id: str, service: Service, models: Models, look: Looked) -> HTMLResponse:
    """The map around the pinned token as a table."""
    view = View(await service.get(id), look)
    context = await asyncio.to_thread(map_table, view)
    return templating.page("lens.html", replace(context, models=models))
