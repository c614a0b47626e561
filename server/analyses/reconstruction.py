"""Text → vector by the pair's AR, within bounds and a batch at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from server.errors import BadInput, FieldError
from server.settings import Settings

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair


async def reconstruct(pair: LoadedPair, texts: Sequence[str]) -> NDArray[np.float32]:
    """[n, d], one vector a text. Between two batches the AR's lane and the processor are free for others, and the work
    ends there when the caller is cancelled.
    """
    out = np.zeros((len(texts), pair.d_model), np.float32)
    batches = pair.reconstructor.in_batches(texts)
    while (batch := await pair.run_on("ar", next, batches, None)) is not None:
        indices, vectors = batch
        out[indices] = vectors
    return out


async def check_lengths(pair: LoadedPair, field: str, texts: Sequence[str], settings: Settings) -> None:
    """Raise BadInput for texts of a request that are more than this server lets the AR read: `field` names the list, or
    the text where there is but one. No model is asked.
    """
    lengths = await asyncio.to_thread(pair.reconstructor.lengths, texts)
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
