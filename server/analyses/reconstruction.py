"""Bounds on what a request may have the AR read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from server.errors import BadInput, FieldError
from server.settings import Settings

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair


async def check_lengths(pair: LoadedPair, field: str, texts: Sequence[str], settings: Settings) -> None:
    """Raise BadInput for texts of a request that are more than this server lets the AR read: `field` names the list, or
    the text where there is but one. No model is asked.
    """
    lengths = await pair.reconstructor.lengths(texts)
    many = field == "texts"
    most = settings.max_text_tokens
    wrong = [
        FieldError(
            f"{field}.{n}" if many else field,
            f"{length:,} tokens; this server gives the AR up to {most:,} of one text. Shorten it, or start the server "
            "with a larger NLA_MAX_TEXT_TOKENS.",
        )
        for n, length in enumerate(lengths)
        if length > most
    ]
    if wrong:
        raise BadInput(wrong[0].field, wrong[0].detail, *wrong[1:])
    if (total := sum(lengths)) > settings.max_call_tokens:
        raise BadInput(
            field,
            f"{total:,} tokens in all; this server takes up to {settings.max_call_tokens:,} in one call. Send fewer "
            "texts at a time, or start the server with a larger NLA_MAX_CALL_TOKENS.",
        )
