"""The contract, step by step, with plain transformers and nothing of the explorer's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.conformance.families import K
from tests.conformance.made import SCALE, Made, ar_ids, av_ids, marker_id
from tests.conformance.spoken import tokenizer


@torch.inference_mode()
def hidden_states(made: Made, ids: Sequence[int]) -> tuple[Any, list[Tensor]]:
    """The target's output for some ids, and its hidden states: the embedding, then one after each block."""
    out = made.model("target")(torch.tensor([list(ids)]), output_hidden_states=True)
    return out, [state[0] for state in out.hidden_states]


def activations(made: Made, ids: Sequence[int]) -> Tensor:
    """[T, d] after block K."""
    return hidden_states(made, ids)[1][K + 1]


def embedded(made: Made, ids: Sequence[int]) -> Tensor:
    """[n, d] that enters the AV's first block for ordinary tokens: Gemma multiplies by the root of d."""
    rows = made.states["av"]["embed_tokens.weight"][list(ids)]
    return rows * math.sqrt(rows.shape[-1]) if made.family.gemma else rows


def input_rows(made: Made, h: Tensor) -> Tensor:
    """[P, d]: the AV's prompt with the activation, rescaled, in the marker's place."""
    ids = av_ids(made.family)
    rows = embedded(made, ids).clone()
    rows[ids.index(marker_id(made.family))] = h / h.norm() * SCALE
    return rows


def reading(made: Made, h: Tensor, budget: int) -> str:
    """What the AV writes of an activation, greedily."""
    return written(made, input_rows(made, h), budget)


@torch.inference_mode()
def written(made: Made, rows: Tensor, budget: int, hooked: Callable[[Any], None] = lambda _: None) -> str:
    """Greedy decoding after some input rows, everything computed again for each token; what stands between the tags."""
    words = tokenizer(made.family.speech)
    stops = {words.convert_tokens_to_ids(token) for token in made.family.speech.stops}
    model, said = made.model("av"), []
    hooked(model)
    while len(said) < budget:
        token = int(model(inputs_embeds=rows[None]).logits[0, -1].argmax())
        if token in stops:
            break
        said.append(token)
        rows = torch.cat([rows, embedded(made, [token])])
    before, opened, after = str(words.decode(said)).partition("<explanation>")
    return (after if opened else before).partition("</explanation>")[0].strip()


@torch.inference_mode()
def vector(made: Made, text: str) -> np.ndarray[Any, Any]:
    """[d]: the last token's residual after block K, before any norm, through the value head."""
    model = made.model("ar")
    seen: list[Tensor] = []

    def see(_module: Any, _inputs: Any, out: Any) -> None:
        seen.append(out[0] if isinstance(out, tuple) else out)

    model.model.layers[K].register_forward_hook(see)
    model(torch.tensor([ar_ids(made.family, text)]))
    found: np.ndarray[Any, Any] = (made.head @ seen[0][0, -1]).numpy()
    return found
