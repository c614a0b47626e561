from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from server.errors import BadInput, CheckpointError
from server.nla.models.loaded_pair import LoadedPair
from server.nla.models.reconstructor import load_head, together

TEXTS = [
    "Short.",
    'The final token is " cats"; next perhaps " purr" or " are". Before it stands "Why do".',
    "A middling sentence about volcanoes.",
]


def test_batched_vectors_are_those_of_single_prompts(pair: LoadedPair, places: dict[str, Path]) -> None:
    """Contract: template, special tokens, K + 1 blocks, no final norm, the last token, the head."""
    model = AutoModelForCausalLM.from_pretrained(places["ar"], dtype=torch.float32)
    model.model.norm = torch.nn.Identity()
    tokenizer = AutoTokenizer.from_pretrained(places["ar"])
    head = load_file(places["ar"] / "value_head.safetensors")["weight"]
    expected = []
    for text in TEXTS:
        ids = tokenizer(pair.reconstructor.model.spec.template.format(explanation=text), return_tensors="pt")[
            "input_ids"
        ]
        with torch.inference_mode():
            states = model(ids, output_hidden_states=True).hidden_states
        expected.append((head @ states[-1][0, -1]).numpy())
    np.testing.assert_allclose(pair.reconstructor.model.reconstruct(TEXTS), expected, rtol=1e-3, atol=1e-2)


def test_no_texts_give_no_vectors(pair: LoadedPair) -> None:
    assert pair.reconstructor.model.reconstruct([]).shape == (0, pair.d_model)


def test_texts_of_like_length_are_read_together_and_answered_in_their_order(
    pair: LoadedPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    ar = pair.reconstructor.model
    alone = ar.reconstruct(TEXTS)
    monkeypatch.setattr(ar, "batch_tokens", 2 * max(ar.lengths([TEXTS[0], TEXTS[2]])))
    assert [indices for indices, _ in ar.in_batches(TEXTS)] == [[0, 2], [1]]
    np.testing.assert_allclose(ar.reconstruct(TEXTS), alone, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([9000, 3], [[1], [0]]),
        ([5, 3, 4, 10, 1], [[4, 1], [2, 0], [3]]),
        ([5] * 5, [[0, 1], [2, 3], [4]]),
    ],
)
def test_a_batch_is_bounded_by_its_padded_tokens(lengths: list[int], expected: list[list[int]]) -> None:
    assert together(lengths, 10) == expected


def test_a_text_beyond_the_ars_length_is_refused(pair: LoadedPair) -> None:
    with pytest.raises(BadInput, match="8192 at most"):
        pair.reconstructor.model.reconstruct(["fine", "word " * 9000])


def test_a_head_with_a_bias_is_used_with_it(tmp_path: Path) -> None:
    save_file(
        {"weight": torch.eye(3), "bias": torch.tensor([1.0, 2.0, 3.0])}, tmp_path / "value_head.safetensors"
    )
    assert load_head(tmp_path, 3)(torch.zeros(3)).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("weight", "said"),
    [(torch.eye(4), "wanted one weight of"), (torch.full((3, 3), float("inf")), "not finite")],
)
def test_a_head_that_cannot_be_right_is_refused(tmp_path: Path, weight: torch.Tensor, said: str) -> None:
    save_file({"weight": weight}, tmp_path / "value_head.safetensors")
    with pytest.raises(CheckpointError, match=said):
        load_head(tmp_path, 3)


def test_a_missing_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is missing"):
        load_head(tmp_path, 3)
