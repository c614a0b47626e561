"""Patching each position by itself, against one whole patched run for each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from transformers import AutoModelForCausalLM

from server.errors import ModelError
from server.nla.models import branches
from server.nla.models.loaded_pair import LoadedPair
from server.nla.models.target import TargetModel
from server.nla.patching.patch_each import PatchEffects
from server.nla.patching.patched_forward import Continuation
from server.nla.patching.patches import replacing
from server.nla.types import Floats
from tests.conformance.families import FAMILIES, Family, K
from tests.conformance.made import make
from tests.nla import patched

HORIZON = 3


def together(target: TargetModel, ids: list[int], positions: list[int], vectors: Floats) -> PatchEffects:
    parts = list(target.patch_each(ids, positions, vectors, HORIZON))
    return PatchEffects(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("kls", "losses", "kept"))
    )


def one_by_one(model: Any, layer: int, ids: list[int], position: int, v: Floats) -> tuple[Any, float, bool]:
    """(kls [HORIZON + 1], loss, kept) of one patch, from two whole runs in float64 arithmetic."""
    q: NDArray[np.float64] = log_softmax(patched.logits(model, layer, ids, None), axis=-1)
    p: NDArray[np.float64] = log_softmax(patched.logits(model, layer, ids, replacing(position, v)), axis=-1)
    np.testing.assert_allclose(p[:position], q[:position], atol=1e-5)  # nothing before the patch changes
    kls = np.full(HORIZON + 1, np.nan)
    after = (np.exp(q) * (q - p)).sum(-1)[position : position + HORIZON + 1]
    kls[: len(after)] = after
    end = position + 1 == len(ids)
    loss = np.nan if end else q[position, ids[position + 1]] - p[position, ids[position + 1]]
    return kls, loss, bool(q[position].argmax() == p[position].argmax())


def check(target: TargetModel, layer: int, ids: list[int], seed: int) -> None:
    """Two patches at every position, the text's end included, in an order that mixes them."""
    positions = [*range(len(ids)), *reversed(range(len(ids)))]
    vectors = np.random.default_rng(seed).normal(size=(len(positions), target.d_model)).astype(np.float32)
    found = together(target, ids, positions, vectors)
    for n, position in enumerate(positions):
        kls, loss, kept = one_by_one(target.model, layer, ids, position, vectors[n])
        np.testing.assert_allclose(found.kls[n], kls, atol=1e-3)
        np.testing.assert_allclose(found.losses[n], loss, atol=1e-3)
        assert bool(found.kept[n]) is kept


@pytest.mark.parametrize("family", [f for f in FAMILIES if not f.wrapped], ids=lambda family: family.name)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_together_is_one_by_one(family: Family, attention: str, tmp_path: Path) -> None:
    """Gemma 3's every other block sees no further than 8 tokens, with rotary bases of their own."""
    folder = make(family, tmp_path).places["target"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
    check(TargetModel(model, K), K, list(range(5, 29)), seed=1)


def test_a_wrapped_model_is_patched_as_its_text_model_is(tmp_path: Path) -> None:
    """The wrapper of Gemma 3 against its text model by itself, with the same weights."""
    family = next(f for f in FAMILIES if f.wrapped)
    model = AutoModelForCausalLM.from_pretrained(make(family, tmp_path).places["target"], dtype=torch.float32)
    ids, target = list(range(5, 25)), TargetModel(model, K)
    h = target.trace(ids).activations
    found = together(target, ids, [4, 12], h[[5, 3]])
    for n, (position, v) in enumerate(((4, h[5]), (12, h[3]))):
        (batch,) = target.patched_forward(ids, [replacing(position, v)], [], Continuation(1))
        np.testing.assert_allclose(found.kls[n], batch[1].kls[: HORIZON + 1], atol=1e-3)


def test_the_demos_target_too(pair: LoadedPair) -> None:
    target = pair.target.model
    ids = pair.prompter.encode(None, "The capital of France is Paris, and that of Spain")
    check(target, target.layer, ids, seed=2)


def test_an_activation_in_its_own_place_changes_nothing(pair: LoadedPair) -> None:
    target = pair.target.model
    ids = pair.prompter.encode(None, "The capital of France is Paris.")
    h = target.trace(ids).activations
    found = together(target, ids, list(range(len(ids))), 3 * h)
    np.testing.assert_allclose(np.nan_to_num(found.kls), 0, atol=1e-4)
    np.testing.assert_allclose(np.nan_to_num(found.losses), 0, atol=1e-4)
    assert found.kept.all()


def test_small_passes_find_what_one_pass_finds(pair: LoadedPair, monkeypatch: pytest.MonkeyPatch) -> None:
    target = pair.target.model
    ids = pair.prompter.encode(None, "Cats sleep for most of the day.")
    positions = list(range(len(ids)))
    vectors = np.random.default_rng(0).normal(size=(len(ids), target.d_model)).astype(np.float32)
    whole = together(target, ids, positions, vectors)
    monkeypatch.setattr(branches, "SCORES_BYTES", 1)
    assert len(list(target.patch_each(ids, positions, vectors, HORIZON))) == len(ids)
    small = together(target, ids, positions, vectors)
    np.testing.assert_allclose(small.kls, whole.kls, atol=1e-5)


def test_the_model_is_left_as_it_was(pair: LoadedPair) -> None:
    target = pair.target.model
    ids = pair.prompter.encode(None, "Cats sleep.")
    before = target.trace(ids).activations
    batches = target.patch_each(ids, [1], before[[0]], 0)
    next(batches)
    np.testing.assert_array_equal(target.trace(ids).activations, before)
    assert not any("forward" in vars(block) for block in target.model.model.layers)


def test_a_vector_without_a_length_is_refused(pair: LoadedPair) -> None:
    target = pair.target.model
    ids = pair.prompter.encode(None, "Cats sleep.")
    vectors = np.full((1, target.d_model), np.nan, np.float32)
    with pytest.raises(ModelError, match="not finite"):
        list(target.patch_each(ids, [1], vectors, 0))
