"""For whoever watches the server: alive, ready, figures."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server import __version__

router = APIRouter(tags=["server"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is alive."""
    return {"status": "alive", "version": __version__}


@router.get("/readyz", responses={503: {"description": "The models are loading, or could not be loaded."}})
async def readyz(request: Request) -> Response:
    """200 when the models are resident and the AV's engine is well; otherwise 503 with what is loading or amiss."""
    models = request.app.state.models
    body = {"status": models.state, "pair": models.name, "detail": models.message}
    if models.unavailable_reason:
        body |= {"status": "trouble", "detail": models.unavailable_reason}
    return JSONResponse(body, 200 if body["status"] == "ready" else 503)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Prometheus figures."""
    state = request.app.state
    state.metrics.ready.set(state.models.state == "ready" and state.models.unavailable_reason is None)
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
