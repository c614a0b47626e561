"""/api/vectors: directions of one's own, made of activations or uploaded, and what the AV reads in them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.exceptions import RequestValidationError
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from server import form_data
from server.analyses.json_stream import data_json
from server.analyses.schema import Verbalise
from server.api.cursor import cursor
from server.errors import BadInput
from server.vectors import files
from server.vectors.readings import VectorReader
from server.vectors.schema import PendingVectorReadings, Vector, VectorReadings, VectorRequest, WholeVector
from server.vectors.service import Vectors

router = APIRouter(prefix="/api/vectors", tags=["vectors"])
MOST = 200
"""Vectors of one answer."""


async def service(request: Request) -> Vectors:
    """The app's vectors."""
    vectors: Vectors = request.app.state.vectors
    return vectors


async def reader(request: Request) -> VectorReader:
    """The app's reader of vectors."""
    found: VectorReader = request.app.state.vector_reader
    return found


Service = Annotated[Vectors, Depends(service)]
Reader = Annotated[VectorReader, Depends(reader)]
Text = Annotated[str | None, Query(max_length=200)]
_FILE: dict[str, Any] = {"type": "string", "format": "binary"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/VectorRequest"}},
            "application/octet-stream": {"schema": _FILE},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": _FILE}
                    | {name: {"type": "string"} for name in ("name", "pair", "tensor")},
                }
            },
        },
    }
}


@router.post(
    "",
    status_code=201,
    response_model=Vector,
    responses={200: {"model": Vector, "description": "These values are kept already, under this name."}},
    openapi_extra=_BODY,
)
async def create(
    request: Request, vectors: Service, name: Text = None, pair: Text = None, tensor: Text = None
) -> Response:
    """Keep a vector: a sum of activations or its values (JSON), or a file, as the body itself or as `file` of a form.

    A file is safetensors (float64, float32, float16 or bfloat16; `tensor` names one of several) or JSON (a list of
    numbers, or an object whose `values` are one). `name`, `pair` and `tensor` stand in the query or in the form. The
    same values of the same pair and layer have the same id.
    """
    content_type = request.headers.get("content-type", "")
    kind, body = content_type.partition(";")[0].strip().lower(), await request.body()
    if kind == "application/json" and not body.lstrip().startswith(b"["):
        made, existed = await vectors.create(_request(body))
    elif kind == "multipart/form-data":
        form = form_data.parse(content_type, body)
        if "file" not in form.files:
            raise BadInput("file", "Choose a file: safetensors or JSON.")
        file, data = form.files["file"]
        known = {"name": name, "pair": pair, "tensor": tensor}
        known = {field: form.fields.get(field, "").strip() or value for field, value in known.items()}
        made, existed = await vectors.upload(data, file=file, **known)
    else:
        made, existed = await vectors.upload(body, name=name, pair=pair, tensor=tensor)
    headers = {"Location": f"/api/vectors/{made.id}"}
    return Response(made.model_dump_json(), 200 if existed else 201, headers, "application/json")


def _request(body: bytes) -> VectorRequest:
    try:
        return VectorRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


@router.get("")
async def of(
    vectors: Service,
    pair: Text = None,
    layer: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
    before: Text = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
) -> list[Vector]:
    """List the newest vectors, or those after the one of the id `before`; of a pair and a layer, or of any."""
    return await vectors.recent(limit, pair=pair, layer=layer, before=before)


@router.get("/{vector_id}")
async def get(vector_id: str, vectors: Service) -> WholeVector:
    """One vector with its values."""
    return await vectors.whole(vector_id)


@router.get("/{vector_id}/export.safetensors", response_class=Response)
async def export(vector_id: str, vectors: Service) -> Response:
    """The vector [d] in float32, as the tensor `vector`; what it was made of stands in the metadata. Uploaded again, it
    has the same id.
    """
    vector = await vectors.whole(vector_id)
    plain = re.sub(r"[^\w.-]+", "-", vector.pair, flags=re.ASCII)
    headers = {"Content-Disposition": f'attachment; filename="{plain}_vector_{vector.id}.safetensors"'}
    return Response(files.write(vector), headers=headers, media_type="application/octet-stream")


@router.delete("/{vector_id}", status_code=204)
async def delete(vector_id: str, vectors: Service) -> Response:
    """Remove one for good, with what was read of it. Edits that were made with it stay."""
    await vectors.delete(vector_id)
    return Response(status_code=204)


@router.post(
    "/{vector_id}/readings",
    status_code=201,
    response_model=VectorReadings,
    responses={
        200: {"model": VectorReadings, "description": "It was read in this way before."},
        202: {
            "model": PendingVectorReadings,
            "description": "It is being read; asked with Prefer: respond-async.",
        },
    },
)
async def read(
    vector_id: str,
    vector_reader: Reader,
    body: Verbalise | None = None,
    prefer: Annotated[str, Header()] = "",
) -> Response:
    """Have the AV read a vector, and the AR read that back. What was read is kept: the same wish finds the same words.
    Answers when it is done; with the header `Prefer: respond-async` (RFC 7240) at once, with 202 and where to look for
    it, if it is not done yet. Either way it goes on when the client leaves.

    The AV is given a vector as it is given an activation: by the rule of its pair, which for the released pairs (and
    the demo's) brings it to the length `injection_scale` first. So a vector's length does not matter there, only its
    direction; it does for a pair whose rule is to multiply by a factor.
    """
    id, existed = await vector_reader.submit(vector_id, body or Verbalise())
    if not existed and "respond-async" in prefer:
        return _answer(await vector_reader.get(vector_id, id))
    return _answer(await vector_reader.wait(id), 200 if existed else 201)


@router.get("/{vector_id}/readings")
async def readings(vector_id: str, vector_reader: Reader) -> list[VectorReadings]:
    """List all that was read of a vector, oldest first."""
    return await vector_reader.of(vector_id)


@router.get("/{vector_id}/readings/pending")
async def pending(vector_id: str, vector_reader: Reader) -> list[PendingVectorReadings]:
    """List the readings of a vector that are being made or wait, oldest first."""
    return await vector_reader.pending(vector_id)


@router.get(
    "/{vector_id}/readings/{reading_id}",
    response_model=VectorReadings,
    responses={202: {"model": PendingVectorReadings, "description": "It is being read."}},
)
async def reading(vector_id: str, reading_id: str, vector_reader: Reader) -> Response:
    """Readings of a vector that were asked for at once, made or being made."""
    return _answer(await vector_reader.get(vector_id, reading_id), 200)


async def known(vector_id: str, reading_id: str, vector_reader: Reader) -> str:
    """The id of readings that are there, made or being made. Raises NotFound before a stream begins."""
    return (await vector_reader.get(vector_id, reading_id)).id


@router.get("/{vector_id}/readings/{reading_id}/events", response_class=EventSourceResponse)
async def events(
    reading_id: Annotated[str, Depends(known)],
    vector_reader: Reader,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncGenerator[ServerSentEvent]:
    """Stream readings as they are made: progress, then done (the readings) or failed."""
    async with aclosing(vector_reader.follow(reading_id, cursor(last_event_id))) as found:
        async for event in found:
            yield ServerSentEvent(raw_data=await data_json(event.data), event=event.kind, id=str(event.id))


@router.post("/{vector_id}/readings/{reading_id}/cancel", status_code=204)
async def cancel(vector_id: str, reading_id: str, vector_reader: Reader) -> Response:
    """Stop readings that are being made; those that are made stay."""
    await vector_reader.cancel_one(vector_id, reading_id)
    return Response(status_code=204)


@router.delete("/{vector_id}/readings/{reading_id}", status_code=204)
async def delete_reading(vector_id: str, reading_id: str, vector_reader: Reader) -> Response:
    """Remove readings that were asked for at once for good, made or being made."""
    await vector_reader.delete(vector_id, reading_id)
    return Response(status_code=204)


def _answer(found: VectorReadings | PendingVectorReadings, status: int = 202) -> Response:
    if isinstance(found, PendingVectorReadings):
        status = 202
    location = f"/api/vectors/{found.vector}/readings/{found.id}"
    return Response(found.model_dump_json(), status, {"Location": location}, "application/json")
