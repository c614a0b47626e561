"""Templates of prompts, and the analyses that are asked of what they become."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from server.analyses.schema import AnalysisRequest, Generate, Message
from server.errors import BadInput
from server.studies.requests import Request

Content = str | Sequence[Message]


def filled(template: Content, slots: Mapping[str, str]) -> Content:
    """The template with what stands in each `{slot}`; what is filled in is not searched again."""
    if isinstance(template, str):
        return fill(template, slots)
    return [Message.model_construct(role=m.role, content=fill(m.content, slots)) for m in template]


def fill(text: str, slots: Mapping[str, str]) -> str:
    """Fill a text, as `filled` does."""
    if not slots:
        return text
    names = "|".join(re.escape(f"{{{name}}}") for name in slots)
    return re.sub(names, lambda found: slots[found[0][1:-1]], text)


def asking(content: Content, request: Request, generate: Generate | None) -> AnalysisRequest:
    """The analysis of this prompt, of which no position is read yet. Raises BadInput for one that is empty."""
    wanted: dict[str, object] = {"pair": request.pair, "positions": [], "verbalise": request.verbalise}
    if generate is not None:
        wanted["generate"] = generate
    if not isinstance(content, str):
        wanted["messages"] = [{"role": m.role, "content": m.content} for m in content]
        wanted["continue_final_message"] = content[-1].role == "assistant"
    elif request.raw:
        wanted["text"] = content
    else:
        wanted["messages"] = [{"role": "user", "content": content}]
    try:
        return AnalysisRequest.model_validate(wanted)
    except ValidationError as error:
        raise BadInput("template", "The prompt is empty: something has to stand there.") from error
