"""/api/analyses/{id}/interventions: edit the words, patch the model, see what it says."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from server.analyses.json_stream import data_json
from server.api.cursor import cursor
from server.interventions.schema import Intervention, InterventionRequest, PendingIntervention
from server.interventions.service import Interventions
from server.schema import ResponseModel

router = APIRouter(prefix="/api/analyses/{analysis_id}/interventions", tags=["interventions"])


async def service(request: Request) -> Interventions:
    """The app's interventions."""
    interventions: Interventions = request.app.state.interventions
    return interventions


class Cancelled(ResponseModel):
    """The edits that were stopped."""

    cancelled: list[str]


Service = Annotated[Interventions, Depends(service)]
Position = Annotated[int | None, Query(ge=0, lt=2**31)]


@router.post(
    "",
    status_code=201,
    response_model=Intervention,
    responses={
        200: {"model": Intervention, "description": "It existed."},
        202: {
            "model": PendingIntervention,
            "description": "It is being made; asked with Prefer: respond-async.",
        },
    },
)
async def create(
    analysis_id: str,
    request: InterventionRequest,
    interventions: Service,
    prefer: Annotated[str, Header()] = "",
) -> Response:
    """Patch edited words into the target, or find where that was done. Answers when it is done; with the header
    `Prefer: respond-async` (RFC 7240) at once, with 202 and where to look for it, if it is not done yet.
    """
    id, existed = await interventions.submit(analysis_id, request)
    if not existed and "respond-async" in prefer:
        return _answer(await interventions.get(analysis_id, id))
    made = await interventions.wait(id)
    return _answer(made, 200 if existed else 201)


@router.get("")
async def of(analysis_id: str, interventions: Service, position: Position = None) -> list[Intervention]:
    """List the edits of an analysis, or of one position of it, oldest first."""
    return await interventions.of(analysis_id, position=position)


@router.get("/pending")
async def pending(
    analysis_id: str, interventions: Service, position: Position = None
) -> list[PendingIntervention]:
    """List the edits of an analysis, or of one position of it, that are being made or wait, oldest first."""
    return await interventions.pending(analysis_id, position=position)


@router.post("/cancel")
async def cancel(analysis_id: str, interventions: Service) -> Cancelled:
    """Stop all edits of the analysis that are being made; whoever waits for one is answered with 409."""
    return Cancelled(cancelled=await interventions.cancel(analysis_id))


@router.get(
    "/{intervention_id}",
    response_model=Intervention,
    responses={202: {"model": PendingIntervention, "description": "It is being made."}},
)
async def get(analysis_id: str, intervention_id: str, interventions: Service) -> Response:
    """One of them, made or being made."""
    return _answer(await interventions.get(analysis_id, intervention_id), 200)


async def known(analysis_id: str, intervention_id: str, interventions: Service) -> str:
    """The id of one that is there, made or being made. Raises NotFound before a stream begins."""
    return (await interventions.get(analysis_id, intervention_id)).id


@router.get("/{intervention_id}/events", response_class=EventSourceResponse)
async def events(
    intervention_id: Annotated[str, Depends(known)],
    interventions: Service,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncGenerator[ServerSentEvent]:
    """One of them as it comes: progress, then done (the intervention) or failed."""
    stream = interventions.follow(intervention_id, cursor(last_event_id))
    async with aclosing(stream) as found:
        async for event in found:
            yield ServerSentEvent(raw_data=await data_json(event.data), event=event.kind, id=str(event.id))


@router.post("/{intervention_id}/cancel", status_code=204)
async def cancel_one(analysis_id: str, intervention_id: str, interventions: Service) -> Response:
    """Stop one that is being made; one that is made stays."""
    await interventions.cancel_one(analysis_id, intervention_id)
    return Response(status_code=204)


@router.delete("/{intervention_id}", status_code=204)
async def delete(analysis_id: str, intervention_id: str, interventions: Service) -> Response:
    """Remove one for good, made or being made."""
    await interventions.delete(analysis_id, intervention_id)
    return Response(status_code=204)


def _answer(found: Intervention | PendingIntervention, status: int = 202) -> Response:
    if isinstance(found, PendingIntervention):
        status = 202
    location = f"/api/analyses/{found.analysis}/interventions/{found.id}"
    return Response(found.model_dump_json(), status, {"Location": location}, "application/json")
