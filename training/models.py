"""The two models in training: the target's weights, frozen (see `precision`), with float32 adapters on the upper
blocks.

The lowest blocks stay as they are: nothing below the first adapter needs a backward pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM

from server.nla.checkpoints.weights import HEAD_FILE
from training import lora
from training.positions import LAYER

AV_FROM, AR_FROM = 6, 3
"""The first block with an adapter."""


@dataclass
class Tuned:
    """A model, what is trained of it, and (for the AR) the head."""

    model: Any
    parameters: list[nn.Parameter]
    head: nn.Linear | None = None

    def restore(self, keep: Path) -> Tuned:
        """Take the parameters that `tune.run` kept."""
        for parameter, value in zip(self.parameters, torch.load(keep)["parameters"], strict=True):
            parameter.data.copy_(value)
        return self


def device() -> str:
    """A GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def precision() -> torch.dtype:
    """bfloat16, or float32 on a CPU that does not multiply in it: emulated, products take several times as long."""
    operations = torch.ops.mkldnn
    cpu = hasattr(operations, "_is_mkldnn_bf16_supported") and operations._is_mkldnn_bf16_supported()
    return torch.bfloat16 if cpu or torch.cuda.is_available() else torch.float32


def base(target: Path, dtype: torch.dtype | None = None, attention: str = "eager") -> Any:
    """The target; plain attention is faster on a CPU for texts as short as readings."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        target, dtype=dtype or precision(), attn_implementation=attention
    )
    return model.to(device())


def av(target: Path, start: Path | None = None) -> Tuned:
    """All blocks of the target, its adapters empty or those of the pair in `start`."""
    model = base(target)
    parameters = lora.add(model, model.model.layers[AV_FROM:])
    if start is not None:
        lora.load(model, start / "av")
    return Tuned(model, parameters)


def ar(target: Path, start: Path | None = None) -> Tuned:
    """The first K + 1 blocks without the final norm, and the head: without adapters and the identity, or the pair's in
    `start`.
    """
    model = base(target).model
    model.layers = model.layers[: LAYER + 1]
    model.norm = nn.Identity()
    head = nn.Linear(model.config.hidden_size, model.config.hidden_size, bias=False, device=device())
    head.weight.data.copy_(torch.eye(model.config.hidden_size))
    parameters = [*lora.add(model, model.layers[AR_FROM:]), *head.parameters()]
    if start is not None:
        lora.load(model, start / "ar", stem="model.")
        head.weight.data.copy_(load_file(start / "ar" / HEAD_FILE)["weight"])
    return Tuned(model, parameters, head)
