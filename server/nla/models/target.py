"""The target: the model whose activations are read. One forward pass gives the activations and the lens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from server.errors import BadInput, ModelError
from server.nla.cancellation import check_cancelled
from server.nla.lens.logit_lens import Lens, lens
from server.nla.lens.tuned_lens import Translators
from server.nla.lens.word_lens import WordLens, word_lens
from server.nla.models.model_parts import head, text_config, text_model
from server.nla.models.sampling import next_tokens, row_generator
from server.nla.patching.patch_each import PatchEffects, patch_each
from server.nla.patching.patched_forward import Continuation, PatchedOutput, patched_forward
from server.nla.patching.patches import Patch
from server.nla.types import Floats, Ints

TOP_K = 5


@dataclass(frozen=True)
class Trace:
    """One forward pass: `activations` [T, d] float32, the residual stream after block K, and the lens of every block.

    `others` are the activations at further layers.
    """

    activations: Floats
    lens: Lens
    others: Mapping[int, Floats] = field(default_factory=dict)


class TargetModel:
    """A causal language model of transformers, read at layer K (the output of block K, counted from 0)."""

    def __init__(self, model: Any, layer: int, translators: Translators | None = None) -> None:
        config = text_config(model)
        if not 0 <= layer < config.num_hidden_layers:
            raise BadInput(
                "layer",
                f"Layer {layer} does not exist: the target has blocks 0…{config.num_hidden_layers - 1}.",
            )
        self.model = model.eval()
        self.layer = layer
        self.d_model: int = config.hidden_size
        self.max_tokens: int = config.max_position_embeddings
        self.stop_ids = stop_ids(model)
        self.out = model.lm_head.weight.device
        """The device that collects residuals: a model may be spread over several GPUs."""
        self.translators = translators and translators.to(self.out, model.dtype)

    @torch.inference_mode()
    def trace(self, ids: Sequence[int], layers: Sequence[int] = ()) -> Trace:
        """Activations at layer K and at further `layers`, and the lens of every layer, for all positions of `ids`."""
        residuals = self.residuals(ids)
        return Trace(
            _numbers(residuals[self.layer]),
            lens(residuals, ids, self.logits, TOP_K),
            {layer: _numbers(residuals[layer]) for layer in layers if 0 <= layer < len(residuals)},
        )

    def tuned_lens(self, ids: Sequence[int]) -> Lens:
        """The lens of `trace`, as the translators tune it."""
        if self.translators is None:
            raise BadInput("lens", "This target has no tuned lens.")
        return lens(self.residuals(ids), ids, self.logits, TOP_K, self.translators)

    @torch.inference_mode()
    def token_curves(
        self, ids: Sequence[int], tokens: Sequence[int], *, tuned: bool = False
    ) -> tuple[Floats, Ints]:
        """(probability, rank), each [layers, tokens]: every layer's lens after `ids` on `tokens` as the next token.

        Ranks count from 0. `tuned` asks the tuned lens, where there are translators.
        """
        rows = [residual[-1:] for residual in self.residuals(ids)]
        if tuned and self.translators:
            rows = [self.translators(row, h) for row, h in enumerate(rows)]
        last = torch.cat(rows)  # [layers, d]
        logits = self.logits(last).float()
        own = logits[:, torch.tensor(list(tokens), device=logits.device)]
        prob = (own - logits.logsumexp(-1, keepdim=True)).exp()
        rank = torch.stack([(logits > column[:, None]).sum(-1) for column in own.unbind(1)], 1)
        return prob.cpu().numpy(), rank.to(torch.int32).cpu().numpy()

    def word_lens(
        self, ids: Sequence[int], words: Sequence[Sequence[int]], *, tuned: bool = False
    ) -> Iterator[tuple[int, int] | WordLens]:
        """The lens on some words after every position, with how far it is; see `server.nla.lens.word_lens`."""
        if tuned and self.translators is None:
            raise BadInput("lens", "This target has no tuned lens.")
        translate = self.translators if tuned else None
        return word_lens(self.model, self.residuals(ids), ids, words, self.logits, translate)

    def patched_forward(
        self, ids: Sequence[int], patches: Sequence[Patch], words: Sequence[int], continuation: Continuation
    ) -> Iterator[list[PatchedOutput]]:
        """Run it after `ids` as it is, and with each of `patches`; see
        `server.nla.patching.patched_forward`.
        """
        return patched_forward(
            self.model, self.layer, self.stop_ids, ids, patches, words, continuation, TOP_K
        )

    def patch_each(
        self, ids: Sequence[int], positions: Sequence[int], vectors: Floats, horizon: int
    ) -> Iterator[PatchEffects]:
        """Replace the activation at each of `positions` by the same row of `vectors` [n, d], one at a time; see
        `server.nla.patching.patch_each`.
        """
        return patch_each(self.model, self.layer, ids, positions, vectors, horizon)

    @torch.inference_mode()
    def residuals(self, ids: Sequence[int]) -> list[Tensor]:
        """The residual stream after every block, one [T, d] each, none of them normed."""
        caught: list[Tensor] = []
        blocks = text_model(self.model).layers
        hooks = [
            block.register_forward_hook(
                lambda _module, _inputs, out: caught.append((out[0] if isinstance(out, tuple) else out)[0])
            )
            for block in blocks
        ]
        try:
            text_model(self.model)(input_ids=self._tensor(ids), use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        return [residual.to(self.out) for residual in caught]

    def logits(self, residual: Tensor) -> Tensor:
        """[n, d] -> [n, V]: the model's final norm, head and soft-capping."""
        return head(self.model, text_model(self.model).norm(residual))

    @torch.inference_mode()
    def generate(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        on_token: Callable[[int], object] = lambda _: None,
    ) -> list[int]:
        """New token ids, the end-of-turn token included if one came. Temperature 0 is greedy.

        `on_token` is called with each as it comes.
        """
        from transformers import DynamicCache

        cache = DynamicCache(config=text_config(self.model))
        generators = [row_generator(seed, 0)]
        new: list[int] = []
        feed = self._tensor(ids)
        while len(new) < max_new_tokens:
            check_cancelled()
            hidden = text_model(self.model)(
                input_ids=feed, past_key_values=cache, use_cache=True
            ).last_hidden_state
            logits = head(self.model, hidden[:, -1])
            token = int(next_tokens(logits, temperature, generators)[0])
            new.append(token)
            on_token(token)
            if token in self.stop_ids:
                break
            feed = self._tensor([token])
        return new

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([list(ids)], dtype=torch.long, device=self.model.device)


def _numbers(residual: Tensor) -> Floats:
    activations = residual.float()
    if not bool(torch.isfinite(activations).all()):
        raise ModelError(
            "The target's activations are not finite: its precision overflows. Load it in bfloat16 or float32."
        )
    return activations.cpu().numpy()


def stop_ids(model: Any) -> frozenset[int]:
    """The end-of-sequence ids of a model's generation config (one, several or none)."""
    return stops(model.generation_config)


def stops(generation: Any) -> frozenset[int]:
    """The end-of-sequence ids that a generation config names."""
    eos = generation.eos_token_id
    return frozenset() if eos is None else frozenset([eos] if isinstance(eos, int) else eos)
