"""The library, and what removes an analysis from it and brings it back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from frontend import templating
from frontend.dependencies import (
    Models,
    Service,
    scripted,
)
from frontend.library import listing
from frontend.library.contexts import Library
from frontend.urls import urls
from server.analyses.schema import ListedStatus
from server.analyses.service import Analyses

router = APIRouter(include_in_schema=False)
LISTED = 50


@router.post("/a/{id}/delete")
async def delete(id: str, service: Service, request: Request) -> Response:
    """Forget the analysis: to the library, or (asked by its script) the line that offers to undo it."""
    gone = await service.delete(id)
    if not scripted(request):
        return RedirectResponse(urls.library(deleted=gone), status_code=303)
    return await _line(service, gone, "library/listing.deleted", True)


@router.post("/a/{id}/restore")
async def restore(id: str, service: Service, request: Request) -> Response:
    """Undo that: to the analysis, or its line in the library as it was."""
    back = await service.restore(id)
    if not scripted(request):
        return RedirectResponse(urls.analysis(back), status_code=303)
    return await _line(service, back, "library/listing.line")


async def _line(service: Analyses, id: str, fragment: str, *more: object) -> HTMLResponse:
    """One line of the library as it is now; empty when nothing is left of the analysis."""
    found = await service.summary(id)
    lines = listing.listed([found] if found is not None else [], datetime.now(UTC), changeable=True)
    html = "".join(templating.fragment(fragment, line, *more) for line in lines)
    return HTMLResponse(html, headers=templating.HEADERS)


@router.get(urls.library_path)
async def library(
    service: Service,
    models: Models,
    q: Annotated[str, Query(max_length=500)] = "",
    pair: str = "",
    status: ListedStatus | Literal[""] = "",
    before: str = "",
    deleted: str = "",
    studies: bool = False,
) -> HTMLResponse:
    """All analyses, or those that hold `q` in prompt, reply, readings or edits; `deleted` was deleted just now. Those
    that a study began are listed with `studies` alone.
    """
    now, words = datetime.now(UTC), q.strip()
    chosen = (words or None, pair or None, status or None)
    page = await service.recent(LISTED + 1, *chosen, before or None, studies=studies)
    count, every = await service.count(*chosen, studies=studies), await service.count(*chosen)
    items, more = page[:LISTED], len(page) > LISTED
    narrowed = {"q": words, "pair": pair, "status": status, "studies": "1" if studies else ""}
    gone = await service.summary(deleted) if deleted else None
    context = Library(
        q=q,
        pairs=listing.options([(name, name) for name in await service.pairs()], pair, "all"),
        states=listing.options(listing.FILTERS, status, "any"),
        found=listing.found(count, words, every - count),
        empty=listing.empty(narrowed=any(chosen) or every > 0),
        items=listing.listed(items, now, changeable=True, query=words),
        older=urls.library(**narrowed, before=items[-1].id) if more else "",
        newest=urls.library(**narrowed) if before else "",
        gone=listing.listed([gone], now)[0] if gone is not None and gone.deleted is not None else None,
        studies=studies,
        models=models,
    )
    return templating.page("library/library.html", context)
