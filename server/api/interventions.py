"""/api/analyses/{id}/interventions: edit the words, patch the model, see what it says."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from server.analyses.schema import ResponseModel
from server.interventions.schema import Intervention, InterventionRequest
from server.interventions.service import Interventions

router = APIRouter(prefix="/api/analyses/{analysis_id}/interventions", tags=["interventions"])


def service(request: Request) -> Interventions:
    """The app's interventions."""
    interventions: Interventions = request.app.state.interventions
    return interventions


class Cancelled(ResponseModel):
    """The edits that were stopped."""

    cancelled: list[str]


Service = Annotated[Interventions, Depends(service)]


@router.post("", status_code=201, responses={200: {"model": Intervention, "description": "It existed."}})
async def create(
    analysis_id: str, request: InterventionRequest, interventions: Service, response: Response
) -> Intervention:
    """Patch edited words into the target, or find where that was done; answers when it is done."""
    intervention, existed = await interventions.create(analysis_id, request)
    response.status_code = 200 if existed else 201
    response.headers["Location"] = f"/api/analyses/{intervention.analysis}/interventions/{intervention.id}"
    return intervention


@router.get("")
async def of(
    analysis_id: str, interventions: Service, position: Annotated[int | None, Query(ge=0, lt=2**31)] = None
) -> list[Intervention]:
    """Those of an analysis, or of one position of it, oldest first."""
    return await interventions.of(analysis_id, position)


@router.post("/cancel")
async def cancel(analysis_id: str, interventions: Service) -> Cancelled:
    """Stop all edits of the analysis that are being made; whoever waits for one is answered with 409."""
    return Cancelled(cancelled=await interventions.cancel(analysis_id))


@router.get("/{intervention_id}")
async def get(analysis_id: str, intervention_id: str, interventions: Service) -> Intervention:
    """One of them."""
    return await interventions.get(analysis_id, intervention_id)


@router.delete("/{intervention_id}", status_code=204)
async def delete(analysis_id: str, intervention_id: str, interventions: Service) -> Response:
    """Remove one for good."""
    await interventions.delete(analysis_id, intervention_id)
    return Response(status_code=204)
