"""/notebooks and /n/{id}: notebooks begun, written, ordered, published and removed, without scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError

from frontend import templating
from frontend.dependencies import Models, fields
from frontend.notebooks.contexts import AddForm, EntryForm, NewForm
from frontend.notebooks.page import LISTED, add_page, html_export, notebook_page, notebooks_page
from frontend.typed_form import FormError, sent
from frontend.urls import urls
from server.api.notebooks import Service
from server.api.problems import field_errors
from server.errors import BadInput, Conflict, NlaError
from server.notebooks.contents import data_of
from server.notebooks.schema import EntryChange, EntryRequest, NotebookRequest

M = TypeVar("M", bound=BaseModel)
router = APIRouter(include_in_schema=False)
OFFERED = 20
"""Notebooks, those that were changed last, into which something may be put."""
Place = Annotated[int, Query(ge=0, lt=2**31)]


async def shown_by(request: Request) -> EntryRequest:
    """Parse from the address which thing an entry is to show. Raises BadInput."""
    query = {name: value for name, value in request.query_params.items() if value}
    try:
        return _checked(EntryRequest, query)
    except FormError as error:
        raise BadInput(*next(iter(error.errors.items()))) from error


Wanted = Annotated[EntryRequest, Depends(shown_by)]


@router.get(urls.notebooks_path)
async def listed(
    notebooks: Service, models: Models, before: Annotated[str, Query(max_length=40)] = ""
) -> HTMLResponse:
    """All notebooks, and the form that begins one."""
    return await _list(notebooks, models, before=before)


@router.post(urls.notebooks_path)
async def begin(request: Request, notebooks: Service, models: Models) -> Response:
    """Begin a notebook, and go to it."""
    form = sent(NewForm, await fields(request))
    try:
        made = await notebooks.create(_checked(NotebookRequest, {"title": form.title}))
    except FormError as error:
        return await _list(notebooks, models, BadInput.status, form=replace(form, errors=error.errors))
    return RedirectResponse(urls.notebook(made.id), status_code=303)


@router.get(urls.add_to_notebook)
async def choose(wanted: Wanted, request: Request, notebooks: Service, models: Models) -> HTMLResponse:
    """Show a preview of the entry, and the form that says into which notebook it goes."""
    return await _choice(wanted, request, notebooks, models)


@router.post(urls.add_to_notebook)
async def put(wanted: Wanted, request: Request, notebooks: Service, models: Models) -> Response:
    """Put something into a notebook, one that is there or a new one, and go to it."""
    form = sent(AddForm, await fields(request))
    try:
        entry = _checked(EntryRequest, wanted.model_dump() | {"name": form.name, "note": form.note})
        if not form.notebook:
            title = _checked(NotebookRequest, {"title": form.title})
            await notebooks.check(entry)
            id = (await notebooks.create(title)).id
        else:
            id = form.notebook
        made = await notebooks.add(id, entry)
    except (FormError, NlaError) as error:
        wrong, status = _wrong(error, "notebook", AddForm)
        return await _choice(wanted, request, notebooks, models, status, replace(form, errors=wrong))
    return RedirectResponse(urls.notebook(id, made.id), status_code=303)


@router.get("/n/{id}")
async def show(id: str, notebooks: Service, models: Models) -> HTMLResponse:
    """One notebook."""
    return await _page(id, notebooks, models)


@router.post("/n/{id}/title")
async def rename(id: str, request: Request, notebooks: Service, models: Models) -> Response:
    """Give it another title."""
    form = sent(NewForm, await fields(request))
    try:
        await notebooks.rename(id, _checked(NotebookRequest, {"title": form.title}))
    except FormError as error:
        return await _page(id, notebooks, models, 422, new_title=replace(form, errors=error.errors))
    return RedirectResponse(urls.notebook(id), status_code=303)


@router.post("/n/{id}/delete")
async def delete(id: str, notebooks: Service) -> RedirectResponse:
    """Remove it; back to the list."""
    await notebooks.delete(id)
    return RedirectResponse(urls.notebooks(), status_code=303)


@router.post("/n/{id}/entries")
async def add(id: str, request: Request, notebooks: Service, models: Models) -> Response:
    """Add a note."""
    form = sent(EntryForm, await fields(request))
    try:
        made = await notebooks.add(id, _checked(EntryRequest, {"name": form.name, "note": form.note}))
    except (FormError, BadInput, Conflict) as error:
        wrong, status = _wrong(error, "note", EntryForm)
        return await _page(id, notebooks, models, status, added=replace(form, errors=wrong))
    return RedirectResponse(urls.notebook(id, made.id), status_code=303)


@router.post("/n/{id}/entries/{entry}")
async def save(id: str, entry: str, request: Request, notebooks: Service, models: Models) -> Response:
    """Change the name and the note of an entry. What was typed is given back where somebody else was faster."""
    form = sent(EntryForm, await fields(request))
    try:
        change = {"name": form.name, "note": form.note, "seen": form.seen or None}
        await notebooks.change(id, entry, _checked(EntryChange, change))
    except (FormError, BadInput, Conflict) as error:
        wrong, status = _wrong(error, "note", EntryForm)
        return await _page(id, notebooks, models, status, changed=(entry, replace(form, errors=wrong)))
    return RedirectResponse(urls.notebook(id, entry), status_code=303)


@router.post("/n/{id}/entries/{entry}/move")
async def move(id: str, entry: str, place: Place, notebooks: Service) -> RedirectResponse:
    """Put an entry at another place."""
    await notebooks.change(id, entry, EntryChange(place=place))
    return RedirectResponse(urls.notebook(id, entry), status_code=303)


@router.post("/n/{id}/entries/{entry}/delete")
async def remove(id: str, entry: str, notebooks: Service) -> RedirectResponse:
    """Remove an entry."""
    await notebooks.remove(id, entry)
    return RedirectResponse(urls.notebook(id), status_code=303)


@router.get("/api/notebooks/{id}/export.html")
async def export_html(id: str, request: Request, notebooks: Service) -> HTMLResponse:
    """The notebook as a file that opens without this server."""
    notebook = await notebooks.get(id)
    contents = await notebooks.contents.of(notebook)
    html = await asyncio.to_thread(html_export, notebook, contents, str(request.base_url), datetime.now(UTC))
    return HTMLResponse(html, headers={**templating.HEADERS, **_attachment(id, "html")})


@router.get("/api/notebooks/{id}/export.json")
async def export_json(id: str, request: Request, notebooks: Service) -> Response:
    """The notebook with the numbers behind it."""
    notebook = await notebooks.get(id)
    contents = await notebooks.contents.of(notebook)
    origin = str(request.base_url).rstrip("/")

    def written() -> str:
        return json.dumps(data_of(notebook, contents, origin), allow_nan=False)

    body = await asyncio.to_thread(written)
    return Response(body, headers=_attachment(id, "json"), media_type="application/json")


async def _list(
    notebooks: Service, models: Models, status: int = 200, *, before: str = "", form: NewForm | None = None
) -> HTMLResponse:
    found = await notebooks.recent(LISTED + 1, before or None)
    context = notebooks_page(found, models, datetime.now(UTC), form)
    return templating.page("notebooks/notebooks.html", context, status=status)


async def _page(id: str, notebooks: Service, models: Models, status: int = 200, **forms: Any) -> HTMLResponse:
    notebook = await notebooks.get(id)
    contents = await notebooks.contents.of(notebook)

    def rendered() -> HTMLResponse:
        context = notebook_page(notebook, contents, models, **forms)
        return templating.page("notebooks/notebook.html", context, status=status)

    return await asyncio.to_thread(rendered)


async def _choice(
    wanted: EntryRequest,
    request: Request,
    notebooks: Service,
    models: Models,
    status: int = 200,
    form: AddForm | None = None,
) -> HTMLResponse:
    shown = await notebooks.preview(wanted)
    found = await notebooks.recent(OFFERED)
    action = f"{urls.add_to_notebook}?{request.url.query}"

    def rendered() -> HTMLResponse:
        return templating.page(
            "notebooks/add.html", add_page(shown, found, action, models, form), status=status
        )

    return await asyncio.to_thread(rendered)


def _checked(model: type[M], values: Mapping[str, object]) -> M:
    """The request. Raises FormError with a message for each field at fault."""
    try:
        return model.model_validate(values, strict=False)
    except ValidationError as error:
        found = field_errors(error.errors())
        raise FormError({each.field: each.detail for each in reversed(found)}) from error


def _wrong(error: FormError | NlaError, place: str, form: type[Any]) -> tuple[dict[str, str], int]:
    """Messages by field, those of no field of this form at `place`; and the status."""
    if isinstance(error, FormError):
        found, status = error.errors, BadInput.status
    else:
        found, status = (
            {each.field: each.detail for each in error.errors} or {place: error.detail},
            error.status,
        )
    own = form.__dataclass_fields__
    return {name if name in own else place: detail for name, detail in reversed(found.items())}, status


def _attachment(id: str, extension: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="notebook_{id}.{extension}"'}
