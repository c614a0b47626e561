"""The tuned lens: an affine translator a layer before the model's own norm and head (Belrose et al., 2023,
arXiv:2303.08112).

A residual h after block l is read as h + A_l h + b_l. In the file (safetensors) `{l}.bias` is b_l [d], and
A_l is `{l}.weight` [d, d], or the product of `{l}.up` [d, r] and `{l}.down` [r, d]. The header says for which
target.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from server.errors import CheckpointError

FORMAT = "tuned-lens-1"


@dataclass(frozen=True)
class Translator:
    """One layer's affine map. `factors` are applied one after the other: A, or `down` and then `up`."""

    factors: tuple[Tensor, ...]
    bias: Tensor  # [d]

    def __call__(self, h: Tensor) -> Tensor:
        """[n, d] -> [n, d]: h + A h + b, in float32 and then as exact as h is."""
        wide = h.float()
        change = wide
        for factor in self.factors:
            change = change @ factor.float().T
        return (wide + change + self.bias.float()).to(h.dtype)


@dataclass(frozen=True)
class Translators:
    """One a layer, the last layer's excepted: what it says is the output itself. `target` and `made` are for people."""

    target: str
    made: str
    layers: Sequence[Translator]

    def __call__(self, row: int, h: Tensor) -> Tensor:
        """The residual [n, d] after block `row` as the last block would leave it."""
        return self.layers[row](h) if row < len(self.layers) else h

    def to(self, device: Any, dtype: torch.dtype) -> Translators:
        """The same, beside a model's weights."""
        moved = [
            Translator(tuple(f.to(device, dtype) for f in each.factors), each.bias.to(device, dtype))
            for each in self.layers
        ]
        return Translators(self.target, self.made, moved)

    def save(self, path: Path) -> None:
        """Write the file. `read` is the inverse."""
        tensors: dict[str, Tensor] = {}
        for row, each in enumerate(self.layers):
            names = ("weight",) if len(each.factors) == 1 else ("down", "up")
            tensors |= {f"{row}.{name}": f.contiguous() for name, f in zip(names, each.factors, strict=True)}
            tensors[f"{row}.bias"] = each.bias.contiguous()
        bias = self.layers[0].bias
        header = {
            "format": FORMAT,
            "target": self.target,
            "d_model": str(len(bias)),
            "layers": str(len(self.layers) + 1),
            "dtype": str(bias.dtype).removeprefix("torch."),
            "made": self.made,
        }
        save_file(tensors, path, metadata=header)


def read(path: Path, d_model: int, layers: int) -> Translators:
    """The translators for a target of this shape. Raises CheckpointError with cause and cure."""
    try:
        with safe_open(path, "pt") as file:
            header: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"The tuned lens {path} cannot be read: {error}") from error
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is no tuned lens of this program: its header lacks format {FORMAT}. "
            "For a folder of the tuned-lens project: `nla-explorer lens convert FOLDER OUT`."
        )
    if (header.get("d_model"), header.get("layers")) != (str(d_model), str(layers)):
        raise CheckpointError(
            f"{path} was made for {header.get('target')} (d_model {header.get('d_model')}, {header.get('layers')} "
            f"layers); this target has d_model {d_model} and {layers} layers: give the lens of this target."
        )
    found = [_translator(path, tensors, row, d_model) for row in range(layers - 1)]
    if tensors:
        raise CheckpointError(f"{path} holds tensors that no layer uses: {', '.join(sorted(tensors)[:3])}.")
    return Translators(header.get("target", ""), header.get("made", ""), found)


def _translator(path: Path, tensors: dict[str, Tensor], row: int, d: int) -> Translator:
    """One layer's, taken out of `tensors`, checked."""
    names = ("down", "up") if f"{row}.up" in tensors else ("weight",)
    missing = [f"{row}.{name}" for name in (*names, "bias") if f"{row}.{name}" not in tensors]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}: the file is cut short or of other blocks.")
    *factors, bias = (tensors.pop(f"{row}.{name}") for name in (*names, "bias"))
    rank = len(factors[0])
    shapes = [(d, d)] if len(factors) == 1 else [(rank, d), (d, rank)]
    for name, tensor, shape in zip((*names, "bias"), (*factors, bias), (*shapes, (d,)), strict=True):
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise CheckpointError(
                f"{path}: {row}.{name} is {str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}; "
                f"floating point {shape} is wanted."
            )
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: {row}.{name} holds values that are not finite: make it anew.")
    return Translator(tuple(factors), bias)


def convert(folder: Path, out: Path) -> Translators:
    """A folder of the tuned-lens project (`config.json`, `params.pt`) -> our file. Raises CheckpointError.

    Its translator 0 reads the embeddings and its translator l + 1 what block l leaves, so ours are its own
    but the first.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        params = torch.load(folder / "params.pt", map_location="cpu", weights_only=True)
        d, layers = int(config["d_model"]), int(config["num_hidden_layers"])
        target, bias = str(config["base_model_name_or_path"]), bool(config.get("bias", True))
        theirs = {name: tensor for name, tensor in params.items() if isinstance(tensor, Tensor)}
    except (OSError, EOFError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise _foreign(folder, error) from error
    except pickle.UnpicklingError as error:
        raise _foreign(folder, "params.pt holds more than tensors") from error
    if not bias:
        theirs |= {f"{row}.bias": torch.zeros(d) for row in range(layers)}
    found = [_translator(folder / "params.pt", theirs, row, d) for row in range(layers)]
    if theirs:
        raise _foreign(folder, f"params.pt also holds {', '.join(sorted(theirs)[:3])}")
    kept = Translators(target, "converted from a lens of the tuned-lens project", found[1:])
    try:
        kept.save(out)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{out} cannot be written: {error}") from error
    return kept


def _foreign(folder: Path, why: object) -> CheckpointError:
    return CheckpointError(
        f"{folder} is no folder of the tuned-lens project (config.json and params.pt with a weight and a bias "
        f"a layer): {why}."
    )
