"""The pages: parse, call, render."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from frontend import forms, lists, templating
from frontend.contexts.analysis import AnalysisPage
from frontend.contexts.pages import Deleted, Home, Library, ModelsContext, Option
from frontend.examples import EXAMPLES
from frontend.exported import exported
from frontend.given import Edits, Looked, Models, OtherLens, Service, Viewed, around, fields, scripted
from frontend.given import view as viewed
from frontend.live import stream as live_stream
from frontend.urls import urls
from frontend.view import View
from server.analyses.export import attachment
from server.analyses.models import Models as Resident
from server.analyses.schema import ListedStatus
from server.analyses.service import Analyses
from server.errors import NlaError, NotFound

router = APIRouter(include_in_schema=False)
RECENT = 8
LISTED = 50


@router.get(urls.home)
async def home(
    request: Request,
    service: Service,
    models: Models,
    source: Annotated[str | None, Query(alias="from")] = None,
) -> HTMLResponse:
    """The composer and what was asked lately; `?from=ID` fills the form from an earlier analysis."""
    form = forms.fill((await service.get(source)).request) if source else forms.blank(_limits(request))
    return await _home(request, service, models, form)


@router.post(urls.home)
async def create(request: Request, service: Service, models: Models) -> Response:
    """Start (or find) the analysis that the form asks for, and go to its page; or give the form back with a turn more or
    less.
    """
    asked = await fields(request)
    form = forms.read(asked)
    if "turn" in asked:
        return await _home(request, service, models, forms.changed(form, asked["turn"]))
    try:
        analysis, _ = await service.create(forms.request(form))
    except forms.FormError as error:
        return await _home(request, service, models, replace(form, errors=error.errors), status=422)
    except NlaError as error:
        errors = forms.place(error.errors, error.detail, form)
        return await _home(request, service, models, replace(form, errors=errors), status=error.status)
    return RedirectResponse(urls.analysis(analysis.id), status_code=303)


async def _home(
    request: Request, service: Analyses, models: ModelsContext, form: forms.Form, status: int = 200
) -> HTMLResponse:
    resident = request.app.state.models
    context = Home(
        form=form,
        examples=EXAMPLES,
        recent=lists.listed(await service.recent(RECENT), datetime.now(UTC)),
        models=models,
        limits=_limits(request),
        pairs=lists.offered(resident.names, models, form.pair),
        along=await _along(resident, form),
    )
    if scripted(request):
        return HTMLResponse(templating.render("_composer.html", context), status, templating.HEADERS)
    return templating.page("home.html", context, status=status)


def _limits(request: Request) -> forms.Limits:
    return forms.Limits.of(request.app.state.settings)


async def _along(resident: Resident, form: forms.Form) -> list[Option]:
    """The pairs that have a sibling here: each can read along with that."""
    if len(resident.names) == 1:
        return []
    found = [(name, await resident.aim(name)) for name in resident.names if await resident.siblings(name)]
    return lists.along([(name, aim.layer) for name, aim in found], form.also)


@router.get("/a/{id}")
async def analysis(id: str, service: Service, edits: Edits, look: Looked, models: Models) -> Response:
    """The permalink: the analysis at whatever stage it is, looked at as the address says. Where the address holds a word
    as it was typed, on to the one that holds the exact word. One that was deleted lately offers to undo that.
    """
    try:
        view = await viewed(id, service, edits, look)
    except NotFound:
        gone = await service.summary(id)
        if gone is None or gone.deleted is None:
            raise
        (line,) = lists.listed([gone], datetime.now(UTC))
        return templating.page("deleted.html", Deleted(line, models), status=NotFound.status)
    if look.typed != view.look.typed:
        return RedirectResponse(urls.analysis(view.analysis.id, view.look), status_code=303)
    context = await asyncio.to_thread(view.page)  # a long text takes a while: not on the event loop
    return await asyncio.to_thread(templating.page, "analysis.html", AnalysisPage(context, models))


@router.get("/a/{id}/panel")
async def panel(id: str, view: Viewed, service: Service, look: Looked, other_lens: OtherLens) -> HTMLResponse:
    """One token's panel; while the analysis runs, also the connection that follows this token from now on."""
    context = await asyncio.to_thread(view.panel)
    if context is None:
        return HTMLResponse(
            templating.fragment("waiting_panel", "The tokens are not known yet."), headers=templating.HEADERS
        )
    html = templating.fragment("panel", context)
    if other_lens:  # the map changes with the curve
        html += templating.fragment("partial", "lens", templating.fragment("lens", view.map()), "outerHTML")
    if not view.final:
        service.pin(view.analysis.id, context.position)
        connection = templating.fragment("stream", urls.stream(id, view.look))
        html += templating.fragment("partial", "stream", connection, "outerHTML")
    there = view.look.but(t=context.position, edit=view.edit and view.edit.id)
    pushed = {"HX-Push-Url": urls.analysis(id, there)}
    return HTMLResponse(html, headers={**templating.HEADERS, **pushed})


@router.get("/a/{id}/beside")
async def beside(view: Viewed, service: Service) -> HTMLResponse:
    """What is read at other layers at a position, asked for again and again until all of it is there."""
    context = await asyncio.to_thread(view.panel)
    if context is None:
        return HTMLResponse("", headers=templating.HEADERS)
    for there in view.analysis.siblings:
        service.pin(there.id, context.position)  # somebody waits for this one
    html = templating.fragment("beside", context)
    return HTMLResponse(html, headers=templating.HEADERS)


@router.get("/a/{id}/stream")
async def stream(id: str, service: Service, edits: Edits, look: Looked) -> StreamingResponse:
    """What changes on the page from now on, as server-sent HTML. The work does not end with the stream."""
    found = await service.get(id)
    pinned = View(found, look).pinned
    if pinned is not None:
        service.pin(found.id, pinned)
    body = live_stream(
        lambda: service.get(id), service.events(id, None), look, lambda now: around(service, edits, now, look)
    )
    headers = {**templating.HEADERS, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(body, media_type="text/event-stream", headers=headers)


@router.post("/a/{id}/cancel")
async def cancel(id: str, service: Service) -> RedirectResponse:
    """Stop the work; what was read is kept."""
    await service.cancel(id)
    return RedirectResponse(urls.analysis(id), status_code=303)


@router.post("/a/{id}/continue")
async def resume(id: str, service: Service) -> RedirectResponse:
    """Take up an analysis that failed or was cancelled: asking for the same again goes on with it, its siblings apart."""
    request = (await service.get(id)).request
    await service.create(request.model_copy(update={"also": []}))
    return RedirectResponse(urls.analysis(id), status_code=303)


@router.get("/api/analyses/{id}/export.html")
async def export(id: str, service: Service, edits: Edits, request: Request) -> HTMLResponse:
    """The analysis as a file that opens without this server, with its edits and what its siblings read."""
    found = await service.get(id)
    more = await service.sibling_readings(found), await edits.of(found.id)
    html = await asyncio.to_thread(exported, found, str(request.base_url), datetime.now(UTC), *more)
    return HTMLResponse(html, headers={**templating.HEADERS, **attachment(found, "html")})


@router.post("/a/{id}/delete")
async def delete(id: str, service: Service, request: Request) -> Response:
    """Forget the analysis: to the library, or (asked by its script) the line that offers to undo it."""
    gone = await service.delete(id)
    if not scripted(request):
        return RedirectResponse(urls.library(deleted=gone), status_code=303)
    return await _line(service, gone, "deleted", True)


@router.post("/a/{id}/restore")
async def restore(id: str, service: Service, request: Request) -> Response:
    """Undo that: to the analysis, or its line in the library as it was."""
    back = await service.restore(id)
    if not scripted(request):
        return RedirectResponse(urls.analysis(back), status_code=303)
    return await _line(service, back, "line")


async def _line(service: Analyses, id: str, macro: str, *more: object) -> HTMLResponse:
    """One line of the library as it is now; empty when nothing is left of the analysis."""
    found = await service.summary(id)
    lines = lists.listed([found] if found is not None else [], datetime.now(UTC), changeable=True)
    html = "".join(templating.fragment(macro, line, *more) for line in lines)
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
) -> HTMLResponse:
    """All analyses, or those that hold `q` in prompt, reply, readings or edits; `deleted` was deleted just now."""
    now, words = datetime.now(UTC), q.strip()
    chosen = (words or None, pair or None, status or None)
    page = await service.recent(LISTED + 1, *chosen, before or None)
    items, more = page[:LISTED], len(page) > LISTED
    narrowed = {"q": words, "pair": pair, "status": status}
    gone = await service.summary(deleted) if deleted else None
    context = Library(
        q=q,
        pairs=lists.options([(name, name) for name in await service.pairs()], pair, "all"),
        states=lists.options(lists.FILTERS, status, "any"),
        found=lists.found(await service.count(*chosen), words),
        empty=lists.empty(narrowed=any(narrowed.values())),
        items=lists.listed(items, now, changeable=True, query=words),
        older=urls.library(**narrowed, before=items[-1].id) if more else "",
        newest=urls.library(**narrowed) if before else "",
        gone=lists.listed([gone], now)[0] if gone is not None and gone.deleted is not None else None,
        models=models,
    )
    return templating.page("library.html", context)


@router.get(urls.models)
async def models_status(models: Models) -> HTMLResponse:
    """The head line's note on the models, asked for again and again while they load."""
    return HTMLResponse(templating.fragment("models_status", models), headers=templating.HEADERS)
