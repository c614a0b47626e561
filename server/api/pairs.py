"""GET /api/pairs: what there is to choose from."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request

router = APIRouter(prefix="/api/pairs", tags=["pairs"])


class Pair(BaseModel):
    """One target with its AV and AR. A path is null until it is on disk.

    `configured`: analyses may ask for it. `resident` names the one that the server holds, and `state` says how that is:
    loading, ready or failed.
    """

    name: str
    target_path: str | None
    av_path: str | None
    ar_path: str | None
    layer: int | None
    d_model: int | None
    configured: bool
    resident: bool
    state: str | None = None


@router.get("")
async def pairs(request: Request) -> list[Pair]:
    """All pairs of the catalogue."""
    models = request.app.state.models
    described = await asyncio.to_thread(models.source.describe)
    return [
        Pair(
            name=entry["name"],
            target_path=_text(entry["target_path"]),
            av_path=_text(entry["av_path"]),
            ar_path=_text(entry["ar_path"]),
            layer=entry["layer"],
            d_model=entry["d_model"],
            configured=entry["name"] in models.names,
            resident=entry["name"] == models.name,
            state=models.state if entry["name"] == models.name else None,
        )
        for entry in described
    ]


def _text(path: object) -> str | None:
    return None if path is None else str(path)
