"""Patched targets of every architecture, sliding windows and soft-capping included, beside the bare text model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import softmax
from transformers import AutoModelForCausalLM

from server.nla.models.target import TargetModel
from server.nla.patching.patched_forward import Continuation
from server.nla.patching.patches import Patch, replacing, steering
from server.nla.types import Floats
from tests.conformance.families import D, K
from tests.conformance.made import Made
from tests.nla import patched

pytestmark = pytest.mark.conformance
IDS = [int(n) for n in np.random.default_rng(0).integers(5, 40, 24)]
V: Floats = np.random.default_rng(1).normal(size=D).astype(np.float32)
LENGTH = 6


@pytest.mark.parametrize("position", [0, 3, 20])  # at the start, deep in the first window, beyond it
@pytest.mark.parametrize("onwards", [False, True])
def test_patched_rows_are_those_of_the_whole_text(made: Made, position: int, onwards: bool) -> None:
    loaded: Any = AutoModelForCausalLM.from_pretrained(made.places["target"], dtype=torch.float32)
    target = TargetModel(loaded, K)
    plain = made.model("target")
    patches = [replacing(position, V, onwards=onwards), steering(position, V, 1.5, onwards=onwards)]
    (rows,) = target.patched_forward(IDS, patches, [], Continuation(LENGTH))
    every: list[Patch | None] = [None, *patches]
    q = softmax(patched.logits(plain, K, IDS, None), axis=-1)[position:]
    for patch, row in zip(every, rows, strict=True):
        p = softmax(patched.logits(plain, K, IDS, patch), axis=-1)[position:]
        np.testing.assert_allclose(row.kls, stats.entropy(q, p, axis=-1), rtol=2e-3, atol=1e-5)
        np.testing.assert_allclose(row.top_probs, np.sort(p[-1])[::-1][:5], rtol=1e-3)
        assert row.reply == patched.reply(plain, K, IDS, patch, LENGTH, target.stop_ids)
    assert rows[1].kls[0] > 1e-3
