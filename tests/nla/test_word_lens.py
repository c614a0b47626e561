"""The lens on chosen words, against a plain run of the model for each position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from transformers import AutoModelForCausalLM

from server.errors import BadInput
from server.nla.lens.word_lens import WordLens
from server.nla.models import branches
from server.nla.models.loaded_pair import LoadedPair
from server.nla.models.target import TargetModel
from tests.conformance.families import FAMILIES, Family, K
from tests.conformance.made import make

WORDS = [[7], [9, 3], [4, 4, 11, 6]]


def found(target: TargetModel, ids: list[int], words: list[list[int]], *, tuned: bool = False) -> WordLens:
    *steps, lens = target.word_lens(ids, words, tuned=tuned)
    assert isinstance(lens, WordLens)
    total = len(lens.prob[0]) + sum(len(word) > 1 for word in words)
    assert steps == [(n + 1, total) for n in range(total)]
    return lens


def whole_runs(model: Any, ids: list[int], word: list[int]) -> list[float]:
    """P(word) after each position, from one whole run of the text up to there with the word after it."""
    probs = []
    for position in range(len(ids)):
        with torch.inference_mode():
            logits = model(torch.tensor([[*ids[: position + 1], *word]])).logits[0].double().numpy()
        logs = log_softmax(logits, axis=-1)
        probs.append(float(np.exp(sum(logs[position + n, token] for n, token in enumerate(word)))))
    return probs


def check_whole(target: TargetModel, ids: list[int], words: list[list[int]]) -> None:
    lens = found(target, ids, words)
    for n, word in enumerate(words):
        np.testing.assert_allclose(lens.whole[n], whole_runs(target.model, ids, word), rtol=2e-3, atol=1e-9)


@pytest.mark.parametrize("family", [f for f in FAMILIES if not f.wrapped], ids=lambda family: family.name)
def test_a_word_of_several_tokens_is_that_of_whole_runs(family: Family, tmp_path: Path) -> None:
    """Gemma 3's every other block sees no further than 8 tokens, with rotary bases of their own."""
    folder = make(family, tmp_path).places["target"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    check_whole(TargetModel(model, K), list(range(5, 29)), WORDS)


def test_a_wrapped_model_is_run_as_its_text_model_is(tmp_path: Path) -> None:
    """The wrapper of Gemma 3: the word's rows against a longer text of the wrapper's own text model."""
    family = next(f for f in FAMILIES if f.wrapped)
    model = AutoModelForCausalLM.from_pretrained(make(family, tmp_path).places["target"], dtype=torch.float32)
    ids, word, target = list(range(5, 25)), [9, 3], TargetModel(model, K)
    lens = found(target, ids, [word])
    for position in (3, 12, 19):
        longer = target.trace([*ids[: position + 1], *word])
        np.testing.assert_allclose(
            lens.whole[0, position], longer.lens.prob[-1, position : position + 2].prod(), rtol=2e-3
        )


def test_the_demos_target_too(pair: LoadedPair) -> None:
    ids = pair.prompter.encode(None, "The capital of France is Paris, and that of Spain")
    words = [pair.prompter.word(word) for word in (" Madrid", " Buenos Aires", " Ouagadougou")]
    assert [len(word) > 1 for word in words] == [False, True, True]
    check_whole(pair.target.model, ids, words)


def test_a_layer_is_asked_for_the_first_token(pair: LoadedPair) -> None:
    """Against the residuals of transformers, and its own norm and head."""
    target = pair.target.model
    ids = pair.prompter.encode(None, "Cats sleep for most of the day.")
    words = [pair.prompter.word(word) for word in (" cats", " Ouagadougou")]
    lens = found(target, ids, words)
    with torch.inference_mode():
        out = target.model(torch.tensor([ids]), output_hidden_states=True)
        rows = [target.model.lm_head(target.model.model.norm(h[0])) for h in out.hidden_states[1:-1]]
    for layer, logits in enumerate([*rows, out.logits[0]]):
        z = logits.double().numpy()
        for n, word in enumerate(words):
            np.testing.assert_allclose(lens.prob[n, layer], softmax(z, axis=-1)[:, word[0]], rtol=1e-3)
            assert lens.rank[n, layer].tolist() == (z > z[:, word[:1]]).sum(-1).tolist()


def test_it_is_the_curve_at_each_position(pair: LoadedPair) -> None:
    target = pair.target.model
    ids = pair.prompter.encode(None, "Cats sleep for most of the day.")
    (cats,) = pair.prompter.word(" cats")
    for tuned in (False, True):
        lens = found(target, ids, [[cats]], tuned=tuned)
        prob, rank = target.token_curves(ids[:5], [cats], tuned=tuned)
        np.testing.assert_allclose(lens.prob[0, :, 4], prob[:, 0], rtol=1e-3)
        assert lens.rank[0, :, 4].tolist() == rank[:, 0].tolist()


def test_small_passes_find_what_one_pass_finds(pair: LoadedPair, monkeypatch: pytest.MonkeyPatch) -> None:
    target = pair.target.model
    ids = pair.prompter.encode(None, "Cats sleep for most of the day.")
    words = [pair.prompter.word(" Ouagadougou")]
    whole = found(target, ids, words)
    monkeypatch.setattr(branches, "SCORES_BYTES", 1)
    np.testing.assert_allclose(found(target, ids, words).whole, whole.whole, rtol=1e-4)


def test_a_tuned_lens_that_there_is_not_is_refused(tmp_path: Path) -> None:
    folder = make(FAMILIES[0], tmp_path).places["target"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with pytest.raises(BadInput, match="no tuned lens"):
        TargetModel(model, K).word_lens([5, 6], [[7]], tuned=True)
