from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import softmax

from server.errors import ModelError
from server.nla.models.loaded_pair import LoadedPair
from server.nla.patching import patched_forward as module
from server.nla.patching.patched_forward import Continuation, PatchedOutput
from server.nla.patching.patches import Patch, random_controls, replacing, steering
from server.nla.types import Floats
from tests.nla import patched

FRANCE = 3
"""Its position in the text."""
SHORT = Continuation(1)


@pytest.fixture(scope="module")
def ids(pair: LoadedPair) -> list[int]:
    return pair.prompter.encode(None, "The capital of France is")


@pytest.fixture(scope="module")
def own(pair: LoadedPair, ids: list[int]) -> Floats:
    """Its activations."""
    return pair.target.model.trace(ids).activations


@pytest.fixture(scope="module")
def spain(pair: LoadedPair) -> Floats:
    """[d], of another text."""
    return pair.target.model.trace(pair.prompter.encode(None, "The capital of Spain is")).activations[FRANCE]


@pytest.fixture(scope="module")
def words(pair: LoadedPair) -> list[int]:
    return [pair.prompter.word(word)[0] for word in (" Paris", " Madrid", "x")]


def said(
    pair: LoadedPair,
    ids: Sequence[int],
    patches: Sequence[Patch],
    further: Continuation = SHORT,
    words: Sequence[int] = (),
) -> list[PatchedOutput]:
    return [row for batch in pair.target.model.patched_forward(ids, patches, words, further) for row in batch]


def hooks(pair: LoadedPair) -> int:
    return sum(len(block._forward_hooks) for block in pair.target.model.model.model.layers)


def test_an_activation_in_its_own_place_changes_nothing(
    pair: LoadedPair, ids: list[int], own: Floats
) -> None:
    before, after = said(pair, ids, [replacing(FRANCE, own[FRANCE])])
    np.testing.assert_allclose(after.kls, 0, atol=1e-6)
    np.testing.assert_allclose(after.top_probs, before.top_probs, atol=1e-5)
    assert after.top_ids.tolist() == before.top_ids.tolist()


def test_without_a_patch_it_says_what_the_model_says(pair: LoadedPair, ids: list[int], spain: Floats) -> None:
    with torch.inference_mode():
        plain = pair.target.model.model(torch.tensor([ids])).logits[0, -1].double().numpy()
    before = said(pair, ids, [replacing(FRANCE, spain)], Continuation(8))[0]
    assert before.top_ids.tolist() == np.argsort(-plain)[:5].tolist()
    np.testing.assert_allclose(before.top_probs, np.sort(softmax(plain))[::-1][:5], rtol=1e-4)
    np.testing.assert_allclose(before.kls, 0, atol=1e-6)
    assert before.reply == pair.target.model.generate(ids, max_new_tokens=8, temperature=0, seed=0)


def test_every_row_is_sampled_as_a_reply_is(pair: LoadedPair, ids: list[int], own: Floats) -> None:
    rows = said(pair, ids, [replacing(FRANCE, own[FRANCE])], Continuation(8, 1.0, 3))
    expected = pair.target.model.generate(ids, max_new_tokens=8, temperature=1.0, seed=3)
    assert [row.reply for row in rows] == [expected, expected]


@pytest.mark.parametrize("onwards", [False, True])
@pytest.mark.parametrize("alpha", [None, 0.5])
@pytest.mark.parametrize("position", [0, 2, FRANCE, 4])
def test_a_patched_row_is_that_of_the_whole_text_without_a_cache(
    pair: LoadedPair,
    ids: list[int],
    spain: Floats,
    words: list[int],
    position: int,
    alpha: float | None,
    onwards: bool,
) -> None:
    patch = replacing(position, spain, onwards=onwards)
    if alpha is not None:
        patch = steering(position, spain, alpha, onwards=onwards)
    found = said(pair, ids, [patch], Continuation(3), words)[1]
    model, layer = pair.target.model.model, pair.layer
    q = softmax(patched.logits(model, layer, ids, None), axis=-1)
    p = softmax(patched.logits(model, layer, ids, patch), axis=-1)
    np.testing.assert_allclose(q[:position], p[:position], rtol=1e-6)  # nothing before it has changed
    kls = stats.entropy(q[position:], p[position:], axis=-1)
    np.testing.assert_allclose(found.kls, kls, rtol=1e-3, atol=1e-5)
    last = p[-1]
    np.testing.assert_allclose(found.top_probs, np.sort(last)[::-1][:5], rtol=2e-3)
    np.testing.assert_allclose(found.probs, last[words], rtol=2e-3)
    # Deep in the tail neighbours change places by rounding.
    np.testing.assert_allclose(found.ranks, [(last > last[word]).sum() for word in words], rtol=1e-2)
    assert found.reply == patched.reply(model, layer, ids, patch, 3, pair.target.model.stop_ids)


def test_the_reply_is_patched_too_if_that_is_wanted(pair: LoadedPair, ids: list[int], spain: Floats) -> None:
    patches = [steering(FRANCE, spain, 1.0, onwards=onwards) for onwards in (False, True)]
    _, once, always = said(pair, ids, patches, Continuation(8))
    model, layer = pair.target.model.model, pair.layer
    replies = [patched.reply(model, layer, ids, patch, 8, pair.target.model.stop_ids) for patch in patches]
    assert [once.reply, always.reply] == replies
    assert once.reply != always.reply


def test_batches_do_not_matter(
    pair: LoadedPair,
    ids: list[int],
    own: Floats,
    spain: Floats,
    words: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edit = replacing(FRANCE, spain)
    patches = [edit, *random_controls(edit, own[FRANCE], 3, 0)]
    whole = list(pair.target.model.patched_forward(ids, patches, words, Continuation(4)))
    monkeypatch.setattr(module, "TOGETHER", 2 * (len(ids) + 4))
    parts = list(pair.target.model.patched_forward(ids, patches, words, Continuation(4)))
    assert ([len(batch) for batch in whole], [len(batch) for batch in parts]) == ([5], [2, 2, 1])
    for one, other in zip(whole[0], [row for batch in parts for row in batch], strict=True):
        np.testing.assert_allclose(one.kls, other.kls, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(one.probs, other.probs, rtol=1e-3)
        assert (one.top_ids.tolist(), one.reply) == (other.top_ids.tolist(), other.reply)


def test_what_comes_before_the_patch_is_run_once(
    pair: LoadedPair, ids: list[int], spain: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[tuple[int, ...]] = []
    monkeypatch.setattr(module, "TOGETHER", 2 * (len(ids) + 1))
    hook = pair.target.model.model.model.embed_tokens.register_forward_hook(
        lambda _module, inputs, _out: run.append(tuple(inputs[0].shape))
    )
    said(pair, ids, [replacing(FRANCE, spain)] * 3)
    hook.remove()
    assert run == [(1, FRANCE), (2, len(ids) - FRANCE), (2, len(ids) - FRANCE)]


def test_a_row_that_ends_its_turn_stops_and_the_others_go_on(pair: LoadedPair, spain: Floats) -> None:
    ids = pair.prompter.encode([("user", "What is the capital of France?")], None)
    babble = steering(len(ids) - 1, spain, 2.0, onwards=True)
    before, after = said(pair, ids, [babble], Continuation(12))
    assert pair.prompter.tokenizer.decode(before.reply) == "The capital of France is Paris.<|im_end|>"
    assert len(after.reply) == 12
    assert after.reply == patched.reply(
        pair.target.model.model, pair.layer, ids, babble, 12, pair.target.model.stop_ids
    )


def test_nothing_stays_behind_in_the_model(
    pair: LoadedPair, ids: list[int], spain: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER", 1)
    before = hooks(pair)  # transformers leaves some of its own where hidden states have been asked for
    batches = pair.target.model.patched_forward(ids, [replacing(FRANCE, spain)] * 3, [], SHORT)
    next(batches)
    next(batches)
    assert hooks(pair) == before  # others use the model between two batches
    del batches

    def fails(*_: Any) -> None:
        assert hooks(pair) == before + 1
        raise ZeroDivisionError

    monkeypatch.setattr(module, "_continued", fails)
    with pytest.raises(ZeroDivisionError):
        said(pair, ids, [replacing(FRANCE, spain)])
    assert hooks(pair) == before


def test_numbers_that_overflow_are_an_error(pair: LoadedPair, ids: list[int], spain: Floats) -> None:
    with pytest.raises(ModelError, match="Steer less far"):
        said(pair, ids, [Patch(FRANCE, spain, 1e38)])
