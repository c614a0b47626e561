"""The logit lens: what each block's residual would say if it were the last one (nostalgebraist, 2020).

The rows between the first and the last are a lens, not the model's belief. The last row is the model's real output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from server.nla.cancellation import check_cancelled
from server.nla.types import Floats, Ints

CHUNK_BYTES = 64 * 2**20
"""Bound on one vocabulary-sized float32 tensor; a few of them live at a time."""
SLICE_BYTES = 2 * 2**20
"""Bytes of logits that a CPU measures at once: a chunk stays in the cache from the first measure to the last."""
BLOCK = 256
"""Tokens whose best one stands for them in the search for the likeliest."""


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
    residuals: Sequence[Tensor],
    ids: Sequence[int],
    logits_of: Callable[[Tensor], Tensor],
    top: int,
    translate: Callable[[int, Tensor], Tensor] | None = None,
) -> Lens:
    """Read every layer's residual with the model's own final norm and head.

    residuals: one [T, d] per block, before the final norm. logits_of: [n, d] -> [n, V], norm and soft-capping included.
    translate: (row, [n, d]) -> [n, d], of a tuned lens: what stands before the norm in every row but the last.
    Vocabulary-sized tensors are made for a chunk of positions at a time, so memory does not grow with T.
    """
    count = len(ids)
    layers = len(residuals)
    vocabulary = logits_of(residuals[-1][:1]).shape[-1]
    top = min(top, vocabulary)
    shape = (layers, count)
    out = Lens(
        layers=list(range(layers)),
        prob=np.empty(shape, np.float32),
        rank=np.empty(shape, np.int32),
        entropy=np.empty(shape, np.float32),
        kl=np.empty(shape, np.float32),
        top_ids=np.empty((*shape, top), np.int32),
        top_probs=np.empty((*shape, top), np.float32),
    )
    chunk = max(1, CHUNK_BYTES // (4 * vocabulary))
    for start in range(0, count, chunk):
        span = slice(start, min(start + chunk, count))
        final = logits_of(residuals[-1][span]).float()
        follows = torch.tensor(ids[start + 1 : span.stop + 1], dtype=torch.long, device=final.device)
        if span.stop == count:
            follows = torch.cat([follows, final[-1].argmax()[None]])
        truth = final.softmax(-1)
        for row in reversed(range(layers)):
            check_cancelled()
            if row == layers - 1:
                logits = final
            else:
                h = residuals[row][span]
                logits = logits_of(h if translate is None else translate(row, h)).float()
            for part in _slices(logits):
                _measure(out, row, start, part, logits, truth, follows)
    return out


def _slices(logits: Tensor) -> list[slice]:
    """Rows that are measured at once: all on a GPU, which wants few large steps."""
    rows, vocabulary = logits.shape
    step = rows if logits.is_cuda else max(1, SLICE_BYTES // (4 * vocabulary))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]


def _measure(
    out: Lens, row: int, start: int, part: slice, logits: Tensor, truth: Tensor, follows: Tensor
) -> None:
    """Fill in one layer at the positions start + part. logits and truth (the output's probabilities): [n, V].

    With Z the log of the sum of exponentials: log p = z - Z, H = Z - Σ p z, KL = Z - Σ q z - H(q); so that three passes
    over the vocabulary do, where the definitions would take ten.
    """
    z, q = logits[part], truth[part]
    p = z.softmax(-1)
    values, ids = likeliest(z, out.top_ids.shape[-1])
    log_z = values[:, 0] - p.gather(-1, ids[:, :1])[:, 0].log()
    own = z.gather(-1, follows[part, None])
    entropy, cross = log_z - _dot(p, z), log_z - _dot(q, z)
    if not bool((entropy + cross).isfinite().all()):  # a logit of -inf: 0 log 0 = 0
        bounded = z.clamp_min(-1e30)
        entropy, cross = log_z - _dot(p, bounded), (log_z - _dot(q, bounded)).clamp(max=1e4)
    place = slice(start + part.start, start + part.stop)
    out.prob[row, place] = (own[:, 0] - log_z).exp().cpu().numpy()
    out.rank[row, place] = _above(z, own).cpu().numpy()
    out.entropy[row, place] = entropy.clamp_min(0).cpu().numpy()
    # The output is measured first: H(q) is its entropy.
    out.kl[row, place] = (cross.cpu().numpy() - out.entropy[-1, place]).clip(min=0)
    out.top_ids[row, place] = ids.cpu().numpy()
    out.top_probs[row, place] = (values - log_z[:, None]).exp().cpu().numpy()


def likeliest(z: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(values, indices) [n, k] of the k largest of each row of z [n, V], as `topk` gives them, ties apart.

    The k largest lie in the k blocks with the largest maxima: a maximum is ten times as quick as a search.
    """
    rows, vocabulary = z.shape
    blocks = vocabulary // BLOCK
    if blocks < k:
        best = z.topk(k)
        return best.values, best.indices
    whole = z[:, : blocks * BLOCK].view(rows, blocks, BLOCK)
    chosen = whole.amax(-1).topk(k).indices  # [n, k]
    inside = torch.arange(BLOCK, device=z.device)
    places = (chosen[:, :, None] * BLOCK + inside).view(rows, -1)
    tail = torch.arange(blocks * BLOCK, vocabulary, device=z.device).expand(rows, -1)
    places = torch.cat([places, tail], 1)
    best = z.gather(1, places).topk(k)
    return best.values, places.gather(1, best.indices)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Σ a b over the last axis, [n, V] twice -> [n]."""
    dots: Tensor = torch.linalg.vecdot(a, b)
    return dots


def _above(z: Tensor, own: Tensor) -> Tensor:
    """Count the entries of each row of z [n, V] that are above its own [n, 1]."""
    return (
        (z - own).sign_().clamp_min_(0).sum(-1).to(torch.int32)
    )  # sums of floats are quicker than of truths
