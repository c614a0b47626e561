"""/vectors and /v/{id}: vectors kept, listed, read and removed, without scripts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from frontend import templating
from frontend.dependencies import Kept, Models, fields, scripted
from frontend.edits.edit_form import whole
from frontend.made_soon import made_soon
from frontend.typed_form import FormError, sent
from frontend.urls import urls
from frontend.vectors import forms
from frontend.vectors.contexts import ReadForm, SumForm, UploadForm
from frontend.vectors.page import LISTED, pending, read_once, vector_page, vectors_page
from server import form_data
from server.errors import BadInput, NlaError, NotFound
from server.settings import Settings
from server.vectors.readings import VectorReader
from server.vectors.schema import VectorReadings, url_of_reading
from server.vectors.service import Vectors

router = APIRouter(include_in_schema=False)


async def reader(request: Request) -> VectorReader:
    """The app's reader of vectors."""
    found: VectorReader = request.app.state.vector_reader
    return found


Reader = Annotated[VectorReader, Depends(reader)]


@router.get(urls.vectors_path)
async def listed(
    request: Request, kept: Kept, models: Models, before: Annotated[str, Query(max_length=40)] = ""
) -> HTMLResponse:
    """All vectors, and the forms that make one."""
    return await _list(request, kept, models, before=before)


@router.post(urls.vectors_path)
async def add_up(request: Request, kept: Kept, models: Models) -> Response:
    """Keep a sum, and go to it."""
    form = sent(SumForm, await fields(request))
    return await _sum(request, kept, models, form)


@router.post(urls.upload_vector)
async def upload(request: Request, kept: Kept, models: Models) -> Response:
    """Keep the vector in a file, and go to it."""
    form = UploadForm()
    try:
        data = form_data.parse(request.headers.get("content-type", ""), await request.body())
        form = sent(UploadForm, {name: value.strip() for name, value in data.fields.items()})
        if "file" not in data.files:
            raise BadInput("file", "Choose a file: safetensors or JSON.")
        file, body = data.files["file"]
        asked = {"name": form.name or None, "pair": form.pair or None, "tensor": form.tensor or None}
        made, _ = await kept.upload(body, file=file, **asked)
    except NlaError as error:
        wrong = forms.misplaced(error, "file", _names(UploadForm))
        return await _list(request, kept, models, error.status, upload=replace(form, errors=wrong))
    return RedirectResponse(urls.vector(made.id), status_code=303)


@router.post("/a/{id}/vector")
async def keep(
    id: str, request: Request, kept: Kept, models: Models, t: Annotated[int, Query(ge=0, lt=2**31)]
) -> Response:
    """Keep the activation at a position, or its difference to another one's, and go to it."""
    typed = await fields(request)
    less, name = typed.get("less", "").strip(), typed.get("name", "").strip()
    lines = [f"1 {urls.analysis(id)}?t={t}"] + ([f"-1 {urls.analysis(id)}?t={less}"] if less else [])
    form = SumForm(terms="\n".join(lines), name=name)
    if less and whole(less) is None:
        wrong = {"terms": f"{less!r} is no position: give its number."}
        return await _list(request, kept, models, BadInput.status, form=replace(form, errors=wrong))
    return await _sum(request, kept, models, form)


@router.get("/v/{id}")
async def vector(
    id: str, request: Request, kept: Kept, vector_reader: Reader, models: Models
) -> HTMLResponse:
    """The page of a vector."""
    return await _page(id, request, kept, vector_reader, models)


@router.post("/v/{id}/read")
async def read(id: str, request: Request, kept: Kept, vector_reader: Reader, models: Models) -> Response:
    """Have a vector read, and go to what was written, or is being written: that goes on when the client leaves."""
    form = sent(ReadForm, await fields(request))
    try:
        wanted, _ = await vector_reader.submit(id, forms.read_request(form))
        found = await made_soon(vector_reader, id, wanted)
    except (FormError, NlaError) as error:
        if isinstance(error, FormError):
            wrong, status = error.errors, BadInput.status
        else:
            wrong, status = forms.misplaced(error, "form", _names(ReadForm)), error.status
        return await _page(id, request, kept, vector_reader, models, status, replace(form, errors=wrong))
    if isinstance(found, VectorReadings) and any(each.error for each in found.readings):  # not kept
        why = next(reading.error for reading in found.readings if reading.error)
        wrong = {"form": f"The vector could not be read: {why} Try again."}
        return await _page(id, request, kept, vector_reader, models, 503, replace(form, errors=wrong))
    return RedirectResponse(found.url, status_code=303)


@router.get("/v/{id}/readings/{reading_id}")
async def follow(id: str, reading_id: str, vector_reader: Reader, request: Request) -> Response:
    """Readings that are being made: how far they are, asked again by the page until they are made."""
    if not scripted(request):
        return RedirectResponse(url_of_reading(id, reading_id), status_code=303)
    try:
        found = await made_soon(vector_reader, id, reading_id)
    except NlaError as error:
        html = templating.fragment("vectors/readings.refused", reading_id, error.detail)
    else:
        if isinstance(found, VectorReadings):
            html = templating.fragment("vectors/readings.read_once", read_once(found))
        else:
            html = templating.fragment("vectors/readings.pending", pending(found))
    return HTMLResponse(html, headers=templating.HEADERS)


@router.post("/v/{id}/readings/{reading_id}/cancel")
async def cancel(id: str, reading_id: str, vector_reader: Reader) -> RedirectResponse:
    """Stop readings that are being made."""
    with suppress(NotFound):  # they have ended meanwhile
        await vector_reader.cancel_one(id, reading_id)
    return RedirectResponse(urls.vector(id), status_code=303)


@router.post("/v/{id}/delete")
async def delete(id: str, kept: Kept) -> RedirectResponse:
    """Remove a vector; back to the list."""
    await kept.delete(id)
    return RedirectResponse(urls.vectors(), status_code=303)


async def _sum(request: Request, kept: Vectors, models: Models, form: SumForm) -> Response:
    try:
        made, _ = await kept.create(forms.sum_request(form))
    except (FormError, NlaError) as error:
        if isinstance(error, FormError):
            wrong, status = error.errors, BadInput.status
        else:
            wrong, status = forms.misplaced(error, "terms", _names(SumForm)), error.status
        return await _list(request, kept, models, status, form=replace(form, errors=wrong))
    return RedirectResponse(urls.vector(made.id), status_code=303)


async def _list(
    request: Request,
    kept: Vectors,
    models: Models,
    status: int = 200,
    *,
    before: str = "",
    form: SumForm | None = None,
    upload: UploadForm | None = None,
) -> HTMLResponse:
    found = await kept.recent(LISTED + 1, before=before or None)
    pairs = request.app.state.models.names
    context = vectors_page(found, pairs, models, datetime.now(UTC), form, upload)
    return templating.page("vectors/vectors.html", context, status=status)


async def _page(
    id: str,
    request: Request,
    kept: Vectors,
    vector_reader: VectorReader,
    models: Models,
    status: int = 200,
    form: ReadForm | None = None,
) -> HTMLResponse:
    settings: Settings = request.app.state.settings
    found = await kept.get(id)
    was_read, being_read = await vector_reader.of(id), await vector_reader.pending(id)
    return templating.page(
        "vectors/vector.html", vector_page(found, was_read, being_read, settings, models, form), status=status
    )


def _names(form: type[SumForm | UploadForm | ReadForm]) -> dict[str, object]:
    return {field.name: field for field in fields_of(form)}
