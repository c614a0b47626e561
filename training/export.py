"""Export of the pair: adapters in peft's format, the AR's head, and the two sidecars."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from server.nla.checkpoints.sidecar import SIDECAR
from server.nla.checkpoints.specs import AvSpec
from server.nla.checkpoints.weights import HEAD_FILE
from training import lora, tune
from training.models import Tuned
from training.positions import LAYER

SCHEMA = "1"


def variance(activations: torch.Tensor) -> float:
    """V: mean squared error, at norm sqrt(d), of always predicting the mean normalised activation = 1 - |mean
    unit|^2.
    """
    unit = torch.nn.functional.normalize(activations.double(), dim=-1)
    return 1.0 - float(unit.mean(0).square().sum())


def write(folder: Path, av: Tuned, ar: Tuned, spec: AvSpec, tokenizer: Any, v: float) -> None:
    """`folder/av` and `folder/ar`, which `server.nla.checkpoints.demo` merges into checkpoint folders."""
    assert ar.head is not None
    lora.save(av.model, folder / "av")
    lora.save(ar.model, folder / "ar", stem="model.")
    save_file({"weight": ar.head.weight.detach().cpu().contiguous()}, folder / "ar" / HEAD_FILE)
    common = {
        "schema_version": SCHEMA,
        "kind": "nla_model",
        "d_model": spec.d_model,
        "extraction_layer_index": LAYER,
    }
    actor = {
        **common,
        "role": "av",
        "extraction": {"injection_scale": spec.injection_scale, "mse_scale": "sqrt_d_model"},
        "tokens": {
            "injection_char": spec.marker,
            "injection_token_id": spec.marker_id,
            "injection_left_neighbor_id": spec.left_id,
            "injection_right_neighbor_id": spec.right_id,
        },
        "prompt_templates": {"av": spec.template},
    }
    suffix = tokenizer(tune.AR_PROMPT.format(explanation="."))["input_ids"][1:]
    critic = {
        **common,
        "role": "ar",
        # Of an AR the authors' client takes no word for the root of d, but the number.
        "extraction": {
            "injection_scale": None,
            "mse_scale": math.sqrt(spec.d_model),
            "fve_variance": round(v, 5),
        },
        "tokens": {"critic_suffix_ids": suffix},
        "prompt_templates": {"ar": tune.AR_PROMPT},
    }
    for name, meta in (("av", actor), ("ar", critic)):
        (folder / name / SIDECAR).write_text(yaml.safe_dump(meta, sort_keys=False, allow_unicode=True))
