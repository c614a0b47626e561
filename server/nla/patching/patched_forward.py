"""Run the target with patched layer-K activations beside the unpatched model.

All rows of one text run in batches; what comes before the patch is the same for all of them and is computed once.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from server.errors import ModelError
from server.nla.cancellation import check_cancelled
from server.nla.lens.logit_lens import CHUNK_BYTES
from server.nla.models.model_parts import head, text_config, text_model
from server.nla.models.sampling import next_tokens, row_generator
from server.nla.patching.patches import Patch
from server.nla.types import Floats, Ints

TOGETHER = 2048
"""Tokens (rows times the length of the text) in one batch: bounds its keys and values."""


@dataclass(frozen=True)
class PatchedOutput:
    """Output of one row. `kls` [n]: KL(model as it is || this row) in nats of the next token, at each position from the
    patch to the end of the text. The rest is of that end: the likeliest tokens, the words asked for, how it goes on.
    """

    kls: Floats
    top_ids: Ints
    top_probs: Floats
    probs: Floats
    ranks: Ints  # 0 = the first choice
    reply: list[int]


@dataclass(frozen=True)
class Continuation:
    """Parameters of a continuation: length, sampling and random source. Temperature 0 is greedy."""

    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0


@torch.inference_mode()
def patched_forward(
    model: Any,
    layer: int,
    stop_ids: Collection[int],
    ids: Sequence[int],
    patches: Sequence[Patch],
    words: Sequence[int],
    continuation: Continuation,
    top: int,
) -> Iterator[list[PatchedOutput]]:
    """Run the model after `ids` as it is, and with each of `patches`, which begin at the same
    position: a batch at a time. `words` are token ids whose probability is wanted, `top` is how many of the
    likeliest are. All rows draw from equal random sources.
    """
    start = patches[0].position
    rows: list[Patch | None] = [None, *patches]
    size = max(1, TOGETHER // (len(ids) + continuation.max_new_tokens))
    prefix = DynamicCache(config=text_config(model))
    if start:
        _run(model, [ids[:start]], prefix)
    baseline: Tensor | None = None
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        cache = copy.deepcopy(prefix)
        if start:
            cache.batch_repeat_interleave(len(part))
        with _patched(model, layer, part, start):
            hidden = _run(model, [ids[start:]] * len(part), cache)  # [B, n, d]
            baseline = hidden[0] if baseline is None else baseline
            replies = _continued(model, stop_ids, hidden[:, -1], cache, continuation)
        yield _said(model, baseline, hidden, words, top, replies)


@contextmanager
def _patched(model: Any, layer: int, patches: Sequence[Patch | None], start: int) -> Iterator[None]:
    """Within, row b of what is run goes on after block K with `patches[b]`. The text is run in order, from the position
    `start`, a token at a time or many.
    """

    def change(_module: Any, _inputs: Any, out: Any) -> Any:
        nonlocal start
        h = (out[0] if isinstance(out, tuple) else out).clone()  # [B, n, d]
        for row, patch in zip(h, patches, strict=True):
            if patch is not None:
                part = patch.within(start, len(row))
                row[part] = patch.apply(row[part])
        start += h.shape[1]
        return (h, *out[1:]) if isinstance(out, tuple) else h

    hook = text_model(model).layers[layer].register_forward_hook(change)
    try:
        yield
    finally:
        hook.remove()


def _run(model: Any, rows: Sequence[Sequence[int]], cache: DynamicCache) -> Tensor:
    """[B, n, d], after the final norm."""
    ids = torch.tensor([list(row) for row in rows], dtype=torch.long, device=model.device)
    hidden: Tensor = text_model(model)(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state
    return hidden


def _continued(
    model: Any, stop_ids: Collection[int], last: Tensor, cache: DynamicCache, continuation: Continuation
) -> list[list[int]]:
    """New ids of each row, the end-of-turn token included. last: [B, d], normed, from which the first one follows."""
    generators = [row_generator(continuation.seed, 0) for _ in last]
    replies: list[list[int]] = [[] for _ in generators]
    going = set(range(len(replies)))
    for _ in range(continuation.max_new_tokens):
        check_cancelled()
        tokens = next_tokens(head(model, last), continuation.temperature, generators).tolist()
        for row in sorted(going):
            replies[row].append(tokens[row])
            if tokens[row] in stop_ids:
                going.discard(row)
        if not going or len(replies[min(going)]) == continuation.max_new_tokens:
            break
        last = _run(model, [[token] for token in tokens], cache)[:, -1]
    return replies


def _said(
    model: Any,
    baseline: Tensor,
    hidden: Tensor,
    words: Sequence[int],
    top: int,
    replies: Sequence[list[int]],
) -> list[PatchedOutput]:
    """own [n, d] of the model as it is, hidden [B, n, d] of the rows, both normed. The head reads its weights
    once for many rows: read for each by itself, they are what an intervention waits for.
    """
    kls = _kls(model, baseline, hidden)
    if not bool(kls.isfinite().all()):
        raise ModelError(
            "What the target says with this patch is not finite: its precision overflows. Steer less far, "
            "or load it in "
            "bfloat16 or float32."
        )
    wanted = torch.tensor(list(words), dtype=torch.long, device=hidden.device)
    found: list[PatchedOutput] = []
    for last in torch.split(hidden[:, -1], _rows(model)):
        for logits in head(model, last):
            probs = logits.softmax(-1)
            best = probs.topk(min(top, len(probs)))
            ranks = (logits[None] > logits[wanted][:, None]).sum(-1)
            found.append(
                PatchedOutput(
                    kls=kls[len(found)].cpu().numpy(),
                    top_ids=best.indices.to(torch.int32).cpu().numpy(),
                    top_probs=best.values.cpu().numpy(),
                    probs=probs[wanted].cpu().numpy(),
                    ranks=ranks.to(torch.int32).cpu().numpy(),
                    reply=replies[len(found)],
                )
            )
    return found


def _kls(model: Any, baseline: Tensor, hidden: Tensor) -> Tensor:
    """KL(own || row) of the next tokens, [n, d] and [B, n, d] -> [B, n], in nats."""
    most = _rows(model)
    parts = []
    for first in range(0, len(baseline), most):
        part = slice(first, first + most)
        q = head(model, baseline[part]).log_softmax(-1)
        each = []
        for rows in torch.split(hidden[:, part], max(1, most // len(q))):
            p = head(model, rows.flatten(0, 1)).log_softmax(-1).view(len(rows), *q.shape)
            each.append(
                torch.nn.functional.kl_div(p, q.expand_as(p), reduction="none", log_target=True).sum(-1)
            )
        parts.append(torch.cat(each))
    return torch.cat(parts, dim=1).clamp_min(0)


def _rows(model: Any) -> int:
    """Return the number of positions whose logits are held at once."""
    vocabulary: int = text_config(model).vocab_size
    return max(1, CHUNK_BYTES // (4 * vocabulary))
