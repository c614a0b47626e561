"""The logit lens: what each block's residual would say if it were the last one (nostalgebraist, 2020).

The rows between the first and the last are a lens, not the model's belief. The last row is the model's real output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Ints = np.ndarray[tuple[int, ...], np.dtype[np.int32]]
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

CHUNK_BYTES = 64 * 2**20
"""Bound on one vocabulary-sized float32 tensor; a few of them live at a time."""


@dataclass(frozen=True)
class Lens:
    """Every array is [layers, positions]; `top_*` have k more. Natural logarithms, so nats."""

    layers: list[int]
    prob: Floats  # of the token at p + 1; at the last position, of the model's own top token
    rank: Ints  # of that token, 0 = the layer's first choice
    entropy: Floats
    kl: Floats  # KL(model's output || this layer)
    top_ids: Ints
    top_probs: Floats


@torch.inference_mode()
def lens(
    residuals: Sequence[Tensor], ids: Sequence[int], logits_of: Callable[[Tensor], Tensor], top: int
) -> Lens:
    """Read every layer's residual with the model's own final norm and head.

    residuals: one [T, d] per block, before the final norm. logits_of: [n, d] -> [n, V], norm and soft-capping included.
    Vocabulary-sized tensors are made for a chunk of positions at a time, so memory does not grow with T.
    """
    count = len(ids)
    layers = len(residuals)
    vocabulary = logits_of(residuals[-1][:1]).shape[-1]
    top = min(top, vocabulary)
    prob, entropy, kl = (np.empty((layers, count), np.float32) for _ in range(3))
    rank = np.empty((layers, count), np.int32)
    top_ids = np.empty((layers, count, top), np.int32)
    top_probs = np.empty((layers, count, top), np.float32)
    chunk = max(1, CHUNK_BYTES // (4 * vocabulary))
    for start in range(0, count, chunk):
        span = slice(start, min(start + chunk, count))
        final = logits_of(residuals[-1][span]).float().log_softmax(-1)
        final_p = final.exp()
        follows = torch.tensor(ids[start + 1 : span.stop + 1], dtype=torch.long, device=final.device)
        if span.stop == count:
            follows = torch.cat([follows, final[-1].argmax()[None]])
        for row, residual in enumerate(residuals):
            log_p = final if row == layers - 1 else logits_of(residual[span]).float().log_softmax(-1)
            p = log_p.exp()
            own = log_p.gather(-1, follows[:, None])
            best = log_p.topk(top)
            prob[row, span] = own[:, 0].exp().cpu().numpy()
            rank[row, span] = (log_p > own).sum(-1).cpu().numpy()
            # 0 log 0 = 0: a probability that underflows carries no entropy.
            entropy[row, span] = -(p * log_p.clamp_min(-1e4)).sum(-1).cpu().numpy()
            kl[row, span] = (final_p * (final - log_p).clamp(-1e4, 1e4)).sum(-1).clamp_min(0).cpu().numpy()
            top_ids[row, span] = best.indices.cpu().numpy()
            top_probs[row, span] = best.values.exp().cpu().numpy()
    return Lens(list(range(layers)), prob, rank, entropy, kl, top_ids, top_probs)
