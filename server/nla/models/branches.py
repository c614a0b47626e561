"""Branches of one text: groups of rows that go on from it at different positions, all in one pass of the model.

A row attends to the text before its branch begins, whose keys and values are kept from one plain pass, and to its own
branch up to itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from server.nla.models.model_parts import text_config, text_model

SCORES_BYTES = 128 * 2**20
"""Bound on the attention scores of one pass, in float32, all heads."""
ROWS = 512
"""Rows of one pass: with more, most of the scores are between branches that do not see each other (bench.causal)."""


@dataclass(frozen=True)
class PlainPass:
    """One pass over the text: `hidden` [T, d] after the final norm, the keys and values of each block, and the
    `residuals` [T, d] after the blocks that were asked for. `tuples`: whether those return tuples.
    """

    ids: Tensor
    hidden: Tensor
    cache: DynamicCache
    residuals: Mapping[int, Tensor]
    tuples: bool

    @contextmanager
    def kept(self) -> Iterator[DynamicCache]:
        """The keys and values of the text; what a pass within adds to them is dropped again."""
        layers: list[Any] = self.cache.layers
        before = [(kv.keys, kv.values) for kv in layers]
        try:
            yield self.cache
        finally:
            for kv, (keys, values) in zip(layers, before, strict=True):
                kv.keys, kv.values = keys, values


def plain_pass(model: Any, ids: Sequence[int], layers: Sequence[int] = ()) -> PlainPass:
    """Run the model on a text, and keep what its branches need."""
    caught: dict[int, Any] = {}
    hooks = [
        text_model(model)
        .layers[layer]
        .register_forward_hook(lambda _m, _i, out, layer=layer: caught.__setitem__(layer, out))
        for layer in layers
    ]
    # Without a configuration every layer of the cache keeps all positions, those of a sliding window too.
    cache = DynamicCache()
    tokens = torch.tensor([list(ids)], dtype=torch.long, device=model.device)
    try:
        hidden = text_model(model)(input_ids=tokens, past_key_values=cache, use_cache=True).last_hidden_state
    finally:
        for hook in hooks:
            hook.remove()
    tuples = any(isinstance(out, tuple) for out in caught.values())
    residuals = {layer: (out[0] if tuples else out)[0] for layer, out in caught.items()}
    return PlainPass(tokens[0], hidden[0], cache, residuals, tuples)


def branches_at_once(model: Any, tokens: int, rows: int) -> int:
    """Return the number of branches of `rows`, of a text of `tokens`, that keep to ROWS and their attention scores to
    SCORES_BYTES, one at least.
    """
    budget = SCORES_BYTES / (4 * text_config(model).num_attention_heads)
    most = (tokens**2 / 4 + budget) ** 0.5 - tokens / 2  # of n rows: n (n + tokens) <= budget
    return max(1, min(ROWS, int(most)) // rows)


def branch_masks(model: Any, text: PlainPass, start: Tensor, branch: Tensor, place: Tensor) -> Any:
    """Additive masks [1, 1, rows, T + rows] for the blocks: one by the kind of a block where a model has several. For
    each row, its branch's number, the position at which that leaves the text, and the row's own position.
    """
    config = text_config(model)
    before = torch.arange(len(text.hidden), device=place.device)
    of_text = before[None] < start[:, None]
    of_branch = (branch[:, None] == branch[None]) & (place[None] <= place[:, None])
    seen = torch.cat([of_text, of_branch], dim=1)
    distance = place[:, None] - torch.cat([before, place])[None]
    window = getattr(config, "sliding_window", None)
    near = seen & (distance < window) if window else seen

    def additive(mask: Tensor) -> Tensor:
        out = torch.zeros(mask.shape, dtype=text.hidden.dtype, device=mask.device)
        return out.masked_fill_(~mask, torch.finfo(out.dtype).min)[None, None]

    if getattr(config, "layer_types", None):
        return {"full_attention": additive(seen), "sliding_attention": additive(near)}
    return additive(near)
