"""Where the parts of a causal language model of transformers are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def text_model(model: Any) -> Any:
    """The stack of blocks: `model.model`, or its `language_model` inside a multimodal wrapper (Gemma 3)."""
    inner = model.model
    return getattr(inner, "language_model", inner)


def text_config(model: Any) -> Any:
    """The text part of a configuration that may be multimodal."""
    return model.config.get_text_config()


def head(model: Any, normed: Tensor) -> Tensor:
    """[n, d] after the final norm -> logits [n, V], soft-capped where the model does that (Gemma)."""
    out: Tensor = model.lm_head(normed)
    cap: float | None = getattr(text_config(model), "final_logit_softcapping", None)
    return out if cap is None else torch.tanh(out / cap) * cap
