"""GET /api/limits: what this server takes, so that a client need not find out by being refused."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request

from server.schema import ResponseModel

router = APIRouter(prefix="/api/limits", tags=["limits"])


class Limits(ResponseModel):
    """Upper bounds, each named as its setting (`NLA_` before it, in capitals). What is larger is refused with 413, or
    with 422 and its field's name. Where as many jobs of a kind are at work or wait (`max_queue` to `max_calls`), a
    new one is answered 429 with `Retry-After`.
    """

    max_prompt_tokens: int
    """Tokens of a prompt, its template among them; a pair whose context is shorter takes less."""
    max_reply_tokens: int
    max_reading_tokens: int
    max_samples: int
    """Readings of one position."""
    max_vectors: int
    """Texts or activations of one call of /api/reconstruct, /api/verbalise and /api/score."""
    max_text_tokens: int
    """Tokens of one text that the AR is given: in those calls, and as the words of an edit."""
    max_call_tokens: int
    """Tokens of all texts of one call."""
    max_body_bytes: int
    max_connections: int
    max_running: int
    """Analyses at work at a time."""
    max_queue: int
    """Analyses at work or waiting."""
    max_edits: int
    max_measurements: int
    max_vector_readings: int
    max_studies: int
    max_calls: int
    """Calls of /api/verbalise, /api/reconstruct, /api/score and the lens's words at work or waiting."""
    max_client_share: float
    """Share of each of these that one client may have at work or waiting, where a token is demanded."""
    max_cases: int
    """Prompts or problems of one study."""


@router.get("")
async def limits(request: Request) -> Limits:
    """The limits of this server."""
    settings = request.app.state.settings
    return Limits(**{name: getattr(settings, name) for name in Limits.model_fields})
