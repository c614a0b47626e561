"""A patched target, the slow way: the whole text anew for each token, no cache, one row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from server.nla.patching.patches import Patch


@torch.inference_mode()
def logits(model: Any, layer: int, ids: Sequence[int], patch: Patch | None) -> NDArray[np.float64]:
    """[T, V], of a bare text model whose stream after block `layer` is another one."""

    def change(_module: Any, _inputs: Any, out: Any) -> Any:
        whole = out[0] if isinstance(out, tuple) else out
        new = whole.clone()
        if patch is not None:
            for n in range(patch.position, len(ids) if patch.onwards else patch.position + 1):
                h = whole[0, n].double()
                step = torch.from_numpy(patch.direction).double() * (h**2).sum().sqrt()
                new[0, n] = step if patch.alpha is None else h + patch.alpha * step
        return (new, *out[1:]) if isinstance(out, tuple) else new

    hook = model.model.layers[layer].register_forward_hook(change)
    found: NDArray[np.float64] = model(torch.tensor([list(ids)]), use_cache=False).logits[0].double().numpy()
    hook.remove()
    return found


def reply(
    model: Any, layer: int, ids: Sequence[int], patch: Patch | None, count: int, stop_ids: Collection[int]
) -> list[int]:
    """The greedy continuation, up to its end-of-turn token."""
    new: list[int] = []
    while len(new) < count and not (new and new[-1] in stop_ids):
        new.append(int(logits(model, layer, [*ids, *new], patch)[-1].argmax()))
    return new
