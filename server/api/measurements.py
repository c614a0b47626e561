"""/api/analyses/{id}/measurements: causal scores of all readings, beside their controls."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from server.analyses.json_stream import data_json
from server.api.cursor import cursor
from server.measurements.schema import Measurement, MeasurementRequest, PendingMeasurement
from server.measurements.service import Measurements

router = APIRouter(prefix="/api/analyses/{analysis_id}/measurements", tags=["measurements"])


async def service(request: Request) -> Measurements:
    """The app's measurements."""
    measurements: Measurements = request.app.state.measurements
    return measurements


Service = Annotated[Measurements, Depends(service)]


@router.post(
    "",
    status_code=202,
    response_model=PendingMeasurement,
    responses={200: {"model": Measurement, "description": "It existed."}},
)
async def create(analysis_id: str, request: MeasurementRequest, measurements: Service) -> Response:
    """Measure an analysis, at once or as soon as its readings are there. Answers at once, with 202 and where to look
    for it, or with 200 where it was measured before.
    """
    id, _ = await measurements.submit(analysis_id, request)
    return answer(await measurements.get(analysis_id, id))


@router.get("")
async def of(analysis_id: str, measurements: Service) -> list[Measurement]:
    """List the measurements of an analysis, oldest first."""
    return await measurements.of(analysis_id)


@router.get("/pending")
async def pending(analysis_id: str, measurements: Service) -> list[PendingMeasurement]:
    """List the measurements of an analysis that are being made or wait, oldest first."""
    return await measurements.pending(analysis_id)


@router.get(
    "/{measurement_id}",
    response_model=Measurement,
    responses={202: {"model": PendingMeasurement, "description": "It is being made."}},
)
async def get(analysis_id: str, measurement_id: str, measurements: Service) -> Response:
    """One of them, made or being made."""
    return answer(await measurements.get(analysis_id, measurement_id))


async def known(analysis_id: str, measurement_id: str, measurements: Service) -> str:
    """The id of one that is there, made or being made. Raises NotFound before a stream begins."""
    return (await measurements.get(analysis_id, measurement_id)).id


@router.get("/{measurement_id}/events", response_class=EventSourceResponse)
async def events(
    measurement_id: Annotated[str, Depends(known)],
    measurements: Service,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncGenerator[ServerSentEvent]:
    """One of them as it comes: progress, then done (the measurement) or failed."""
    stream = measurements.follow(measurement_id, cursor(last_event_id))
    async with aclosing(stream) as found:
        async for event in found:
            yield ServerSentEvent(raw_data=await data_json(event.data), event=event.kind, id=str(event.id))


@router.post("/{measurement_id}/cancel", status_code=204)
async def cancel_one(analysis_id: str, measurement_id: str, measurements: Service) -> Response:
    """Stop one that is being made; one that is made stays."""
    await measurements.cancel_one(analysis_id, measurement_id)
    return Response(status_code=204)


@router.delete("/{measurement_id}", status_code=204)
async def delete(analysis_id: str, measurement_id: str, measurements: Service) -> Response:
    """Remove one for good, made or being made, or what is kept of one that was broken off: asked for again, it begins
    anew.
    """
    await measurements.delete(analysis_id, measurement_id)
    return Response(status_code=204)


def answer(found: Measurement | PendingMeasurement) -> Response:
    """Answer with a measurement, and where it stands."""
    location = f"/api/analyses/{found.analysis}/measurements/{found.id}"
    status = 202 if isinstance(found, PendingMeasurement) else 200
    return Response(found.model_dump_json(), status, {"Location": location}, "application/json")
