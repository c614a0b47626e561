"""Parts of a causal language model of transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

HALF = (torch.bfloat16, torch.float16)
PART_BYTES = 64 * 2**20
"""Bound on the part of a head that is widened to float32 at a time."""


def text_model(model: Any) -> Any:
    """The stack of blocks: `model.model`, or its `language_model` inside a multimodal wrapper (Gemma 3)."""
    inner = model.model
    return getattr(inner, "language_model", inner)


def text_config(model: Any) -> Any:
    """The text part of a configuration that may be multimodal."""
    return model.config.get_text_config()


def head(model: Any, normed: Tensor) -> Tensor:
    """[n, d] after the final norm -> logits [n, V] in float32, soft-capped where the model does that (Gemma).

    Logits rounded to bfloat16 would have steps of an eighth from 16 on: a probability is then off by up to 6 %.
    """
    module = model.lm_head
    weight: Tensor = module.weight
    if weight.dtype in HALF and normed.dtype == weight.dtype:
        out = wide_product(normed.to(weight.device), weight)
        if getattr(module, "bias", None) is not None:
            out += module.bias.float()
    else:
        out = module(normed).float()
    cap: float | None = getattr(text_config(model), "final_logit_softcapping", None)
    return out if cap is None else torch.tanh(out / cap) * cap


def wide_product(x: Tensor, weight: Tensor) -> Tensor:
    """x [n, d] @ weight [V, d]^T of half-precision numbers, summed and kept in float32: [n, V]."""
    if x.is_cuda:
        return torch.mm(x, weight.T, out_dtype=torch.float32)
    out = x.new_empty(len(x), len(weight), dtype=torch.float32)
    step = max(1, PART_BYTES // (4 * weight.shape[1]))
    wide = x.float()
    for first in range(0, len(weight), step):
        part = slice(first, first + step)
        torch.mm(wide, weight[part].float().T, out=out[:, part])
    return out
