"""A pair of random weights: nothing is downloaded, its readings mean nothing, and all costs what a trained
one's would.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from bench.machine import CUDA, free
from server.nla.checkpoints import demo
from server.nla.checkpoints.sidecar import SIDECAR
from server.nla.checkpoints.weights import HEAD_FILE
from server.settings import Settings

NAME = "random"
QWEN = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-06,
    "tie_word_embeddings": False,
}
"""The shape of Qwen2.5-7B-Instruct, from its config.json."""
LAYER = 20
"""The layer of the released pair for that model."""
PREFACE = "You read one activation of a language model and say in plain words what it holds. " * 6
"""About as long as the released pairs' prompts, so that there is a prefix to cache."""


def random_pair(folder: Path, shape: dict[str, Any], layer: int) -> Path:
    """A file for NLA_PAIRS_FILE with a pair NAME in `shape` that is read after block `layer`; all of it under
    `folder`.
    """
    places = {
        "target": _random_model(folder / "target", "target", shape),
        "av": random_av(folder / "av", shape, layer),
        "ar": _random_model(folder / "ar", "ar", shape | {"num_hidden_layers": layer + 1}),
    }
    d = shape["hidden_size"]
    save_file({"weight": torch.eye(d)}, places["ar"] / HEAD_FILE)
    _sidecar(places["ar"], "ar", d, layer)
    file = folder / "pairs.toml"
    file.write_text("\n".join(["[[pair]]", f'name = "{NAME}"', *(f'{r} = "{p}"' for r, p in places.items())]))
    return file


def random_av(folder: Path, shape: dict[str, Any], layer: int = LAYER) -> Path:
    """The AV alone, with a long prompt."""
    _random_model(folder, "av", shape)
    _sidecar(folder, "av", shape["hidden_size"], layer, preface=PREFACE)
    return folder


def _random_model(folder: Path, role: str, shape: dict[str, Any]) -> Path:
    """Weights in `shape`, with the demo's tokenizer of that role."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(**shape, bos_token_id=None, eos_token_id=shape["vocab_size"] - 1)
    with torch.device("cuda" if CUDA else "cpu"):
        model = Qwen2ForCausalLM._from_config(config, dtype=torch.bfloat16 if CUDA else torch.float32)  # type: ignore[no-untyped-call]
    (model.model if role == "ar" else model).save_pretrained(folder)
    del model
    free()
    source = demo.build(Settings().cache_dir)[role]
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (source / name).exists():
            shutil.copy(source / name, folder)
    return folder


def _sidecar(folder: Path, role: str, d_model: int, layer: int, preface: str = "") -> None:
    """The demo's, with another size, layer and prompt."""
    sidecar = yaml.safe_load((demo.build(Settings().cache_dir)[role] / SIDECAR).read_text())
    sidecar |= {"d_model": d_model, "extraction_layer_index": layer}
    sidecar["prompt_templates"][role] = preface + sidecar["prompt_templates"][role]
    (folder / SIDECAR).write_text(yaml.safe_dump(sidecar))
