"""Run the target with many positions of one text patched, each by itself, in a few passes through the blocks above K.

A patch after block K at position p changes nothing before p, and nothing below K anywhere: all other residuals after
block K are those of the unpatched text. So each patch is a branch of rows (the patched p, then the tokens that follow
it up to a horizon), which enter block K + 1 together, at the positions of their tokens. A row attends to the unpatched
text before p, whose keys and values are kept from one plain pass, and to its own branch up to itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from server.errors import ModelError
from server.nla.cancellation import check_cancelled
from server.nla.lens.logit_lens import CHUNK_BYTES
from server.nla.models.branches import PlainPass, branch_masks, branches_at_once, plain_pass
from server.nla.models.model_parts import head, text_config, text_model
from server.nla.types import Floats


@dataclass(frozen=True)
class PatchEffects:
    """Effects of `n` patches on what the model expects. `kls` [n, horizon + 1]: KL(unpatched || patched) in nats of the
    next token, after the patched token and after each that follows; NaN beyond the text. `losses` [n]: by how many nats
    the text's own next token becomes less likely; NaN at the end of the text. `kept` [n]: the first choice stays.
    """

    kls: Floats
    losses: Floats
    kept: Any  # bool [n]


@torch.inference_mode()
def patch_each(
    model: Any, layer: int, ids: Sequence[int], positions: Sequence[int], vectors: Floats, horizon: int
) -> Iterator[PatchEffects]:
    """Replace the residual after block `layer` at each of `positions` by the vector [d] of the same row of `vectors`,
    scaled to the residual's own length (h <- ‖h‖ v/‖v‖), one at a time; a batch of effects at a time, in this order.
    Positions that stand together share work. Raises ModelError where the output is not finite.
    """
    base = plain_pass(model, ids, [layer])
    size = branches_at_once(model, len(ids), horizon + 1)
    for first in range(0, len(positions), size):
        check_cancelled()
        part = slice(first, first + size)
        made = torch.from_numpy(vectors[part]).to(base.residuals[layer].device)
        yield _effects(model, layer, base, list(positions[part]), made, horizon)


def _effects(
    model: Any, layer: int, base: PlainPass, positions: list[int], vectors: Tensor, horizon: int
) -> PatchEffects:
    residuals = base.residuals[layer]
    device, count = residuals.device, len(residuals)
    start = torch.tensor(positions, device=device)
    at = start[:, None] + torch.arange(horizon + 1, device=device)  # [n, horizon + 1]
    inside = at < count
    branch = torch.arange(len(positions), device=device)[:, None].expand_as(at)[inside]
    place = at[inside]
    rows = residuals[place].clone()
    own = residuals[start].float()
    units = torch.nn.functional.normalize(vectors.float(), dim=-1)
    rows[place == start[branch]] = (own.norm(dim=-1, keepdim=True) * units).to(rows.dtype)
    with base.kept() as cache, _above(model, layer, tuples=base.tuples):
        hidden = text_model(model)(
            inputs_embeds=rows[None],
            attention_mask=branch_masks(model, base, start[branch], branch, place),
            position_ids=place[None],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[0]
    kls, losses, kept = _compared(model, base, hidden, place)
    if not bool(kls.isfinite().all()):
        raise ModelError("The target's output with this patch is not finite: load it in bfloat16 or float32.")
    spread = torch.full(at.shape, float("nan"), device=device)
    spread[inside] = kls.to(device)
    first = (place == start[branch]).to(losses.device)
    return PatchEffects(spread.cpu().numpy(), losses[first].cpu().numpy(), kept[first].cpu().numpy())


@contextmanager
def _above(model: Any, layer: int, *, tuples: bool) -> Iterator[None]:
    """Within, the blocks up to `layer` hand on what they are given."""

    def hand_on(hidden_states: Tensor, *_args: Any, **_kwargs: Any) -> Any:
        return (hidden_states,) if tuples else hidden_states

    blocks = list(text_model(model).layers[: layer + 1])
    replaced = [vars(block).get("forward") for block in blocks]  # accelerate puts its own there
    for block in blocks:
        block.forward = hand_on
    try:
        yield
    finally:
        for block, before in zip(blocks, replaced, strict=True):
            del block.forward
            if before is not None:
                block.forward = before


def _compared(model: Any, base: PlainPass, hidden: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """KL [rows], loss [rows] and whether the first choice is kept [rows], of rows at the positions `place`. Rows of one
    position stand beside each other in the chunks of logits, so that the unpatched ones are made once for all.
    """
    order = place.argsort(stable=True)
    following = torch.cat([base.ids[1:], base.ids[:1]]).to(hidden.device)
    last = len(base.ids) - 1
    kls, losses, kept = (torch.empty(len(place), device=hidden.device) for _ in range(3))
    for part in torch.split(order, max(1, CHUNK_BYTES // (4 * text_config(model).vocab_size))):
        found, which = torch.unique(place[part], return_inverse=True)
        own = head(model, base.hidden[found]).log_softmax(-1)
        q = own[which]
        p = head(model, hidden[part]).log_softmax(-1).to(q.device)
        token = following[place[part]].to(q.device)[:, None]
        kls[part] = (q.exp() * (q - p)).sum(-1).clamp_min(0).to(kls.device)
        losses[part] = (q.gather(-1, token) - p.gather(-1, token))[:, 0].to(kls.device)
        kept[part] = (q.argmax(-1) == p.argmax(-1)).float().to(kls.device)
    losses[place == last] = float("nan")
    return kls, losses, kept.bool()
