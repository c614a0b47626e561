"""The tensors of a checkpoint folder, as the headers of its files tell: names, shapes and kinds, nothing loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from server.errors import CheckpointError

HEAD_FILE = "value_head.safetensors"
ADAPTER_FILE = "adapter_model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
CHUNK = 64 * 2**20
"""Bytes of one tensor that are looked at together."""


@dataclass(frozen=True)
class Entry:
    """One tensor of a file; `kind` as safetensors writes it: F32, BF16, F16, …"""

    file: Path
    shape: tuple[int, ...]
    kind: str

    @property
    def count(self) -> int:
        """Its numbers."""
        return int(torch.Size(self.shape).numel())


class Weights:
    """The tensors in the weight files of a folder, by name. Raises CheckpointError for a file that is cut short."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = weight_files(folder)
        if not self.files:
            raise CheckpointError(f"{folder} holds no safetensors files. Get it again.", check="files")
        self.entries: dict[str, Entry] = {}
        for file in self.files:
            try:
                with safe_open(file, "pt") as opened:
                    for name in opened.keys():  # noqa: SIM118 - not a mapping
                        part = opened.get_slice(name)
                        self.entries[name] = Entry(file, tuple(part.get_shape()), part.get_dtype())
            except (SafetensorError, OSError) as error:
                raise CheckpointError(
                    f"{file} cannot be read ({error}): it was cut short or damaged. Get it again.",
                    check="files",
                ) from error

    @property
    def count(self) -> int:
        """All numbers."""
        return sum(entry.count for entry in self.entries.values())

    def text(self) -> dict[str, str]:
        """The names of the text model's tensors by their `text_name`."""
        return {text_name(name): name for name in self.entries}

    def rows(self, name: str, ids: list[int]) -> Tensor:
        """[n, …] float32: some rows of one tensor."""
        with safe_open(self.entries[name].file, "pt") as opened:
            part = opened.get_slice(name)
            return torch.cat([part[id : id + 1] for id in ids]).float()

    def parts(self, name: str) -> Iterator[Tensor]:
        """One tensor in runs of rows, so that a large one is never held whole."""
        entry = self.entries[name]
        with safe_open(entry.file, "pt") as opened:
            if not entry.shape or entry.count == 0:
                yield opened.get_tensor(name)
                return
            part = opened.get_slice(name)
            step = max(1, CHUNK * entry.shape[0] // (4 * entry.count))
            for start in range(0, entry.shape[0], step):
                yield part[start : start + step]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model, those of its index if it has one; without a value head or an adapter. Raises
    CheckpointError for an index that is damaged.
    """
    index = folder / INDEX_FILE
    if index.is_file():
        return [folder / name for name in sorted(_named(index))]
    return sorted(path for path in folder.glob("*.safetensors") if path.name not in (HEAD_FILE, ADAPTER_FILE))


def _named(index: Path) -> set[str]:
    """The files that an index of weights names."""
    try:
        named = json.loads(index.read_text())["weight_map"]
        return {str(name) for name in named.values()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{index} cannot be read ({type(error).__name__}: {error}): it was cut short or damaged. Delete "
            f"it and get it again.",
            check="files",
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file. Raises CheckpointError for one that is damaged."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}): it was cut short or damaged. Delete it and get it again.",
            check="files",
        ) from error


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds a LoRA adapter in the place of a model."""
    return (folder / "adapter_config.json").is_file() and not weight_files(folder)


def absent(folder: Path, *, weights: bool, extra: tuple[str, ...] = ()) -> list[str]:
    """The files that a model's folder ought to have and does not, an interrupted download's for example."""
    adapter = is_adapter(folder)
    wanted = ["adapter_config.json" if adapter else "config.json", *extra]
    found = [name for name in wanted if not (folder / name).is_file()]
    tokenizers = ("tokenizer.json", "tokenizer.model", "vocab.json")
    if not adapter and not any((folder / name).is_file() for name in tokenizers):
        found.append("tokenizer.json")
    if not weights:
        return found
    if adapter:
        return found + [name for name in (ADAPTER_FILE,) if not (folder / name).is_file()]
    files = weight_files(folder)
    found += [path.name for path in files if not path.is_file()]
    # Without an index, `model-00002-of-00004.safetensors` tells how many there must be.
    counts = {int(m[1]) for path in files if (m := re.search(r"-of-(\d+)\.safetensors$", path.name))}
    if not files or (counts and len(files) < max(counts)):
        found.append("model.safetensors" if not files else INDEX_FILE)
    return found


def text_name(name: str) -> str:
    """A tensor's name in the text model, the same whether it is wrapped or bare: `layers.0.mlp.up_proj.weight`."""
    return name.replace("language_model.", "", 1).removeprefix("model.")


def is_text(name: str) -> bool:
    """Return whether a `text_name` is of the text model: a wrapper has others beside it."""
    return name.startswith(("layers.", "embed_tokens.", "norm.", "lm_head."))


def shapes(config: Any, *, head: bool) -> dict[str, tuple[int, ...]]:
    """The shapes that a model of this configuration must have, by `text_name`; `head`: with its vocabulary head."""
    from transformers import AutoModel, AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM if head else AutoModel
    with torch.device("meta"):
        model = auto.from_config(config)
    tied = head and getattr(config.get_text_config(), "tie_word_embeddings", False)
    found = {text_name(name): tuple(t.shape) for name, t in model.state_dict().items()}
    return {n: s for n, s in found.items() if is_text(n) and not (tied and n.startswith("lm_head."))}


def load_model(auto: Any, folder: Path, kind: Mapping[str, Any], *, normed: bool = True) -> Any:
    """A model by one of transformers' `Auto…` classes. Raises CheckpointError where it would make up a text weight; the
    final norm may be missing of a model that is not to be `normed`.
    """
    model, report = auto.from_pretrained(folder, output_loading_info=True, **kind)
    # What else a wrapper has beside its text model is never used.
    needed = (text_name(name) for name in report["missing_keys"])
    lost = sorted(name for name in needed if is_text(name) and (normed or name != "norm.weight"))
    if lost:
        raise CheckpointError(
            f"{folder}: weights are missing ({', '.join(lost[:3])}{', …' if len(lost) > 3 else ''}): "
            f"download it again.",
            check="shapes",
        )
    return model
