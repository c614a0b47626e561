"""Products with the head of a bfloat16 model, against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from server.nla.models import model_parts
from server.nla.models.model_parts import head, text_model
from server.nla.models.target import TargetModel
from server.nla.patching.patched_forward import Continuation
from server.nla.patching.patches import replacing

VOCABULARY = 2000
IDS = list(range(5, 45))


@pytest.fixture(scope="module")
def model() -> Any:
    """A tiny one with logits as large as those of a real one."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )
    made = LlamaForCausalLM(config)
    torch.nn.init.normal_(made.lm_head.weight, std=0.8)
    return made.to(torch.bfloat16).eval()


def exact(model: Any, normed: torch.Tensor) -> torch.Tensor:
    return normed.double() @ model.lm_head.weight.double().T


def test_logits_are_those_of_float64_and_not_rounded_to_bfloat16(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    normed = torch.randn(7, 64).bfloat16()
    monkeypatch.setattr(model_parts, "PART_BYTES", 4 * 64 * 300)  # seven parts, the last a smaller one
    with torch.inference_mode():
        logits = head(model, normed)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits.double(), exact(model, normed), rtol=1e-5, atol=1e-4)
    assert (model.lm_head(normed).double() - exact(model, normed)).abs().max() > 0.03


def test_the_lens_of_a_bfloat16_model_has_the_probabilities_and_ranks_of_float64(model: Any) -> None:
    target = TargetModel(model, 1)
    lens = target.trace(IDS).lens
    with torch.inference_mode():
        residuals = torch.stack(target.residuals(IDS))  # [layers, T, d]
        logits = exact(model, text_model(model).norm(residuals))
    follows = torch.tensor([*IDS[1:], int(logits[-1, -1].argmax())])
    own = logits.gather(-1, follows.expand(3, -1)[..., None])
    prob = (own[..., 0] - logits.logsumexp(-1)).exp().numpy()
    assert np.median(np.abs(lens.prob / prob - 1)) < 1e-5
    assert (lens.rank == (logits > own).sum(-1).numpy()).all()
    truth = logits.log_softmax(-1)
    kl = (truth[-1].exp() * (truth[-1] - truth)).sum(-1).numpy()
    np.testing.assert_allclose(lens.kl, kl, rtol=1e-4, atol=1e-5)


def test_what_a_patch_does_to_a_bfloat16_model_is_that_of_float64(model: Any) -> None:
    target = TargetModel(model, 1)
    patch = replacing(20, np.random.default_rng(0).normal(size=64).astype(np.float32))
    (batch,) = target.patched_forward(IDS, [patch], [7, 9], Continuation(1))
    own, after = batch
    with torch.inference_mode():
        truth = exact(model, text_model(model).norm(target.residuals(IDS)[-1]))[-1].softmax(-1)
    np.testing.assert_allclose(
        own.probs, truth[[7, 9]].numpy(), rtol=0.02
    )  # a cache of keys rounds otherwise
    assert len(np.unique(own.top_probs)) == len(own.top_probs)
    assert after.kls[-1] > 0


def test_a_float32_head_is_used_as_it_is(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_parts, "wide_product", None)
    wide = LlamaForCausalLM(model.config).eval()
    normed = torch.randn(3, 64)
    with torch.inference_mode():
        torch.testing.assert_close(head(wide, normed), wide.lm_head(normed), rtol=0, atol=0)
