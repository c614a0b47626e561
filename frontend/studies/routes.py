"""The list of studies with the form that starts one, and the page of one study."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from frontend import event_stream, templating
from frontend.dependencies import Models, Streams, fields
from frontend.layout import ModelsContext
from frontend.library import listing
from frontend.studies import built_in_form, prompts_form
from frontend.studies import form as forms
from frontend.studies import stream as live
from frontend.studies.cases import Show
from frontend.studies.contexts import PromptsChoices, StudiesPage, StudyPage
from frontend.studies.html_export import html_export
from frontend.studies.page import listed, study_page
from frontend.typed_form import FormError, TypedForm, sent
from frontend.urls import urls
from server import form_data
from server.analyses.schema import LAST_SEED
from server.api.studies import attachment
from server.errors import FieldError, NlaError
from server.jobs.progress import FINAL
from server.studies.countries import CAPITALS
from server.studies.requests import LARGEST_FACTOR
from server.studies.service import Studies

F = TypeVar("F", bound=TypedForm)
router = APIRouter(include_in_schema=False)
LISTED = 50
FIELDS = 10_000
"""Bytes of a form that are left for what is typed beside its file."""
Start = Annotated[int, Query(ge=0, lt=2**31)]


async def studies(request: Request) -> Studies:
    """The service behind the studies."""
    service: Studies = request.app.state.studies
    return service


Service = Annotated[Studies, Depends(studies)]


@router.get(urls.studies_path)
async def index(request: Request, service: Service, models: Models, before: str = "") -> HTMLResponse:
    """The newest studies, and the forms."""
    return await _index(request, service, models, before=before)


@router.post(urls.studies_path)
async def create(request: Request, service: Service, models: Models) -> Response:
    """Start (or find) the study that the form asks for, and go to its page."""
    form = sent(forms.StudyForm, await fields(request))
    try:
        id, _ = await service.submit(forms.request(form))
    except (FormError, NlaError) as error:
        form, status = _refused(form, error, forms.place)
        return await _index(request, service, models, form, status=status)
    return RedirectResponse(urls.study(id), status_code=303)


@router.post(urls.built_in_study)
async def create_built_in(request: Request, service: Service, models: Models) -> Response:
    """Start (or find) the smaller built-in study that its form asks for, and go to its page."""
    form = sent(built_in_form.BuiltInForm, await fields(request))
    try:
        id, _ = await service.submit(built_in_form.request(form))
    except (FormError, NlaError) as error:
        form, status = _refused(form, error, built_in_form.place)
        return await _index(request, service, models, built_in=form, status=status)
    return RedirectResponse(urls.study(id), status_code=303)


@router.post(urls.prompts_study)
async def create_of_prompts(request: Request, service: Service, models: Models) -> Response:
    """Start (or find) the study of the prompts that were typed or sent as a file, and go to its page."""
    form = prompts_form.PromptsForm()
    try:
        data = form_data.parse(request.headers.get("content-type", ""), await request.body())
        form = prompts_form.read(data)
        id, _ = await service.submit(await asyncio.to_thread(prompts_form.request, form))
    except (FormError, NlaError) as error:
        form, status = _refused(form, error, prompts_form.place)
        return await _index(request, service, models, prompts=form, status=status)
    return RedirectResponse(urls.study(id), status_code=303)


def _refused(
    form: F, error: FormError | NlaError, place: Callable[[Iterable[FieldError], str, F], dict[str, str]]
) -> tuple[F, int]:
    """The form with a message beside each field that is wrong, and the status of the answer."""
    if isinstance(error, FormError):
        return replace(form, errors=error.errors), 422
    return replace(form, errors=place(error.errors, error.detail, form)), error.status


async def _index(
    request: Request,
    service: Studies,
    models: ModelsContext,
    form: forms.StudyForm | None = None,
    *,
    built_in: built_in_form.BuiltInForm | None = None,
    prompts: prompts_form.PromptsForm | None = None,
    status: int = 200,
    before: str = "",
) -> HTMLResponse:
    settings, names = request.app.state.settings, request.app.state.models.names
    form, prompts = form or forms.blank(settings.max_cases), prompts or prompts_form.blank()
    others = {kind: built_in_form.blank(kind) for kind in built_in_form.KINDS}
    if built_in is not None:
        shown = built_in if built_in.kind in others else replace(others["capitals"], errors=built_in.errors)
        others[shown.kind] = shown
    page = await service.recent(LISTED + 1, before or None)
    items = page[:LISTED]
    made = {one.id: len((await service.get(one.id)).cases) for one in items if one.status not in FINAL}
    context = StudiesPage(
        form=form,
        built_in=others,
        countries=min(len(CAPITALS), settings.max_cases),
        prompts=prompts,
        choices=PromptsChoices(
            pairs=listing.offered(names, models, prompts.pair),
            reply=settings.max_reply_tokens,
            bytes=max(settings.max_body_bytes - FIELDS, 0),
            most=f"{settings.max_cases:,}",
            seed=LAST_SEED,
            sources=prompts_form.SOURCES,
            positions=prompts_form.POSITIONS,
            measures=prompts_form.MEASURES,
        ),
        items=listed(items, made, datetime.now(UTC)),
        older=urls.studies(before=items[-1].id) if len(page) > LISTED else "",
        pairs=listing.offered(names, models, form.pair),
        most=settings.max_cases,
        largest=LARGEST_FACTOR,
        seed=LAST_SEED,
        models=models,
    )
    return templating.page("studies/studies.html", context, status=status)


@router.get("/s/{id}")
async def show_study(
    id: str, service: Service, models: Models, show: Show = "all", start: Start = 0
) -> HTMLResponse:
    """One study, at any stage."""
    study = await service.get(id)
    context = await asyncio.to_thread(study_page, study, show, start)
    return templating.page("studies/study.html", StudyPage(context, models))


@router.get("/s/{id}/stream")
async def stream(
    id: str, service: Service, streams: Streams, show: Show = "all", start: Start = 0
) -> StreamingResponse:
    """Stream the page's changes as server-sent HTML. The study does not end with the stream."""
    study = await service.get(id)
    return event_stream.response(live.stream(streams, service, study.id, show, start))


@router.get("/api/studies/{id}/export.html")
async def export(id: str, service: Service, request: Request) -> HTMLResponse:
    """The study as a file that opens without this server."""
    study = await service.get(id)
    html = await asyncio.to_thread(html_export, study, str(request.base_url), datetime.now(UTC))
    return HTMLResponse(html, headers={**templating.HEADERS, **attachment(study, "html")})


@router.post("/s/{id}/cancel")
async def cancel(id: str, service: Service) -> RedirectResponse:
    """Stop it; what is finished stays."""
    await service.cancel(id)
    return RedirectResponse(urls.study(id), status_code=303)


@router.post("/s/{id}/continue")
async def resume(id: str, service: Service) -> RedirectResponse:
    """Take up a study that failed or was cancelled: asking for the same again goes on with it."""
    again, _ = await service.submit((await service.get(id)).request)
    return RedirectResponse(urls.study(again), status_code=303)


@router.post("/s/{id}/delete")
async def delete(id: str, service: Service) -> RedirectResponse:
    """Remove it for good; the analyses of its cases stay."""
    await service.delete(id)
    return RedirectResponse(urls.studies_path, status_code=303)
