"""GET /api/pairs: what there is to choose from, and what is known of each."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request

from server.pairs.about import AboutPair, Pair, about_pair, known_pairs

router = APIRouter(prefix="/api/pairs", tags=["pairs"])


@router.get("", response_model=list[Pair])
async def pairs(request: Request) -> list[AboutPair]:
    """All pairs of the catalogue."""
    state = request.app.state
    return await known_pairs(state.models, state.analyses.cards)


@router.get("/{name}")
async def pair(name: str, request: Request) -> AboutPair:
    """One pair of the catalogue, with its card."""
    state = request.app.state
    return await about_pair(name, state.models, state.analyses.cards)
