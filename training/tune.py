"""The two fine-tunings: batches, losses, and one loop that can be stopped and taken up again."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

MARKER = "<empty_output>"  # one token that no text uses
AV_TEMPLATE = "Activation:{injection_char}"
AV_PROMPT = f"<|im_start|>user\n{AV_TEMPLATE}<|im_end|>\n<|im_start|>assistant\n"
AR_PROMPT = "{explanation}\nVector:"
INJECTION_NORM = 250.0
OPENING, CLOSING = "<explanation>", "</explanation>"
REPETITION = 2.0
"""The weight of the unlikelihood of a repeated item beside the cross-entropy of a token."""


def mixed_batches(lengths: Sequence[int], size: int, seed: int) -> Iterator[list[int]]:
    """Endless shuffled batches of indices whose texts are of about the same length (little padding)."""
    if not lengths:
        raise ValueError("There is nothing to train on.")
    epoch = 0
    while True:
        rng = random.Random(seed * 1000 + epoch)
        order = list(range(len(lengths)))
        rng.shuffle(order)
        batches = []
        for start in range(0, len(order), size * 32):
            pool = sorted(order[start : start + size * 32], key=lengths.__getitem__)
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        rng.shuffle(batches)
        yield from batches
        epoch += 1


def pad(rows: Sequence[Sequence[int]], filler: int) -> tuple[Tensor, Tensor]:
    """Right-padded ids [B, T] and the lengths [B]."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), filler, dtype=torch.long)
    for n, row in enumerate(rows):
        ids[n, : len(row)] = torch.tensor(row)
    return ids, lengths


Span = tuple[int, int]
"""A part of a text, by its characters."""


def av_loss(
    model: Any,
    tokenizer: Any,
    activations: Tensor,
    texts: Sequence[str],
    spans: Sequence[Span] | None = None,
    lists: Sequence[Sequence[int]] | None = None,
    own: Sequence[bool] | None = None,
) -> Tensor:
    """Next-token loss on the texts, the normalised activation in the marker's place. With `lists`, of where the items
    of a list in each text begin, there is also the unlikelihood of an item that begins as one before it does,
    -log(1 - p) (Welleck et al., 2020, arXiv:1908.04319). With `spans` and `own` (one of each a text), of the AV's own
    texts that part alone counts, and of the others all but that part; the two means are added.
    """
    hidden, goal, kept, parts = _av_states(model, tokenizer, activations, texts, spans or ())
    counted = [kept]
    if own is not None:
        its_own = torch.tensor(own, device=kept.device)[:, None]
        counted = [kept & ~its_own & ~parts, parts & its_own]
    losses = [
        sampled_cross_entropy(model.lm_head.weight, hidden[those], goal[those])
        for those in counted
        if those.any()
    ]
    loss: Tensor = sum(losses[1:], losses[0])
    where = [] if lists is None else repetitions(tokenizer, texts, lists)
    if not where:
        return loss
    rows, steps, again = (torch.tensor(column, device=hidden.device) for column in zip(*where, strict=True))
    p = model.lm_head(hidden[rows, steps]).float().softmax(-1)[torch.arange(len(rows)), again]
    return loss - REPETITION * torch.log1p(-p.clamp(max=0.999)).mean()


def repetitions(
    tokenizer: Any, texts: Sequence[str], lists: Sequence[Sequence[int]]
) -> list[tuple[int, int, int]]:
    """(text, token of its answer, a token that would begin an earlier item there) for each item of each list."""
    found = []
    for row, (text, starts) in enumerate(zip(texts, lists, strict=True)):
        coded = tokenizer(f"{OPENING}{text}", add_special_tokens=False, return_offsets_mapping=True)
        at = {start - len(OPENING): n for n, (start, _) in enumerate(coded["offset_mapping"])}
        steps = [at[start] for start in starts if start in at]
        for n, step in enumerate(steps):
            earlier = {coded["input_ids"][other] for other in steps[:n]} - {coded["input_ids"][step]}
            found += [(row, step, token) for token in sorted(earlier)]
    return found


def av_log_probabilities(
    model: Any, tokenizer: Any, activations: Tensor, texts: Sequence[str], spans: Sequence[Span]
) -> Tensor:
    """[B]: the log-probability of a part of each text, after what stands before it."""
    hidden, goal, _, parts = _av_states(model, tokenizer, activations, texts, spans)
    each = torch.zeros(goal.shape, device=hidden.device)
    each[parts] = -F.cross_entropy(model.lm_head(hidden[parts]).float(), goal[parts], reduction="none")
    return each.sum(-1)


def _av_states(
    model: Any, tokenizer: Any, activations: Tensor, texts: Sequence[str], spans: Sequence[Span]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Last hidden states before each token of the answers [B, T, d], the tokens [B, T], which of them there are, and
    which are in the span of their text [B, T].
    """
    prompt = tokenizer(AV_PROMPT.format(injection_char=MARKER), add_special_tokens=False)["input_ids"]
    slot = prompt.index(tokenizer.convert_tokens_to_ids(MARKER))
    coded = tokenizer(
        [f"{OPENING}{text}{CLOSING}" for text in texts], add_special_tokens=False, return_offsets_mapping=True
    )
    answers = [[*answer, tokenizer.eos_token_id] for answer in coded["input_ids"]]
    ids, lengths = pad([prompt + answer for answer in answers], tokenizer.eos_token_id)
    ids = ids.to(model.device)
    embeds = model.get_input_embeddings()(ids)
    unit = F.normalize(activations.to(model.device).float(), dim=-1)
    embeds[:, slot] = (unit * INJECTION_NORM).to(embeds.dtype)
    hidden = model.model(inputs_embeds=embeds).last_hidden_state[:, len(prompt) - 1 : -1]
    goal = ids[:, len(prompt) :]
    kept = torch.arange(goal.shape[1])[None] < (lengths - len(prompt))[:, None]
    parts = torch.zeros_like(kept)
    for row, (start, end) in enumerate(spans):
        for n in range(goal.shape[1]):
            offsets = coded["offset_mapping"][row]
            first, last = offsets[n] if n < len(offsets) else (0, 0)
            parts[row, n] = first < end + len(OPENING) and last > start + len(OPENING)
    return hidden, goal, kept.to(model.device), parts.to(model.device)


def sampled_cross_entropy(vocabulary: Tensor, hidden: Tensor, goal: Tensor, negatives: int = 8192) -> Tensor:
    """Cross-entropy whose normaliser is estimated from the batch's own tokens and `negatives` random others.

    Each random token stands for (V - own) / negatives of its kind, so its logit is raised by the logarithm of that
    (Bengio and Senecal, 2008). The full softmax over 49,152 tokens would take a sixth of a training step on a CPU.
    """
    own, goal = torch.unique(goal, return_inverse=True)
    others = torch.ones(len(vocabulary), dtype=torch.bool, device=own.device)
    others[own] = False
    candidates = others.nonzero()[:, 0]
    drawn = candidates[torch.randperm(len(candidates), device=own.device)[:negatives]]
    logits = F.linear(hidden, vocabulary[torch.cat([own, drawn])]).float()
    logits[:, len(own) :] += math.log(len(candidates) / len(drawn))
    return F.cross_entropy(logits, goal)


def ar_vectors(model: Any, head: nn.Linear, tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """[B, d]: the head on the last real token's residual after block K, no final norm."""
    rows = tokenizer([AR_PROMPT.format(explanation=text) for text in texts])["input_ids"]
    ids, lengths = pad(rows, tokenizer.eos_token_id)
    hidden = model(input_ids=ids.to(model.device)).last_hidden_state
    last = hidden[torch.arange(len(rows)), lengths - 1]
    out: Tensor = head(last.float())
    return out


def ar_loss(model: Any, head: nn.Linear, tokenizer: Any, activations: Tensor, texts: Sequence[str]) -> Tensor:
    """1 - cosine to the true activation."""
    vectors = ar_vectors(model, head, tokenizer, texts)
    return 1 - F.cosine_similarity(vectors, activations.to(vectors.device).float(), dim=-1).mean()


def run(
    name: str,
    parameters: list[nn.Parameter],
    loss_of: Callable[[list[int]], Tensor],
    lengths: Sequence[int],
    *,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    keep: Path,
    every: int = 25,
) -> None:
    """AdamW, a short warm-up, then `rate` until the last quarter, which falls in a line to a twentieth of it.

    State is kept in `keep` every `every` steps; a run may be taken up again with another number of steps, as
    nothing before the last quarter depends on it.
    """
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda n: min(1.0, (n + 1) / 30) * min(1.0, max(0.05, 4 * (1 - n / max(1, steps)))),
    )
    done, mean = 0, 0.0
    if keep.exists():
        saved = torch.load(keep)
        for parameter, value in zip(parameters, saved["parameters"], strict=True):
            parameter.data.copy_(value)
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        done, mean = saved["done"], saved["mean"]
    batches = mixed_batches(lengths, batch, seed)
    for _ in range(done):
        next(batches)
    bar = tqdm(range(done, steps), desc=name, unit="step", initial=done, total=steps, mininterval=10)
    for step in bar:
        loss = loss_of(next(batches))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        bar.set_postfix(loss=f"{mean:.4f}", refresh=False)
        if (step + 1) % every == 0 or step + 1 == steps:
            kept: dict[str, Any] = {
                "parameters": [p.data for p in parameters],
                "optimiser": optimiser.state_dict(),
            }
            kept |= {"schedule": schedule.state_dict(), "done": step + 1, "mean": mean}
            torch.save(kept, keep.with_suffix(".part"))
            keep.with_suffix(".part").replace(keep)
