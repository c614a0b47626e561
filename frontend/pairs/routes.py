"""/pairs and /pairs/{name}: which pairs there are, and what is known of one."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from frontend import templating
from frontend.dependencies import Models, Service
from frontend.pairs.page import pair_page, pairs_page
from frontend.urls import urls
from server.pairs.about import about_pair, known_pairs

router = APIRouter(include_in_schema=False)


@router.get(urls.pairs_path)
async def listed(request: Request, service: Service, models: Models) -> HTMLResponse:
    """Every pair of the catalogue."""
    known = await known_pairs(request.app.state.models, service.cards)
    return templating.page("pairs/pairs.html", pairs_page(known, models))


@router.get(urls.pairs_path + "/{name}")
async def about(name: str, request: Request, service: Service, models: Models) -> HTMLResponse:
    """The page of one. Raises NotFound."""
    pair = await about_pair(name, request.app.state.models, service.cards)
    return templating.page("pairs/pair.html", pair_page(pair, models))
