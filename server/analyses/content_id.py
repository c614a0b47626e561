"""The content address: what was asked decides where it stands, so that nothing is computed twice."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence

from server.analyses.schema import SEVERAL, AnalysisRequest, Verbalise

ID_LENGTH = 16
"""Characters of an id: 80 bits of the hash, in letters and digits."""


def normalised(request: AnalysisRequest, pair: str) -> AnalysisRequest:
    """The request with everything filled in and in one order, so that equal wishes are equal requests."""
    verbalise = settled(request.verbalise)
    positions = request.positions
    if isinstance(positions, list):
        positions = sorted(set(positions))
    also = sorted(set(request.also) - {pair})
    return request.model_copy(
        update={"pair": pair, "verbalise": verbalise, "positions": positions, "also": also}
    )


def settled(verbalise: Verbalise) -> Verbalise:
    """The options of the AV with a temperature: greedy for one sample, SEVERAL for more."""
    if verbalise.temperature is not None:
        return verbalise
    temperature = 0.0 if verbalise.samples == 1 else SEVERAL
    return Verbalise(**{**verbalise.model_dump(), "temperature": temperature})


def content_id(pair: str, fingerprint: str, prompt_ids: Sequence[int], request: AnalysisRequest) -> str:
    """The hash of the pair (name and weights), the prompt as the model sees it, and a `normalised` request's
    settings.
    """
    settings = request.model_dump(mode="json", include={"generate", "positions", "verbalise"})
    return digest([pair, fingerprint, list(prompt_ids), settings])


def text_id(target: str, prompt_ids: Sequence[int], request: AnalysisRequest) -> str:
    """The id that the analyses of one text by several pairs of one target share: the hash of all but the pair."""
    return content_id("", target, prompt_ids, request)


def provisional_id(request: AnalysisRequest) -> str:
    """The id of a request whose tokens are not known yet, because the tokenizer is still loading.

    A wish that not every request has counts only where it is there, so that the ids of before stay.
    """
    asked = request.model_dump(mode="json", exclude={"also", "causal"})
    if not asked["continue_final_message"]:
        del asked["continue_final_message"]
    return short("unread:" + digest(asked))


def short(address: str) -> str:
    """The id of a new analysis with this address."""
    digest = hashlib.sha256(address.encode()).digest()
    return base64.b32encode(digest)[:ID_LENGTH].decode().lower()


def digest(document: object) -> str:
    """The hash of a document that is JSON."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
