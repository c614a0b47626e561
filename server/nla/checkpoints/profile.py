"""A pair's rules: how the activation is injected, into which prompt, and what of the answer is the reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Injection = Literal["replace_norm", "replace_scale", "residual_add"]
Chat = Literal["target", "own", "none"]
Form = Literal["tags", "bullets"]

ADDED_AFTER = 1
"""The block after which `residual_add` adds, counted from 0."""


@dataclass(frozen=True)
class Profile:
    """Profile of a pair: the rules by which it was trained. The defaults are the released pairs' rules.

    `injection`: the marker's embedding becomes the activation at the norm (`replace_norm`) or times the factor
    (`replace_scale`) that the sidecar calls injection_scale; or the activation is added later (`residual_add`).
    `chat`: the AV's prompt is one user turn in the target's chat template, in a template of the AV's own, or in none.
    `reading`: what stands between the explanation tags, or everything (`bullets`).
    """

    injection: Injection = "replace_norm"
    chat: Chat = "target"
    reading: Form = "tags"

    @property
    def adds(self) -> bool:
        """True if the activation is added to the residual stream, and the marker keeps its embedding."""
        return self.injection == "residual_add"

    def row(self, h: Tensor, scale: float) -> Tensor:
        """[B, d] float32 that the AV is given for activations [B, d]; where it `adds`, those themselves."""
        match self.injection:
            case "replace_norm":
                return replace_norm(h, scale)
            case "replace_scale":
                return replace_scale(h, scale)
            case _:
                return h.float()


AS_RELEASED = Profile()

CHOICES: dict[str, tuple[str, ...]] = {
    "injection": get_args(Injection),
    "chat": get_args(Chat),
    "reading": get_args(Form),
}
"""Keys of a profile in a user's file."""


def replace_norm(h: Tensor, norm: float) -> Tensor:
    """[B, d] rescaled to L2 norm `norm`, in float32; a zero vector stays zero."""
    length = h.float().norm(dim=-1, keepdim=True)
    tiny = torch.finfo(torch.float32).tiny
    scaled = h.float() * (norm / length.clamp_min(tiny))
    out: Tensor = scaled.masked_fill(length == 0, 0.0)
    return out


def replace_scale(h: Tensor, factor: float) -> Tensor:
    """[B, d] times a factor, in float32."""
    return h.float() * factor


def residual_add(residual: Tensor, v: Tensor) -> Tensor:
    """residual + ‖residual‖ · v/‖v‖ by rows, in float32; a zero v adds nothing."""
    wide = residual.float()
    out: Tensor = wide + replace_norm(v, 1.0) * wide.norm(dim=-1, keepdim=True)
    return out.to(residual)


@contextmanager
def adding(blocks: Any, v: Tensor | None) -> Iterator[None]:
    """While open, the first of the rows that are fed gets v [B, d] added after its block; nothing without v."""
    if v is None:
        yield
        return

    def add(_module: Any, _inputs: Any, out: Any) -> Any:
        hidden = (out[0] if isinstance(out, tuple) else out).clone()
        hidden[:, 0] = residual_add(hidden[:, 0], v)
        return (hidden, *out[1:]) if isinstance(out, tuple) else hidden

    hook = blocks[ADDED_AFTER].register_forward_hook(add)
    try:
        yield
    finally:
        hook.remove()
