"""/api/studies: many analyses from one declaration, and statistics over their readings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from server.analyses.json_stream import data_json
from server.api.cursor import cursor
from server.api.exports import chunks
from server.jobs.progress import Status
from server.schema import ResponseModel
from server.studies.export import results_csv, results_parquet
from server.studies.requests import StudyRequest
from server.studies.schema import Study, StudySummary, study_url
from server.studies.service import Studies

router = APIRouter(prefix="/api/studies", tags=["studies"])


class AcceptedStudy(ResponseModel):
    """The address and the status of a study."""

    id: str
    url: str
    status: Status


async def service(request: Request) -> Studies:
    """The app's studies."""
    studies: Studies = request.app.state.studies
    return studies


Service = Annotated[Studies, Depends(service)]


@router.post("", status_code=202, responses={200: {"model": AcceptedStudy, "description": "It existed."}})
async def create(request: StudyRequest, studies: Service, response: Response) -> AcceptedStudy:
    """Start a study, or find the one of the same request. One that failed or was cancelled goes on where it stopped. A
    study of more problems with the same seed takes over those that are made.
    """
    id, existed = await studies.submit(request)
    response.status_code = 200 if existed else 202
    response.headers["Location"] = f"/api/studies/{id}"
    return await _accepted(id, studies)


@router.get("")
async def recent(
    studies: Service,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[str | None, Query(max_length=40)] = None,
) -> list[StudySummary]:
    """The newest studies; for the next page, give the last id of this one as `before`."""
    return await studies.recent(limit, before)


@router.get("/{study_id}", response_model=Study)
async def get(study_id: str, studies: Service) -> Response:
    """A study at any stage: the cases that are made, and the statistics over them."""
    study = await studies.get(study_id)
    return Response(await asyncio.to_thread(study.model_dump_json), media_type="application/json")


async def known(study_id: str, studies: Service) -> str:
    """The id of one that is there. Raises NotFound before a stream begins."""
    return (await studies.get(study_id)).id


@router.get("/{study_id}/events", response_class=EventSourceResponse)
async def events(
    study_id: Annotated[str, Depends(known)],
    studies: Service,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncGenerator[ServerSentEvent]:
    """A study as it comes: progress, case (each as it is made), statistics (over those so far), then done or failed."""
    async with aclosing(studies.events(study_id, cursor(last_event_id))) as stream:
        async for event in stream:
            yield ServerSentEvent(raw_data=await data_json(event.data), event=event.kind, id=str(event.id))


@router.post("/{study_id}/cancel")
async def cancel(study_id: str, studies: Service) -> AcceptedStudy:
    """Stop it, and the analyses that were begun for it; what is finished stays, and asking for it again goes on."""
    await studies.cancel(study_id)
    return await _accepted(study_id, studies)


@router.delete("/{study_id}", status_code=204)
async def delete(study_id: str, studies: Service) -> Response:
    """Remove it for good. The analyses of its cases stay."""
    await studies.delete(study_id)
    return Response(status_code=204)


@router.get("/{study_id}/results.csv", response_class=Response)
async def csv(study_id: str, studies: Service) -> Response:
    """Its readings, one a row, with what was measured of each. Texts are guarded as in an analysis's export.csv."""
    study = await studies.get(study_id)
    body = await asyncio.to_thread(results_csv, study)
    return Response(
        body, headers=attachment(study, "csv"), media_type="text/csv; charset=utf-8; header=present"
    )


@router.get("/{study_id}/results.parquet", response_class=StreamingResponse)
async def parquet(study_id: str, studies: Service) -> StreamingResponse:
    """The columns of results.csv, with the texts as they are; the file's metadata hold the request and statistics."""
    study = await studies.get(study_id)
    file = await asyncio.to_thread(results_parquet, study)
    headers = attachment(study, "parquet")
    return StreamingResponse(chunks(file), headers=headers, media_type="application/vnd.apache.parquet")


async def _accepted(id: str, studies: Studies) -> AcceptedStudy:
    return AcceptedStudy(id=id, url=study_url(id), status=(await studies.get(id)).status)


def attachment(study: Study, extension: str) -> dict[str, str]:
    """Headers under which a browser keeps the answer as a file."""
    return {"Content-Disposition": f'attachment; filename="study_{study.id}.{extension}"'}
