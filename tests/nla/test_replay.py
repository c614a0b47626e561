"""The reply read again with an edit, on the demo pair, against whole runs of the target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from server.interventions.run import InterventionInputs, Result, intervene
from server.interventions.schema import InterventionRequest
from server.nla.models.loaded_pair import LoadedPair
from server.nla.patching.patches import Patch, at_same_angle, replacing
from tests.nla import patched

pytestmark = pytest.mark.anyio
POSITION = 3
WORDS = "It speaks of Berlin, the capital of Germany."


async def result(pair: LoadedPair, ids: list[int], h: Any, others: list[Any], scope: str) -> Result:
    request = InterventionRequest.model_validate(
        {"position": POSITION, "text": WORDS, "scope": scope, "generate": {"max_new_tokens": 6}}
    )
    material = InterventionInputs(request, ids, h[POSITION], None, others, None)
    *_, found = [step async for step in intervene(pair, material)]
    assert isinstance(found, Result)
    return found


@pytest.mark.parametrize("scope", ["position", "onwards"])
async def test_it_is_the_kl_at_each_token_of_the_unpatched_reply(pair: LoadedPair, scope: str) -> None:
    target = pair.target.model
    ids = pair.prompter.encode(None, "The capital of France is")
    h = target.trace(ids).activations
    (v,) = await pair.reconstructor.reconstruct([WORDS])
    others = [h[1], h[4]]
    found = await result(pair, ids, h, others, scope)
    reply = [id for id, _ in found.before.tokens]
    assert reply == patched.reply(target.model, target.layer, ids, None, 6, ())
    assert "".join(text for _, text in found.before.tokens) == found.before.text

    edit = replacing(POSITION, v, onwards=scope == "onwards")
    whole = [*ids, *reply]

    def kls(patch: Patch) -> Any:
        q = log_softmax(patched.logits(target.model, target.layer, whole, None), axis=-1)
        p = log_softmax(patched.logits(target.model, target.layer, whole, patch), axis=-1)
        return (np.exp(q) * (q - p)).sum(-1)[len(ids) - 1 : -1]

    assert found.replay is not None
    np.testing.assert_allclose(found.replay.kls, kls(edit), atol=1e-3)
    assert found.replay.kls[0] == pytest.approx(found.kls[-1], abs=1e-4)
    assert (found.replay.null, found.replay.n) == ("other", 2)
    turned = [at_same_angle(edit, h[POSITION], other) for other in others]
    expected = np.mean([kls(patch) for patch in turned if patch is not None], axis=0)
    np.testing.assert_allclose(found.replay.null_kls, expected, atol=1e-3)


async def test_without_other_readings_it_is_held_against_random_directions(pair: LoadedPair) -> None:
    ids = pair.prompter.encode(None, "The capital of France is")
    h = pair.target.model.trace(ids).activations
    found = await result(pair, ids, h, [], "position")
    assert found.replay is not None
    assert (found.replay.null, found.replay.n) == ("random", 8)
    assert len(found.replay.null_kls) == len(found.replay.kls) == len(found.before.tokens)
