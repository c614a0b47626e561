"""The AR: text -> vector. The first K+1 blocks of the target, no final norm, the last token's residual, a linear head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from server.errors import BadInput, CheckpointError
from server.nla.checkpoint import ArSpec, check_suffix
from server.nla.lens import Floats
from server.nla.weights import HEAD_FILE


def load_head(folder: Path, d_model: int) -> nn.Linear:
    """The value head as the file has it, bias and all; refused unless it is d x d and finite."""
    path = folder / HEAD_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing: the AR cannot make vectors without its head. Download the folder again.",
            check="files",
        )
    tensors = load_file(path)
    weights = [t for name, t in tensors.items() if name.endswith("weight")]
    biases = [t for name, t in tensors.items() if name.endswith("bias")]
    if len(weights) != 1 or tuple(weights[0].shape) != (d_model, d_model) or len(biases) > 1:
        shapes = {name: tuple(t.shape) for name, t in tensors.items()}
        raise CheckpointError(
            f"{path} holds {shapes}; wanted one weight of ({d_model}, {d_model}).", check="shapes"
        )
    if not all(bool(torch.isfinite(t).all()) for t in (*weights, *biases)):
        raise CheckpointError(
            f"{path} holds values that are not finite: the file is damaged or overflowed in training.",
            check="finite",
        )
    head = nn.Linear(d_model, d_model, bias=bool(biases), dtype=torch.float32)
    head.weight.data.copy_(weights[0])
    if biases:
        head.bias.data.copy_(biases[0])
    return head.requires_grad_(False)


class Reconstructor:
    """An AR that is loaded. `blocks` is the stack of K+1 blocks without a language-model head; its norm is never used."""

    def __init__(self, blocks: Any, head: nn.Linear, tokenizer: Any, spec: ArSpec) -> None:
        count = len(blocks.layers)
        if count != spec.layer + 1:
            raise CheckpointError(
                f"{spec.folder}: K = {spec.layer} wants {spec.layer + 1} blocks, the AR has {count}."
            )
        blocks.norm = nn.Identity()
        self.blocks = blocks.eval()
        self.head = head.to(next(blocks.layers[-1].parameters()).device)
        self.tokenizer = tokenizer
        self.spec = spec
        self.max_tokens: int = blocks.config.max_position_embeddings
        check_suffix(spec, self._ids("A reading."))

    @torch.inference_mode()
    def reconstruct(self, texts: Sequence[str]) -> Floats:
        """[n, d] float32, one vector a text: right-padded, the last real token's residual after block K, the head."""
        rows = [self._ids(text) for text in texts]
        if not rows:
            return np.empty((0, self.spec.d_model), np.float32)
        for n, row in enumerate(rows):
            if len(row) > self.max_tokens:
                raise BadInput(
                    f"texts.{n}", f"The text has {len(row)} tokens, the AR reads {self.max_tokens} at most."
                )
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
        for n, row in enumerate(rows):
            ids[n, : len(row)] = torch.tensor(row)
        mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
        device = self.blocks.device
        hidden = self.blocks(
            input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
        ).last_hidden_state
        last = hidden[torch.arange(len(rows)), lengths - 1]
        out: Floats = self.head(last.to(self.head.weight.device).float()).cpu().numpy()
        return out

    def _ids(self, text: str) -> list[int]:
        """No chat template, with special tokens (Gemma without its BOS falls from FVE 0.77 to 0.31)."""
        prompt = self.spec.template.replace("{explanation}", text)
        ids: list[int] = self.tokenizer(prompt)["input_ids"]
        return ids
