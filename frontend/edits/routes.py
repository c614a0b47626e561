"""/a/{id}/edit: patch edited words in, without scripts or with them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from frontend import templating
from frontend.analysis.contexts import AnalysisPage
from frontend.analysis.page import analysis_page
from frontend.analysis.view import View
from frontend.dependencies import Edits, Models, Service, Viewed, fields, scripted
from frontend.edits import edit_context, edit_form
from frontend.edits.contexts import EditForm
from frontend.home.forms import FormError
from frontend.lens.typed_words import resolved, typed_words
from frontend.urls import urls
from server.errors import BadInput, Conflict, NlaError

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
        made, _ = await interventions.create(id, asked)
    except (FormError, NlaError) as error:
        wrong = (
            error.errors if isinstance(error, FormError) else edit_form.misplaced(error.field, error.detail)
        )
        status = error.status if isinstance(error, NlaError) else BadInput.status
        return await _again(view, replace(form, errors=wrong), status, models, request)
    view_state = view.view_state.replace(t=view.pinned, edit=made.id)
    if not scripted(request):
        return RedirectResponse(urls.analysis(id, view_state), status_code=303)
    there = replace(view, view_state=view_state, edits=[*(e for e in view.edits if e.id != made.id), made])
    html = templating.fragment("edits/form.edit", edit_context.edit_context(there, view.pinned))
    if not view.final:  # the open stream would go on sending what it knows
        html += templating.fragment(
            "analysis/stream.partial",
            "stream",
            templating.fragment("analysis/stream.stream", urls.stream(id, view_state)),
            "outerHTML",
        )
    return HTMLResponse(html, headers={**templating.HEADERS, "HX-Push-Url": urls.analysis(id, view_state)})


@router.get("/a/{id}/edit")
async def draft(view: Viewed, models: Models, request: Request) -> Response:
    """The page with its form as the address keeps it: what there is of drafts without scripts."""
    if view.pinned is None or "text" not in request.query_params:
        return RedirectResponse(urls.analysis(view.analysis.id, view.view_state), status_code=303)
    return await _again(view, edit_form.read(request.query_params), 200, models, request)


async def _again(view: View, form: EditForm, status: int, models: Models, request: Request) -> HTMLResponse:
    assert view.pinned is not None
    context = edit_context.edit_context(view, view.pinned, form)
    if scripted(request):
        return HTMLResponse(templating.fragment("edits/form.edit", context), status, templating.HEADERS)
    page = analysis_page(view)
    assert page.panel is not None
    page = replace(page, panel=replace(page.panel, edits=context))
    return await asyncio.to_thread(
        templating.page, "analysis/analysis.html", AnalysisPage(page, models), status=status
    )
