"""Choosing next tokens, and the key-value memory of rows that are decoded in lockstep.

The options of a reading and their defaults are `Verbalise` in server/analyses/schema.py; vLLM's are made of them in
server/nla/verbalisers/vllm_requests.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


def row_generator(seed: int, row: int) -> torch.Generator:
    """A random source of its own for each row, so that what a row says does not depend on its neighbours in a batch."""
    return torch.Generator().manual_seed((seed * 1_000_003 + row) % 2**63)


def next_tokens(logits: Tensor, temperature: float, generators: Sequence[torch.Generator]) -> Tensor:
    """[B, V] -> [B]: the most likely token, or at a temperature one drawn by the exponential race
    (argmax p / Exp(1) has distribution p).
    """
    if temperature <= 0:
        return logits.argmax(-1)
    p = (logits.float() / temperature).softmax(-1)
    race = torch.stack([torch.empty(p.shape[-1]).exponential_(generator=g) for g in generators])
    return (p / race.to(p.device).clamp_min(1e-20)).argmax(-1)


class _Rows(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one block in a buffer with room for what is still to come.

    DynamicLayer concatenates at every step, which on a CPU costs more than the attention itself.
    """

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.room = room
        self.length = 0
        self.buffers: tuple[Tensor, Tensor] | None = None  # keys and values, each [B, heads, room, width]

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if self.buffers is None:
            batch, heads, _, width = key_states.shape
            keys = key_states.new_empty(batch, heads, self.room, width)
            self.buffers = keys, value_states.new_empty(batch, heads, self.room, value_states.shape[-1])
            self.is_initialized = True
        keys, values = self.buffers
        end = self.length + key_states.shape[2]
        keys[:, :, self.length : end] = key_states
        values[:, :, self.length : end] = value_states
        self.length = end
        return keys[:, :, :end], values[:, :, :end]

    def get_seq_length(self) -> int:
        return self.length

    def keep(self, rows: Tensor) -> None:
        if self.buffers is not None:
            self.buffers = self.buffers[0][rows], self.buffers[1][rows]

    def spread(self, shared: _Rows, batch: int) -> None:
        """Begin with another's content, the same for each of `batch` rows."""
        if shared.buffers is not None:
            keys, values = (
                buffer[:, :, : shared.length].expand(batch, -1, -1, -1) for buffer in shared.buffers
            )
            self.update(keys, values)


class RowCache(Cache):
    """A cache for `room` tokens of rows in lockstep; finished rows can be dropped."""

    def __init__(self, blocks: int, room: int) -> None:
        self.rows = [_Rows(room) for _ in range(blocks)]
        super().__init__(layers=list(self.rows))

    def keep(self, rows: Tensor) -> None:
        """Keep these rows alone, in this order."""
        for layer in self.rows:
            layer.keep(rows)

    @classmethod
    def spread(cls, shared: RowCache, batch: int, room: int) -> RowCache:
        """A cache whose `batch` rows all begin with the one row of `shared`."""
        cache = cls(len(shared.rows), room)
        for layer, source in zip(cache.rows, shared.rows, strict=True):
            layer.spread(source, batch)
        return cache
