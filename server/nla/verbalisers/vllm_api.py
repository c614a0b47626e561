"""Requests to a vLLM server, and the answers that it must give."""

from __future__ import annotations

import base64
import io
import json
from typing import Annotated, Any, TypeVar

import torch
from pydantic import BaseModel, Field, ValidationError

from server.nla.verbalisers.prompt import Pieces

Answer = TypeVar("Answer", bound=BaseModel)
SHOWN = 120
"""Characters of a bad answer that a message shows."""


class BadAnswer(Exception):
    """An answer that no vLLM server gives; the text quotes its beginning."""


class Model(BaseModel):
    """One entry of `Models`."""

    id: str


class Models(BaseModel):
    """GET /v1/models."""

    data: Annotated[list[Model], Field(min_length=1)]


class Tokens(BaseModel):
    """POST /tokenize."""

    tokens: list[int]


class PromptDetails(BaseModel):
    """Part of `Usage`, where the server tells it."""

    cached_tokens: int | None = None


class Usage(BaseModel):
    """The last event of a stream."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None


class Choice(BaseModel):
    """The next tokens of one sample."""

    index: Annotated[int, Field(ge=0)]
    token_ids: list[Annotated[int, Field(ge=0, lt=2**31)]] | None = None
    finish_reason: str | None = None


class Event(BaseModel):
    """One `data:` line of a stream."""

    error: Any = None
    usage: Usage | None = None
    choices: list[Choice] = []


def read_as(kind: type[Answer], text: str | bytes) -> Answer:
    """Parse an answer. Raises BadAnswer."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        said = text.decode(errors="replace") if isinstance(text, bytes) else text
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise BadAnswer(f"{wrong['msg']}, in {quoted(said)}") from error


def quoted(text: str) -> str:
    """The beginning of an answer, on one line."""
    line = " ".join(text.split())
    return repr(line if len(line) <= SHOWN else line[:SHOWN] + "…")


def refusal(text: str) -> str:
    """The reason in the body of an answer of status 4xx."""
    try:
        found = json.loads(text)
        return str(found.get("error", found).get("message", text))[:300]
    except (ValueError, AttributeError):
        return quoted(text)


def messages(pieces: Pieces, row: torch.Tensor) -> list[dict[str, Any]]:
    """One user message: what the template says before and after the activation, and the row [1, d] between."""
    buffer = io.BytesIO()
    torch.save(row.float().clone(), buffer)
    parts = [
        {"type": "text", "text": pieces.before},
        {"type": "prompt_embeds", "data": base64.b64encode(buffer.getvalue()).decode()},
        {"type": "text", "text": pieces.after},
    ]
    return [{"role": "user", "content": [part for part in parts if part.get("text") != ""]}]
