from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import softmax

from server.errors import BadInput
from server.nla.lens import logit_lens as lens_module
from server.nla.lens.logit_lens import lens
from server.nla.models.loaded_pair import LoadedPair
from server.nla.models.sampling import next_tokens, row_generator
from server.nla.models.target import TargetModel, Trace


@pytest.fixture(scope="module")
def trace(pair: LoadedPair, ids: list[int]) -> Trace:
    return pair.target.model.trace(ids)


@pytest.fixture(scope="module")
def plain(pair: LoadedPair, ids: list[int]) -> Any:
    """The same prompt through the model's own output_hidden_states."""
    with torch.inference_mode():
        return pair.target.model.model(torch.tensor([ids]), output_hidden_states=True)


def test_activations_are_the_output_of_block_k(pair: LoadedPair, trace: Trace, plain: Any) -> None:
    np.testing.assert_allclose(
        trace.activations, plain.hidden_states[pair.layer + 1][0], atol=1e-3, rtol=1e-4
    )


def test_further_layers_come_from_the_same_pass(pair: LoadedPair, plain: Any, ids: list[int]) -> None:
    passes: list[Any] = []
    hook = pair.target.model.model.register_forward_hook(lambda *_: passes.append(1))
    inner = pair.target.model.model.model.register_forward_hook(lambda *_: passes.append(1))
    found = pair.target.model.trace(ids, [0, 10]).others
    hook.remove()
    inner.remove()
    assert len(passes) == 1
    assert list(found) == [0, 10]
    for layer, activations in found.items():
        np.testing.assert_allclose(activations, plain.hidden_states[layer + 1][0], atol=1e-3, rtol=1e-4)


def test_last_lens_row_is_what_the_model_says(trace: Trace, plain: Any, ids: list[int]) -> None:
    p = plain.logits[0].double().softmax(-1).numpy()
    came = [p[n, ids[n + 1]] for n in range(len(ids) - 1)] + [p[-1].max()]
    np.testing.assert_allclose(trace.lens.prob[-1], came, atol=1e-4)
    assert trace.lens.top_ids[-1, :, 0].tolist() == p.argmax(-1).tolist()
    np.testing.assert_allclose(trace.lens.kl[-1], 0, atol=1e-6)


def test_lens_equals_a_plain_loop_over_hidden_states_at_every_layer(
    pair: LoadedPair, trace: Trace, plain: Any, ids: list[int]
) -> None:
    model = pair.target.model.model
    rows = np.arange(len(ids) - 1)
    for layer in range(len(trace.lens.layers) - 1):  # the last entry of hidden_states is normed already
        with torch.inference_mode():
            logits = model.lm_head(model.model.norm(plain.hidden_states[layer + 1][0]))
        p = logits.double().softmax(-1).numpy()[:-1]
        own = p[rows, ids[1:]]
        np.testing.assert_allclose(trace.lens.prob[layer, :-1], own, atol=1e-3)
        assert trace.lens.rank[layer, :-1].tolist() == (p > own[:, None]).sum(-1).tolist()


def test_words_are_followed_as_a_plain_loop_follows_them(
    pair: LoadedPair, plain: Any, ids: list[int]
) -> None:
    model, position = pair.target.model.model, 7
    words = [pair.prompter.word(text)[0] for text in (" the", " 7", "x")]
    prob, rank = pair.target.model.token_curves(ids[: position + 1], words)
    for layer in (0, 9, 20):
        with torch.inference_mode():
            logits = model.lm_head(model.model.norm(plain.hidden_states[layer + 1][0, position]))
        p = logits.double().softmax(-1).numpy()
        np.testing.assert_allclose(prob[layer], p[words], rtol=1e-3, atol=1e-9)
        # Another shape of the same product rounds otherwise, and deep in the tail neighbours change places.
        np.testing.assert_allclose(rank[layer], [int((p > p[word]).sum()) for word in words], rtol=1e-3)
    final = plain.logits[0, position].double().softmax(-1).numpy()
    np.testing.assert_allclose(prob[-1], final[words], rtol=1e-3, atol=1e-9)


def test_lens_equals_a_plain_loop_over_hidden_states(
    pair: LoadedPair, trace: Trace, plain: Any, ids: list[int]
) -> None:
    model = pair.target.model.model
    final = plain.logits[0].double().softmax(-1).numpy()
    for layer in (0, 9, pair.layer):
        with torch.inference_mode():
            logits = model.lm_head(model.model.norm(plain.hidden_states[layer + 1][0]))
        p = logits.double().softmax(-1).numpy()
        for n in range(len(ids) - 1):
            own = p[n, ids[n + 1]]
            assert trace.lens.prob[layer, n] == pytest.approx(own, abs=1e-3)
            assert trace.lens.rank[layer, n] == int((p[n] > own).sum())
            assert trace.lens.entropy[layer, n] == pytest.approx(stats.entropy(p[n]), abs=2e-3)
            assert trace.lens.kl[layer, n] == pytest.approx(stats.entropy(final[n], p[n]), abs=5e-3, rel=1e-3)
            assert set(trace.lens.top_ids[layer, n]) == set(np.argsort(-p[n])[:5])


def test_lens_does_not_depend_on_its_chunks(
    pair: LoadedPair, ids: list[int], trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    residuals = pair.target.model.residuals(ids)
    monkeypatch.setattr(lens_module, "CHUNK_BYTES", 4 * 49152 * 3)
    chunked = lens(residuals[-2:], ids, pair.target.model.logits, 5)
    np.testing.assert_allclose(chunked.prob, trace.lens.prob[-2:], atol=1e-5)
    assert (chunked.rank == trace.lens.rank[-2:]).all()


def test_greedy_reply_is_that_of_plain_generate(pair: LoadedPair) -> None:
    ids = pair.prompter.encode([("user", "What is the capital of France?")], None)
    new = pair.target.model.generate(ids, max_new_tokens=20, temperature=0, seed=0)
    expected = pair.target.model.model.generate(
        torch.tensor([ids]), max_new_tokens=20, do_sample=False, pad_token_id=2
    )
    assert new == expected[0, len(ids) :].tolist()
    assert pair.prompter.tokenizer.decode(new) == "The capital of France is Paris.<|im_end|>"


def test_sampled_reply_follows_its_seed(pair: LoadedPair, ids: list[int]) -> None:
    def reply(seed: int) -> list[int]:
        return pair.target.model.generate(ids, max_new_tokens=8, temperature=1.0, seed=seed)

    assert reply(1) == reply(1) != reply(2)


def test_drawn_tokens_have_the_softmax_distribution() -> None:
    logits = torch.tensor([1.0, 0.0, 2.0, -1.0])
    drawn = next_tokens(logits.expand(4000, 4), 0.8, [row_generator(0, n) for n in range(4000)])
    expected = softmax(logits.double().numpy() / 0.8)
    assert stats.chisquare(np.bincount(drawn.numpy(), minlength=4), expected * 4000).pvalue > 0.01


def test_a_layer_that_does_not_exist_is_refused(pair: LoadedPair) -> None:
    with pytest.raises(BadInput, match="blocks 0…29"):
        TargetModel(pair.target.model.model, 30)
