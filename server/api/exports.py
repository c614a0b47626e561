"""/api/analyses/{id}/export.*: an analysis as a file. The page that opens without a server is the frontend's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import IO

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from server.analyses import export
from server.analyses.encoding import analysis_json
from server.analyses.schema import Analysis
from server.api.analyses import Service

router = APIRouter(prefix="/api/analyses", tags=["exports"])
_CHUNK = 1 << 18


@router.get("/{analysis_id}/export.json", response_model=Analysis)
async def json(analysis_id: str, analyses: Service) -> Response:
    """All of it but the vectors, as `GET /api/analyses/{id}` answers it."""
    analysis = await analyses.get(analysis_id)
    headers = export.attachment(analysis, "json")
    return Response(await analysis_json(analysis), headers=headers, media_type="application/json")


@router.get("/{analysis_id}/export.csv", response_class=Response)
async def csv(analysis_id: str, analyses: Service) -> Response:
    """Its readings, one a row.

    A text that a spreadsheet might calculate (it begins with =, +, -, @, a tab or a line end) has an apostrophe
    in front, and so has one that begins with an apostrophe. JSON and Parquet hold the texts as they are.
    """
    analysis = await analyses.get(analysis_id)
    body = await asyncio.to_thread(export.readings_csv, analysis)
    headers = export.attachment(analysis, "csv")
    return Response(body, headers=headers, media_type="text/csv; charset=utf-8; header=present")


@router.get("/{analysis_id}/export.parquet", response_class=StreamingResponse)
async def parquet(analysis_id: str, analyses: Service) -> StreamingResponse:
    """Its readings, one a row, with `activation` (exact) and `reconstruction` (kept in half precision).

    The file's metadata name the pair, the layer, V, the request and the versions.
    """
    analysis, file = await analyses.parquet(analysis_id)
    headers = export.attachment(analysis, "parquet")
    return StreamingResponse(_chunks(file), headers=headers, media_type="application/vnd.apache.parquet")


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk
