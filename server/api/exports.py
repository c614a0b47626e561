"""/api/analyses/{id}/export.*: an analysis as a file, and its edits and its siblings' readings as tables. The
page that opens without a server is the frontend's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import IO

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from server.analyses import export
from server.analyses.schema import Analysis
from server.api.analyses import Service
from server.api.interventions import Service as Interventions
from server.api.measurements import Service as Measurements
from server.interventions.export import edits_csv, edits_parquet
from server.measurements.export import measurements_csv as causal_csv
from server.measurements.export import measurements_parquet as causal_parquet
from server.measurements.export import tracked_word_csv
from server.measurements.exported import ExportedAnalysis, exported_json

router = APIRouter(prefix="/api/analyses", tags=["exports"])
_CHUNK = 1 << 18


@router.get("/{analysis_id}/export.json", response_model=ExportedAnalysis)
async def json(
    analysis_id: str, analyses: Service, interventions: Interventions, measurements: Measurements
) -> Response:
    """All of it but the vectors: what `GET /api/analyses/{id}` answers, with the edits (`interventions`), the causal
    scores (`measurements`), and with what its siblings read (further pairs of the same text; `tokens` and `readings` of
    each in `siblings`).
    """
    analysis = await measurements.with_causal(await analyses.get(analysis_id))
    siblings, edits = await analyses.sibling_readings(analysis), await interventions.of(analysis.id)
    measured = await measurements.of(analysis.id)
    headers = export.attachment(analysis, "json")
    body = await exported_json(analysis, siblings, edits, measured)
    return Response(body, headers=headers, media_type="application/json")


@router.get("/{analysis_id}/export.csv", response_class=Response)
async def csv(analysis_id: str, analyses: Service) -> Response:
    """Its readings, one a row. Edits and siblings have tables of their own.

    A text that a spreadsheet might calculate (it begins with =, +, -, @, a tab or a line end) has an apostrophe
    in front, and so has one that begins with an apostrophe. JSON and Parquet hold the texts as they are.
    """
    analysis = await analyses.get(analysis_id)
    return _csv(analysis, await asyncio.to_thread(export.readings_csv, analysis), "csv")


@router.get("/{analysis_id}/export.parquet", response_class=StreamingResponse)
async def parquet(analysis_id: str, analyses: Service) -> StreamingResponse:
    """Its readings, one a row, with `activation` (exact) and `reconstruction` (kept in half precision).

    The file's metadata name the pair, the layer, V, the request and the versions.
    """
    analysis, file = await analyses.parquet(analysis_id)
    return _parquet(analysis, file, "parquet")


@router.get("/{analysis_id}/interventions.csv", response_class=Response)
async def interventions_csv(analysis_id: str, analyses: Service, interventions: Interventions) -> Response:
    """Its edits, one a row: what was asked, the model's first choice and reply before and after, and in
    columns of JSON the rest of what `GET /api/analyses/{id}/interventions` answers (controls, sweep and all).
    Texts are guarded as in export.csv.
    """
    analysis = await analyses.get(analysis_id)
    edits = await interventions.of(analysis.id)
    return _csv(analysis, await asyncio.to_thread(edits_csv, analysis, edits), "edits.csv")


@router.get("/{analysis_id}/interventions.parquet", response_class=StreamingResponse)
async def interventions_parquet(
    analysis_id: str, analyses: Service, interventions: Interventions
) -> StreamingResponse:
    """Its edits, with the columns of interventions.csv and the texts as they are."""
    analysis = await analyses.get(analysis_id)
    edits = await interventions.of(analysis.id)
    return _parquet(analysis, await asyncio.to_thread(edits_parquet, analysis, edits), "edits.parquet")


@router.get("/{analysis_id}/measurements.csv", response_class=Response)
async def measurements_csv(analysis_id: str, analyses: Service, measurements: Measurements) -> Response:
    """Its causal scores, one reading a row, with the effects of the reading and of each control. Tokens are guarded as
    in export.csv.
    """
    analysis = await analyses.get(analysis_id)
    made = await measurements.of(analysis.id)
    return _csv(analysis, await asyncio.to_thread(causal_csv, analysis, made), "causal.csv")


@router.get("/{analysis_id}/measurements.parquet", response_class=StreamingResponse)
async def measurements_parquet(
    analysis_id: str, analyses: Service, measurements: Measurements
) -> StreamingResponse:
    """Its causal scores, with the columns of measurements.csv and the tokens as they are."""
    analysis = await analyses.get(analysis_id)
    made = await measurements.of(analysis.id)
    return _parquet(analysis, await asyncio.to_thread(causal_parquet, analysis, made), "causal.parquet")


@router.get("/{analysis_id}/measurements/{measurement_id}/word.csv", response_class=Response)
async def word_csv(
    analysis_id: str, measurement_id: str, analyses: Service, measurements: Measurements
) -> Response:
    """A word that was tracked, one layer at one position a row, in both variants. Tokens are guarded as in
    export.csv.
    """
    analysis = await analyses.get(analysis_id)
    made = await measurements.get(analysis.id, measurement_id)
    return _csv(analysis, await asyncio.to_thread(tracked_word_csv, analysis, made), "word.csv")


@router.get("/{analysis_id}/siblings.csv", response_class=Response)
async def siblings_csv(analysis_id: str, analyses: Service) -> Response:
    """The siblings' readings: the columns of export.csv after the pair, the layer and the analysis that a row is of."""
    analysis = await analyses.get(analysis_id)
    siblings = await analyses.sibling_readings(analysis)
    return _csv(analysis, await asyncio.to_thread(export.siblings_csv, siblings), "siblings.csv")


@router.get("/{analysis_id}/siblings.parquet", response_class=StreamingResponse)
async def siblings_parquet(analysis_id: str, analyses: Service) -> StreamingResponse:
    """The same, with the texts as they are. The vectors are in the export of each sibling."""
    analysis = await analyses.get(analysis_id)
    siblings = await analyses.sibling_readings(analysis)
    file = await asyncio.to_thread(export.siblings_parquet, analysis, siblings)
    return _parquet(analysis, file, "siblings.parquet")


def _csv(analysis: Analysis, body: bytes, extension: str) -> Response:
    headers = export.attachment(analysis, extension)
    return Response(body, headers=headers, media_type="text/csv; charset=utf-8; header=present")


def _parquet(analysis: Analysis, file: IO[bytes], extension: str) -> StreamingResponse:
    headers = export.attachment(analysis, extension)
    return StreamingResponse(chunks(file), headers=headers, media_type="application/vnd.apache.parquet")


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The parts of a file that is closed after them."""
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk
