"""The AR: text -> vector. The first K+1 blocks of the target, no final norm, the last token's residual, a
linear head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from server.errors import BadInput, CheckpointError
from server.nla.checkpoints.specs import ArSpec, check_suffix
from server.nla.checkpoints.weights import HEAD_FILE, read_tensors
from server.nla.types import Floats

BATCH_TOKENS = {"cpu": 512, "cuda": 8192}
"""Tokens (rows times the longest) that are read at once, by the kind of device: enough to keep it busy,
little enough that whoever waits for it is not kept waiting.
"""
Batch: TypeAlias = tuple[list[int], Floats]
"""Which of the texts, and the vector [d] of each."""


def load_head(folder: Path, d_model: int) -> nn.Linear:
    """The value head as the file has it, bias and all; refused unless it is d x d and finite."""
    path = folder / HEAD_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing: the AR cannot make vectors without its head. Download the folder again.",
            check="files",
        )
    tensors = read_tensors(path)
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


class ReconstructorModel:
    """An AR that is loaded. `blocks` is the stack of K+1 blocks without a language-model head; its norm is
    never used.
    """

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
        self.d_model = spec.d_model
        self.max_tokens: int = blocks.config.max_position_embeddings
        self.batch_tokens = BATCH_TOKENS.get(self.head.weight.device.type, BATCH_TOKENS["cuda"])
        check_suffix(spec, self._ids("A reading."))

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text as the AR reads it, its template included."""
        return [len(self._ids(text)) for text in texts]

    def reconstruct(self, texts: Sequence[str]) -> Floats:
        """[n, d] float32, one vector a text: right-padded, the last real token's residual after block K, the head."""
        out = np.empty((len(texts), self.spec.d_model), np.float32)
        for indices, vectors in self.in_batches(texts):
            out[indices] = vectors
        return out

    @torch.inference_mode()
    def in_batches(self, texts: Sequence[str]) -> Iterator[Batch]:
        """The work of `reconstruct` a batch at a time, texts of like length together; every text is in one batch."""
        rows = [self._ids(text) for text in texts]
        for n, row in enumerate(rows):
            if len(row) > self.max_tokens:
                raise BadInput(
                    f"texts.{n}", f"The text has {len(row)} tokens, the AR reads {self.max_tokens} at most."
                )
        for indices in together([len(row) for row in rows], self.batch_tokens):
            yield indices, self._read([rows[n] for n in indices])

    def _read(self, rows: Sequence[Sequence[int]]) -> Floats:
        """[n, d] of token ids, in one forward pass."""
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


def together(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Indices of rows that run in one batch, the shortest first: rows × longest ≤ `most`, or a row by itself."""
    found: list[list[int]] = []
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if found and (len(found[-1]) + 1) * lengths[n] <= most:
            found[-1].append(n)
        else:
            found.append([n])
    return found
