"""Limits of requests, checked before any work begins; their numbers are in server/settings.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.analyses.schema import AnalysisRequest, Verbalise
from server.errors import BadInput, FieldError
from server.nla.prompt import ROLES
from server.settings import Settings

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair

LETTERS_PER_TOKEN = 64
"""A prompt with more letters than this for each token it may have is refused before it is tokenised."""


def check_limits(request: AnalysisRequest, settings: Settings) -> None:
    """Raise BadInput for what can be seen without a tokenizer."""
    wrong = []
    reply = request.generate
    if reply is not None and reply.max_new_tokens > settings.max_reply_tokens:
        wrong.append(_above("generate.max_new_tokens", reply.max_new_tokens, settings.max_reply_tokens))
    wrong += _beyond(request.verbalise, "verbalise.", settings)
    if request.positions == "generated" and reply is None:
        wrong.append(FieldError("positions", "There is no reply to read: ask for one with `generate`."))
    for n, message in enumerate(request.messages or ()):
        if message.role not in ROLES:
            said = f"Unknown role {message.role!r}: use {', '.join(sorted(ROLES))}."
            wrong.append(FieldError(f"messages.{n}.role", said))
    letters = len(request.prompt_text)
    if letters > settings.max_prompt_tokens * LETTERS_PER_TOKEN:
        detail = f"{letters:,} letters: this server takes up to {settings.max_prompt_tokens:,} tokens."
        wrong.append(FieldError(_prompt_field(request), detail))
    _raise(wrong)


def check_verbalise(verbalise: Verbalise, settings: Settings) -> None:
    """Raise BadInput for more readings, or longer ones, than this server writes at a time. Fields have no prefix."""
    _raise(_beyond(verbalise, "", settings))


def _beyond(verbalise: Verbalise, prefix: str, settings: Settings) -> list[FieldError]:
    wrong = []
    if verbalise.max_new_tokens > settings.max_reading_tokens:
        most = settings.max_reading_tokens
        wrong.append(_above(f"{prefix}max_new_tokens", verbalise.max_new_tokens, most))
    if verbalise.samples > settings.max_samples:
        wrong.append(_above(f"{prefix}samples", verbalise.samples, settings.max_samples))
    return wrong


def check_prompt(request: AnalysisRequest, prompt_length: int, pair: LoadedPair, settings: Settings) -> None:
    """Raise BadInput for what can be seen once the prompt is tokenised."""
    if prompt_length == 0:
        raise BadInput(_prompt_field(request), "The prompt is empty: type something.")
    longest = min(settings.max_prompt_tokens, pair.target.max_tokens)
    if prompt_length > longest:
        raise BadInput(
            _prompt_field(request),
            f"The prompt is {prompt_length:,} tokens long; this server takes up to {longest:,}. Shorten it.",
        )
    reply = request.generate.max_new_tokens if request.generate else 0
    if prompt_length + reply > pair.target.max_tokens:
        raise BadInput(
            "generate.max_new_tokens",
            f"Prompt and reply together would be {prompt_length + reply:,} tokens; the model reads "
            f"{pair.target.max_tokens:,}.",
        )
    if isinstance(request.positions, list):
        last = prompt_length + reply - 1
        said = f"the prompt ends at {prompt_length - 1}" + (f", the longest reply at {last}" if reply else "")
        _raise(
            [
                FieldError(f"positions.{i}", f"There is no position {position}: {said}.")
                for i, position in enumerate(request.positions)
                if position > last
            ]
        )


def _prompt_field(request: AnalysisRequest) -> str:
    return "text" if request.text is not None else "messages"


def _above(field: str, value: int, limit: int) -> FieldError:
    return FieldError(field, f"{value:,} is more than the {limit:,} that this server takes.")


def _raise(wrong: list[FieldError]) -> None:
    if wrong:
        raise BadInput(wrong[0].field, wrong[0].detail, *wrong[1:])
