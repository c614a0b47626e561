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
    """200 when the models are resident; before that 503 with what is loading."""
    models = request.app.state.models
    body = {"status": models.state, "pair": models.name, "detail": models.message}
    return JSONResponse(body, 200 if models.state == "ready" else 503)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Prometheus figures."""
    state = request.app.state
    state.metrics.ready.set(state.models.state == "ready")
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
