"""Loading with transformers: each model on the devices and in the kind of the plan."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch

from server.errors import CheckpointError, SettingsError
from server.nla.memory.estimates import Model
from server.nla.memory.plan import Part, Plan

BITSANDBYTES = ("8bit", "4bit")
"""Kinds that transformers makes by that library."""


def check_libraries(plan: Plan) -> None:
    """Raise SettingsError where a kind was chosen whose library is not installed."""
    wanting = [f"{p.role}={p.kind}" for p in plan.parts.values() if p.kind in BITSANDBYTES]
    if wanting and importlib.util.find_spec("bitsandbytes") is None:
        raise SettingsError(
            f"{', '.join(wanting)} wants bitsandbytes, which is not installed: `uv sync --extra quantised`, or another "
            "NLA_PRECISION."
        )


def from_pretrained_kwargs(plan: Plan, part: Part, auto: Any, folder: Path) -> dict[str, Any]:
    """Return the keyword arguments of `from_pretrained` for a model of the plan."""
    cpu = plan.devices[0].cpu
    dtype = torch.float32 if part.held == "float32" else torch.bfloat16
    given: dict[str, Any] = {"dtype": dtype}
    if part.kind in BITSANDBYTES:
        given |= {"quantization_config": _quantised(part.kind)}
    if not cpu:
        only = f"cuda:{part.devices[0]}"
        spread = len(part.share) > 1
        return given | {
            "device_map": device_map(part, plan.requirements.models[part.role], auto, folder)
            if spread
            else only
        }
    if part.kind in BITSANDBYTES:
        given |= {"device_map": "cpu"}
    # Plain attention: on a CPU the fused kernel is slower for one new token a row.
    return given | {"attn_implementation": "eager"}


def _quantised(kind: str) -> Any:
    from transformers import BitsAndBytesConfig

    config: Any = BitsAndBytesConfig
    if kind == "8bit":
        return config(load_in_8bit=True)
    return config(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)


def device_map(part: Part, model: Model, auto: Any, folder: Path) -> dict[str, int]:
    """The GPU of each module of a model that is spread over several, by accelerate, in the plan's shares. Raises
    CheckpointError where whole blocks cannot be laid out so.
    """
    from accelerate import infer_auto_device_map
    from transformers import AutoConfig

    with torch.device("meta"):
        empty = auto.from_config(AutoConfig.from_pretrained(folder), dtype=torch.bfloat16)
    empty.tie_weights()
    # The empty model is in bfloat16, whatever the part is held in: so are the shares here.
    size = sum(tensor.numel() * tensor.element_size() for tensor in empty.parameters())
    piece = model.piece("bf16")
    room = {index: round(size * share / part.weights) + piece for index, share in part.share.items()}
    found: dict[str, int] = infer_auto_device_map(
        empty, max_memory=room, no_split_module_classes=list(empty._no_split_modules or [])
    )
    if not set(found.values()) <= set(part.devices):
        raise CheckpointError(
            f"{folder}: the blocks of this model cannot be laid out over GPUs {list(part.devices)}. Give it "
            f"fewer, larger "
            "GPUs, or a lower NLA_PRECISION.",
            check="memory",
        )
    return found
