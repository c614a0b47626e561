"""/api/analyses/{id}/causal, /tests, /agreement and /mentions: causal scores, tests and agreement of readings, and the
words that they mention.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from server.analyses.word_curves import LONGEST
from server.api.measurements import Service, answer
from server.measurements.agreement_schema import Agreement
from server.measurements.form_tests import measurement_request
from server.measurements.schema import (
    CausalRequest,
    FormTest,
    FormTestRequest,
    Measurement,
    MeasurementRequest,
    PendingMeasurement,
    WordMentions,
)

router = APIRouter(prefix="/api", tags=["measurements"])
DEFAULT = CausalRequest()


@router.post(
    "/analyses/{analysis_id}/causal",
    status_code=202,
    response_model=PendingMeasurement,
    responses={200: {"model": Measurement, "description": "They were measured before."}},
)
async def create_causal(
    analysis_id: str, measurements: Service, request: CausalRequest = DEFAULT
) -> Response:
    """Have the causal scores of an analysis measured. `GET /api/analyses/{id}` then has them with each reading."""
    asked = MeasurementRequest(horizon=request.horizon, seed=request.seed)
    id, _ = await measurements.submit(analysis_id, asked)
    return answer(await measurements.get(analysis_id, id))


@router.post(
    "/analyses/{analysis_id}/tests",
    status_code=202,
    response_model=FormTest,
    responses={200: {"description": "It existed."}},
)
async def create_test(
    analysis_id: str, request: FormTestRequest, measurements: Service, response: Response
) -> FormTest:
    """Test the readings of an analysis: score them again in another form."""
    id, made = await measurements.submit(analysis_id, measurement_request(request))
    response.status_code = 200 if made else 202
    response.headers["Location"] = f"/api/tests/{id}"
    return await measurements.test(id)


@router.get("/analyses/{analysis_id}/agreement")
async def agreement(
    analysis_id: str, measurements: Service, position: Annotated[int | None, Query(ge=0)] = None
) -> Agreement:
    """Compare the readings of each token, or of one `position`, with each other: several samples of one analysis."""
    return await measurements.agreement(analysis_id, position)


@router.get("/analyses/{analysis_id}/mentions")
async def mentions(
    analysis_id: str, measurements: Service, word: Annotated[str, Query(min_length=1, max_length=LONGEST)]
) -> WordMentions:
    """Find the readings that mention `word`, in any case, in the plural, a number in figures or in words. How likely
    the model finds it along the text is a measurement of the kind `word`.
    """
    return await measurements.mentions(analysis_id, word)


@router.get("/tests/{test_id}")
async def get_test(test_id: str, measurements: Service) -> FormTest:
    """A test at any stage. Its events, and its end, are those of the measurement of the same id."""
    return await measurements.test(test_id)
