"""A LoRA adapter in peft's layout, merged into its base: an ordinary checkpoint folder comes of it."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from server.errors import CheckpointError
from server.nla.checkpoints.weights import (
    ADAPTER_FILE,
    HEAD_FILE,
    INDEX_FILE,
    Weights,
    is_text,
    read_tensors,
    text_name,
)

PREFIX = "base_model.model."
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "merges.txt", "added_tokens.json", "chat_template.jinja",
)  # fmt: skip


class Adapter:
    """The low-rank products of an adapter, and the weights that it replaces, by the base's `text_name`s."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
        if self.settings.get("peft_type", "LORA") != "LORA" or self.settings.get("fan_in_fan_out"):
            raise self._refusal("only LoRA over linear weights can be merged")
        self.low: dict[str, tuple[Tensor, Tensor]] = {}
        self.whole: dict[str, Tensor] = {}
        tensors = read_tensors(folder / ADAPTER_FILE)
        for name in [*tensors]:
            stem, adapted, part = name.removeprefix(PREFIX).partition(".lora_")
            if not adapted:
                self.whole[text_name(stem)] = tensors[name]
            elif part in ("A.weight", "embedding_A"):
                other = tensors[name.replace(f".lora_{part}", f".lora_{part.replace('A', 'B')}")]
                self.low[f"{text_name(stem)}.weight"] = (tensors[name], other)
            elif part not in ("B.weight", "embedding_B"):
                raise self._refusal(f"{name} is not part of a plain LoRA (DoRA, for one, is not merged)")

    def check(self, base: dict[str, tuple[int, ...]]) -> None:
        """Raise CheckpointError unless everything fits a base of these shapes."""
        for name, (a, b) in self.low.items():
            product = (a.shape[1], b.shape[0]) if self._embeds(name) else (b.shape[0], a.shape[1])
            if base.get(name) != product:
                raise self._refusal(f"{name} wants shape {product}, the target has {base.get(name)}")
        for name, tensor in self.whole.items():
            if base.get(name) != tuple(tensor.shape):
                raise self._refusal(
                    f"{name} has shape {tuple(tensor.shape)}, the target has {base.get(name)}"
                )

    def applied(self, name: str, weight: Tensor) -> Tensor:
        """W + (alpha / r) B A in float32, in the base's own kind; or what stands in W's place."""
        if name in self.whole:
            return self.whole[name].to(weight.dtype)
        if name not in self.low:
            return weight
        a, b = (tensor.float() for tensor in self.low[name])
        product = (b @ a).T if self._embeds(name) else b @ a
        return (weight.float() + self._factor(name, a.shape[0]) * product).to(weight.dtype)

    def _factor(self, name: str, rank: int) -> float:
        patterns: dict[str, float] = self.settings.get("alpha_pattern") or {}
        stem = name.removesuffix(".weight")
        alpha = next(
            (a for pattern, a in patterns.items() if re.search(rf"(^|\.)({pattern})$", stem)),
            self.settings["lora_alpha"],
        )
        return float(alpha / (math.sqrt(rank) if self.settings.get("use_rslora") else rank))

    @staticmethod
    def _embeds(name: str) -> bool:
        return name == "embed_tokens.weight"

    def _refusal(self, problem: str) -> CheckpointError:
        return CheckpointError(f"The adapter in {self.folder} cannot be merged: {problem}.", check="shapes")


def merge(base: Path, adapter: Path, folder: Path, *, blocks: int | None = None) -> None:
    """base + adapter -> `folder`, one file of weights at a time; with `blocks` the first of them alone and no head."""
    parts, weights = Adapter(adapter), Weights(base)
    kept = {n: name for n, name in weights.text().items() if not _dropped(n, blocks)}
    parts.check({n: weights.entries[name].shape for n, name in kept.items()})
    merge_weights(parts, weights, folder, set(kept.values()))
    config = json.loads((base / "config.json").read_text())
    if blocks is not None:
        shorten(config.get("text_config", config), blocks)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    own = any((adapter / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json"))
    for name in TOKENIZER_FILES:
        _copy(adapter if own else base, folder, name)
    for name in ("generation_config.json", "preprocessor_config.json", "processor_config.json"):
        _copy(base, folder, name)
    for name in ("nla_meta.yaml", HEAD_FILE):
        _copy(adapter, folder, name)


def merge_weights(adapter: Adapter, base: Weights, folder: Path, kept: set[str]) -> None:
    """The `kept` tensors of the base, with the adapter, in as many files as the base has."""
    where: dict[str, str] = {}
    for file in base.files:
        tensors = {n: t for n, t in read_tensors(file).items() if n in kept}
        merged = {n: adapter.applied(text_name(n), t).contiguous() for n, t in tensors.items()}
        if merged:
            save_file(merged, folder / file.name, metadata={"format": "pt"})
        where |= dict.fromkeys(merged, file.name)
    if len(base.files) > 1:
        index = {"metadata": {}, "weight_map": where}
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n")


def shorten(config: dict[str, Any], blocks: int) -> None:
    """Let a text configuration speak of its first `blocks` blocks."""
    config["num_hidden_layers"] = blocks
    if config.get("layer_types"):
        config["layer_types"] = config["layer_types"][:blocks]


def _dropped(name: str, blocks: int | None) -> bool:
    if blocks is None or not is_text(name):
        return False
    found = re.match(r"layers\.(\d+)\.", name)
    return name.startswith("lm_head.") or (found is not None and int(found[1]) >= blocks)


def _copy(source: Path, folder: Path, name: str) -> None:
    if (source / name).is_file():
        shutil.copy(source / name, folder)
