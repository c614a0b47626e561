"""Low-rank adapters, in the file format of `peft`, so that other tools can load them too."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RANK = 32
PREFIX = "base_model.model."


class LoraLinear(nn.Module):
    """y = W x + B A x: W frozen in the model's precision, A and B kept in float32 for the optimiser."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.weight = base.weight.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.empty(rank, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        low = F.linear(x, self.lora_A.to(x.dtype))
        return F.linear(x, self.weight) + F.linear(low, self.lora_B.to(x.dtype))


def add(model: nn.Module, blocks: Sequence[nn.Module], rank: int = RANK) -> list[nn.Parameter]:
    """Put an adapter on every projection of `blocks`; returns what is to be trained."""
    model.requires_grad_(False)
    for module in [module for block in blocks for module in block.modules()]:
        for name, child in list(module.named_children()):
            if name in TARGETS and isinstance(child, nn.Linear):
                setattr(module, name, LoraLinear(child, rank))
    return [p for p in model.parameters() if p.requires_grad]


def state(model: nn.Module, stem: str = "") -> dict[str, Tensor]:
    """The adapters' float32 tensors by peft's names; `stem` leads from the causal model to `model`."""
    return {
        f"{PREFIX}{stem}{name}.weight": p.detach().cpu()
        for name, p in model.named_parameters()
        if ".lora_" in name
    }


def save(model: nn.Module, folder: Path, rank: int = RANK, stem: str = "") -> None:
    """`adapter_model.safetensors` in float16 and `adapter_config.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.half().contiguous() for k, v in state(model, stem).items()}
    save_file(tensors, folder / "adapter_model.safetensors")
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": list(TARGETS),
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def load(model: nn.Module, folder: Path, stem: str = "") -> None:
    """Begin with the adapters in `folder`, which `save` has written."""
    kept = load_file(folder / "adapter_model.safetensors")
    for name, p in model.named_parameters():
        if ".lora_" in name:
            p.data.copy_(kept[f"{PREFIX}{stem}{name}.weight"])


def merged(model: nn.Module) -> nn.Module:
    """The same model with every adapter added into its weight: what is sampled from, faster than the sum of two."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, LoraLinear):
                rows, columns = child.weight.shape
                plain = nn.Linear(columns, rows, bias=False, device="meta")
                weight = child.weight.float() + child.lora_B.detach() @ child.lora_A.detach()
                plain.weight = nn.Parameter(weight.to(child.weight.dtype), requires_grad=False)
                setattr(module, name, plain)
    return model
