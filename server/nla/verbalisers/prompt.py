"""The AV's prompt, the same for every engine: its ids, the slot where the activation goes, and the row put there.

By which rule the row is made of the activation is said in server/nla/checkpoints/profile.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from server.errors import CheckpointError
from server.nla.checkpoints.sidecar import SIDECAR
from server.nla.checkpoints.specs import AvSpec, check_marker
from server.nla.verbalisers.base import ReadingRequest


@dataclass(frozen=True)
class AvPrompt:
    """`ids` with the marker at `slot`. `salt` keeps caches of prefixes apart from those of other checkpoints."""

    ids: list[int]
    slot: int
    salt: str
    spec: AvSpec

    @classmethod
    def of(cls, tokenizer: Any, spec: AvSpec) -> AvPrompt:
        """Raises CheckpointError where the marker is not what the sidecar says."""
        ids = prompt_ids(tokenizer, spec)
        sidecar = spec.folder / SIDECAR
        content = sidecar.read_bytes() if sidecar.exists() else b""
        salt = hashlib.sha256(f"{spec.folder} {ids}".encode() + content).hexdigest()[:16]
        return cls(ids, check_marker(spec, ids), salt, spec)

    def fits(self, request: ReadingRequest) -> bool:
        """Return whether the order's activation can be injected: finite, and of the AV's width."""
        return request.activation.shape == (self.spec.d_model,) and bool(
            np.isfinite(request.activation).all()
        )

    def rows(self, requests: Sequence[ReadingRequest]) -> Tensor:
        """[B, d] float32: what is injected for each order, by the profile's rule."""
        h = torch.from_numpy(np.stack([request.activation for request in requests]).astype(np.float32))
        return self.spec.profile.row(h, self.spec.injection_scale)


def prompt_ids(tokenizer: Any, spec: AvSpec) -> list[int]:
    """The AV's prompt: rendered, then tokenised without adding special tokens (exactly one BOS)."""
    ids: list[int] = tokenizer(rendered(tokenizer, spec), add_special_tokens=False)["input_ids"]
    return ids


def rendered(tokenizer: Any, spec: AvSpec) -> str:
    """The AV's prompt as text, the marker in its place: by the chat template, or with what the tokenizer puts before
    any text where the profile has none.
    """
    content = spec.template.replace("{injection_char}", spec.marker)
    if spec.profile.chat == "none":
        bos = tokenizer.bos_token if prepends_bos(tokenizer) else ""
        return f"{bos}{content}"
    chat = [{"role": "user", "content": content}]
    text: str = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return text


def prepends_bos(tokenizer: Any) -> bool:
    """Return whether plain text gets a BOS put before it."""
    bos = tokenizer.bos_token_id
    return bos is not None and tokenizer("a")["input_ids"][:1] == [bos]


@dataclass(frozen=True)
class Pieces:
    """The rendered prompt in pieces: what opens the turn, the user's words around the marker, what closes it."""

    opening: str
    before: str
    after: str
    closing: str

    @classmethod
    def of(cls, tokenizer: Any, spec: AvSpec) -> Pieces:
        """Raises CheckpointError where the chat template changes the user's words by more than trimming them."""
        whole = rendered(tokenizer, spec)
        content = spec.template.replace("{injection_char}", spec.marker)
        for said in (content, content.strip()):
            opening, found, closing = whole.partition(said)
            if found:
                before, _, after = said.partition(spec.marker)
                return cls(opening, before, after, closing)
        raise CheckpointError(f"{spec.folder}: the chat template does not keep the AV's prompt as it is.")
