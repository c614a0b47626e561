"""/a/{id}/edit: patch edited words in, without scripts or with them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from frontend import templating
from frontend.analysis.contexts import AnalysisPage
from frontend.analysis.page import analysis_page
from frontend.analysis.tokens import token
from frontend.analysis.view import View
from frontend.dependencies import Edits, Models, RequestedState, Service, Viewed, fields, scripted
from frontend.edits import edit_context, edit_form
from frontend.edits.contexts import EditForm
from frontend.edits.quick_edits import quick_edit
from frontend.lens.typed_words import resolved, typed_words
from frontend.made_soon import made_soon
from frontend.typed_form import FormError
from frontend.urls import urls
from server.errors import BadInput, Conflict, NlaError, NotFound
from server.interventions.continued import continued
from server.interventions.schema import Intervention, PendingIntervention

router = APIRouter(include_in_schema=False)


@router.post("/a/{id}/edit")
async def edit(
    id: str, view: Viewed, service: Service, interventions: Edits, models: Models, request: Request
) -> Response:
    """Run what the form asks for, and show it; a form that cannot be used comes back with what is wrong with it."""
    if view.pinned is None:
        raise Conflict("The tokens are not known yet.")
    form = edit_form.read(await fields(request))
    try:
        asked = edit_form.request(form, view.pinned)
        if typed := typed_words(form.watch):
            end = view.pinned if asked.until is None else asked.until
            form = edit_form.settled(form, await resolved(service, id, end, typed))
            asked = edit_form.request(form, view.pinned)
        wanted, _ = await interventions.submit(id, asked)
        if not scripted(request):
            await interventions.wait(wanted)
        made = await made_soon(interventions, id, wanted)
    except (FormError, NlaError) as error:
        wrong = (
            error.errors if isinstance(error, FormError) else edit_form.misplaced(error.field, error.detail)
        )
        status = error.status if isinstance(error, NlaError) else BadInput.status
        return await _again(view, replace(form, errors=wrong), status, models, request)
    if isinstance(made, PendingIntervention):
        return _form(
            replace(view, pending=[*(p for p in view.pending if p.id != made.id), made]),
            view.pinned,
            replace(form, errors={}),
        )
    view_state = view.view_state.replace(t=view.pinned, edit=made.id)
    if not scripted(request):
        return RedirectResponse(urls.analysis(id, view_state), status_code=303)
    return _shown(view, view.pinned, made)


def _shown(view: View, position: int, made: Intervention, *, as_partial: bool = False) -> HTMLResponse:
    """The edits of a token with this one in sight; the address follows. `as_partial`: for an answer whose target is
    another one.
    """
    id, view_state = view.analysis.id, view.view_state.replace(t=position, edit=made.id)
    others = [other for other in view.edits if other.id != made.id]
    still = [other for other in view.pending if other.id != made.id]
    there = replace(
        view,
        view_state=view_state,
        edits=[*others, made],
        pending=still,
        edited=view.edited | {position},
    )
    html = templating.fragment("edits/form.edit", edit_context.edit_context(there, position))
    if as_partial:
        html = templating.fragment("analysis/stream.partial", f"edits-{position}", html)
    marked = templating.fragment("analysis/text.token", token(there, position))
    html += templating.fragment("analysis/stream.partial", f"tok-{position}", marked)
    html += templating.fragment("analysis/stream.follow", urls.stream(id, view_state))
    return HTMLResponse(html, headers={**templating.HEADERS, "HX-Push-Url": urls.analysis(id, view_state)})


@router.get("/a/{id}/edits/{edit_id}")
async def follow(id: str, edit_id: str, view: Viewed, interventions: Edits, request: Request) -> Response:
    """An edit that is being made: how far it is, asked again by the page until it is made."""
    if view.pinned is None or not scripted(request):
        return RedirectResponse(urls.analysis(id, view.view_state), status_code=303)
    try:
        found = await made_soon(interventions, id, edit_id)
    except NlaError as error:
        refused = templating.fragment("edits/form.refused", edit_id, error.detail)
        return HTMLResponse(refused, headers=templating.HEADERS)
    if isinstance(found, Intervention):
        return _shown(view, view.pinned, found, as_partial=True)
    context = edit_context.pending(view, found)
    return HTMLResponse(templating.fragment("edits/form.pending", context), headers=templating.HEADERS)


@router.post("/a/{id}/edits/{edit_id}/cancel")
async def cancel(id: str, edit_id: str, view_state: RequestedState, interventions: Edits) -> RedirectResponse:
    """End the making of an edit."""
    with suppress(NotFound):  # it has ended meanwhile
        await interventions.cancel_one(id, edit_id)
    return RedirectResponse(urls.analysis(id, view_state), status_code=303)


@router.post("/a/{id}/edits/{edit_id}/read")
async def read_patched(id: str, edit_id: str, service: Service, interventions: Edits) -> RedirectResponse:
    """Analyse the text with the patched reply in it, and go to both beside each other."""
    analysis = await service.get(id)
    made = await interventions.get(analysis.id, edit_id)
    if isinstance(made, PendingIntervention):
        raise Conflict("This edit is still being made.")
    wanted = continued(analysis, made)
    if wanted is None:
        raise Conflict("The model goes on within the prompt here, so there is no text to be read again.")
    again, _ = await service.create(wanted)
    there = urls.compare(analysis.id, again.id, t=made.until, u=made.until)
    return RedirectResponse(there, status_code=303)


@router.get("/a/{id}/edit")
async def draft(view: Viewed, models: Models, request: Request) -> Response:
    """The page with its form as the address keeps it: what there is of drafts without scripts."""
    if view.pinned is None or "text" not in request.query_params:
        return RedirectResponse(urls.analysis(view.analysis.id, view.view_state), status_code=303)
    return await _again(view, edit_form.read(request.query_params), 200, models, request)


@router.post("/a/{id}/quick-edit")
async def quick(view: Viewed, models: Models, request: Request) -> Response:
    """The form with its words changed: a word swapped everywhere, or a sentence left out."""
    if view.pinned is None:
        raise Conflict("The tokens are not known yet.")
    asked = await fields(request)
    form = quick_edit(edit_form.read(asked), asked)
    return await _again(view, form, BadInput.status if form.errors else 200, models, request)


def _form(view: View, position: int, form: EditForm, status: int = 200) -> HTMLResponse:
    context = edit_context.edit_context(view, position, form)
    return HTMLResponse(templating.fragment("edits/form.edit", context), status, templating.HEADERS)


async def _again(view: View, form: EditForm, status: int, models: Models, request: Request) -> HTMLResponse:
    assert view.pinned is not None
    context = edit_context.edit_context(view, view.pinned, form)
    if scripted(request):
        return _form(view, view.pinned, form, status)
    page = analysis_page(view)
    assert page.panel is not None
    page = replace(page, panel=replace(page.panel, edits=context))
    return await asyncio.to_thread(
        templating.page, "analysis/analysis.html", AnalysisPage(page, models), status=status
    )
