"""The lens on chosen words: how likely every layer finds each of them as what comes next, after every position.

A layer's lens is asked for a word's first token. The model's output is also asked for the whole word: the probability
that its tokens follow one after another, each given those before it (teacher forcing), Π P(t_i | text, t_1 … t_(i-1)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from server.nla.cancellation import check_cancelled
from server.nla.lens.logit_lens import CHUNK_BYTES, SLICE_BYTES
from server.nla.models.branches import PlainPass, branch_masks, branches_at_once, plain_pass
from server.nla.models.model_parts import head, text_model
from server.nla.types import Floats, Ints


@dataclass(frozen=True)
class WordLens:
    """W words over L layers and T positions. `prob` and `rank` [W, L, T]: of each word's first token, ranks from 0;
    `whole` [W, T]: the probability of all its tokens by the model's output.
    """

    prob: Floats
    rank: Ints
    whole: Floats


@torch.inference_mode()
def word_lens(
    model: Any,
    residuals: Sequence[Tensor],
    ids: Sequence[int],
    words: Sequence[Sequence[int]],
    logits_of: Callable[[Tensor], Tensor],
    translate: Callable[[int, Tensor], Tensor] | None = None,
) -> Iterator[tuple[int, int] | WordLens]:
    """Yield (steps done, all steps) after each, and at the end the lens on `words`, each given as the ids of its
    tokens.

    residuals: one [T, d] per block, before the final norm. logits_of: [n, d] -> [n, V]. translate: (row, [n, d]) ->
    [n, d], of a tuned lens.
    """
    layers, count = len(residuals), len(ids)
    prob = np.empty((len(words), layers, count), np.float32)
    rank = np.empty((len(words), layers, count), np.int32)
    long = [n for n, word in enumerate(words) if len(word) > 1]
    done, total = 0, layers + len(long)
    firsts = [word[0] for word in words]
    for row in range(layers):
        check_cancelled()
        h = residuals[row]
        if translate is not None and row < layers - 1:
            h = translate(row, h)
        prob[:, row], rank[:, row] = _first_tokens(h, firsts, logits_of)
        done += 1
        yield done, total
    whole = prob[:, -1].copy()
    text = plain_pass(model, ids) if long else None
    for n in long:
        assert text is not None
        whole[n] *= _further_tokens(model, text, words[n])
        done += 1
        yield done, total
    yield WordLens(prob, rank, whole)


def _first_tokens(
    h: Tensor, firsts: Sequence[int], logits_of: Callable[[Tensor], Tensor]
) -> tuple[Floats, Ints]:
    """(probability, rank) [W, T] of some tokens by one layer, whose residuals are h [T, d]."""
    probs, ranks = [], []
    vocabulary = logits_of(h[:1]).shape[-1]
    step = max(1, (CHUNK_BYTES if h.is_cuda else SLICE_BYTES) // (4 * vocabulary))
    for part in torch.split(h, step):
        logits = logits_of(part).float()
        own = logits[:, torch.tensor(firsts, device=logits.device)]  # [n, W]
        probs.append((own - logits.logsumexp(-1, keepdim=True)).exp())
        ranks.append(torch.stack([(logits > column[:, None]).sum(-1) for column in own.unbind(1)], 1))
    return (
        torch.cat(probs).T.cpu().numpy(),
        torch.cat(ranks).T.to(torch.int32).cpu().numpy(),
    )


def _further_tokens(model: Any, text: PlainPass, word: Sequence[int]) -> Floats:
    """The probability [T] that after each position, and a word's first token there, the rest of the word follows."""
    device, count, rows = text.ids.device, len(text.ids), len(word) - 1
    fed = torch.tensor(word[:-1], device=device)
    wanted = torch.tensor(word[1:])
    found = []
    for positions in torch.split(torch.arange(count, device=device), branches_at_once(model, count, rows)):
        check_cancelled()
        n = len(positions)
        start = (positions + 1).repeat_interleave(rows)
        branch = torch.arange(n, device=device).repeat_interleave(rows)
        place = start + torch.arange(rows, device=device).repeat(n)
        with text.kept() as cache:
            hidden = text_model(model)(
                input_ids=fed.repeat(n)[None],
                attention_mask=branch_masks(model, text, start, branch, place),
                position_ids=place[None],
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state[0]
        logs = torch.cat([_log_probs(model, h, w) for h, w in _chunks(model, hidden, wanted.repeat(n))])
        found.append(logs.view(n, rows).sum(1).exp())
    probs: Floats = torch.cat(found).numpy()
    return probs


def _chunks(model: Any, hidden: Tensor, wanted: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows whose logits are made at once, with the token that is wanted after each."""
    vocabulary = head(model, hidden[:1]).shape[-1]
    step = max(1, CHUNK_BYTES // (4 * vocabulary))
    return zip(torch.split(hidden, step), torch.split(wanted, step), strict=True)


def _log_probs(model: Any, hidden: Tensor, wanted: Tensor) -> Tensor:
    logits = head(model, hidden).float()
    logs: Tensor = logits.log_softmax(-1).gather(-1, wanted.to(logits.device)[:, None])[:, 0]
    return logs.cpu()
