"""The tuned lens: its file, its conversion, and its numbers against a calculation in numpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.special import log_softmax
from torch import nn
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from server.cli import main
from server.errors import BadInput, CheckpointError
from server.nla.checkpoints import demo
from server.nla.lens import logit_lens as lens_module
from server.nla.lens import tuned_lens
from server.nla.lens.logit_lens import Lens
from server.nla.lens.tuned_lens import Translator, Translators
from server.nla.models.loaded_pair import LoadedPair
from server.nla.models.target import TargetModel

D, LAYERS, VOCABULARY = 16, 4, 97
SIZE: dict[str, Any] = {
    "hidden_size": D,
    "num_hidden_layers": LAYERS,
    "vocab_size": VOCABULARY,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
}
IDS = [3, 14, 15, 92, 65, 35, 89, 79]


def model_of(family: str) -> Any:
    torch.manual_seed(0)
    match family:
        case "qwen2":
            model: Any = Qwen2ForCausalLM(Qwen2Config(**SIZE))
        case "llama":
            model = LlamaForCausalLM(LlamaConfig(**SIZE))
        case _:
            soft = {"head_dim": 8, "final_logit_softcapping": 2.0}
            model = Gemma3ForCausalLM(Gemma3TextConfig(**SIZE, **soft))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def made(layers: int = LAYERS, rank: int | None = None, d: int = D) -> Translators:
    g = torch.Generator().manual_seed(1)
    found = []
    for _ in range(layers - 1):
        shapes = [(d, d)] if rank is None else [(rank, d), (d, rank)]
        factors = tuple(torch.randn(shape, generator=g) * 0.3 for shape in shapes)
        found.append(Translator(factors, torch.randn(d, generator=g)))
    return Translators("a tiny model", "by a test", found)


def by_numpy(model: Any, family: str, translators: Translators) -> np.ndarray[Any, Any]:
    """[L, T, V] log probabilities of every row, in float64, from the model's own hidden states."""
    with torch.inference_mode():
        out = model.model(torch.tensor([IDS]), output_hidden_states=True)
    norm = model.model.norm.weight.detach().double().numpy() + (family == "gemma3")
    epsilon = getattr(model.config, "rms_norm_eps", 1e-6)
    rows = []
    for row in range(LAYERS):
        h = out.hidden_states[row + 1][0].double().numpy()
        if row < LAYERS - 1:  # the last hidden state is normed already
            each = translators.layers[row]
            a = np.linalg.multi_dot([np.eye(D), *(f.double().numpy() for f in reversed(each.factors))])
            h = h + h @ a.T + each.bias.double().numpy()
            h = h / np.sqrt((h**2).mean(-1, keepdims=True) + epsilon) * norm
        logits = h @ model.lm_head.weight.detach().double().numpy().T
        if family == "gemma3":
            logits = np.tanh(logits / 2.0) * 2.0
        rows.append(log_softmax(logits, axis=-1))
    return np.stack(rows)


def tuned_by(translators: Translators, family: str = "llama") -> Lens:
    return TargetModel(model_of(family), 1, translators).tuned_lens(IDS)


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("family", ["qwen2", "llama", "gemma3"])
def test_every_cell_is_what_numpy_makes_of_the_formula(family: str, rank: int | None) -> None:
    translators = made(rank=rank)
    found = tuned_by(translators, family)
    log_p = by_numpy(model_of(family), family, translators)
    p = np.exp(log_p)
    follows = [*IDS[1:], int(log_p[-1, -1].argmax())]
    own = p[:, np.arange(len(IDS)), follows]
    np.testing.assert_allclose(found.prob, own, atol=1e-5)
    assert found.rank.tolist() == (p > own[:, :, None]).sum(-1).tolist()
    np.testing.assert_allclose(found.entropy, -(p * log_p).sum(-1), atol=1e-4)
    np.testing.assert_allclose(found.kl, (p[-1] * (log_p[-1] - log_p)).sum(-1), atol=1e-4)
    assert found.top_ids[:, :, 0].tolist() == p.argmax(-1).tolist()


def test_the_plain_lens_stays_what_it_is_beside_the_tuned_one() -> None:
    plain = TargetModel(model_of("llama"), 1).trace(IDS)
    both = TargetModel(model_of("llama"), 1, made()).trace(IDS)
    np.testing.assert_array_equal(both.lens.prob, plain.lens.prob)
    np.testing.assert_array_equal(both.lens.kl, plain.lens.kl)


def test_a_translator_of_nothing_is_the_plain_lens() -> None:
    nothing = Translators("", "", [Translator((torch.zeros(D, D),), torch.zeros(D))] * (LAYERS - 1))
    plain = TargetModel(model_of("llama"), 1).trace(IDS).lens
    np.testing.assert_array_equal(tuned_by(nothing).prob, plain.prob)


def test_a_target_without_translators_has_no_tuned_lens() -> None:
    with pytest.raises(BadInput, match="no tuned lens"):
        TargetModel(model_of("llama"), 1).tuned_lens(IDS)


def test_the_tuned_lens_does_not_depend_on_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tuned_by(made())
    monkeypatch.setattr(lens_module, "CHUNK_BYTES", 4 * VOCABULARY * 3)
    parts = tuned_by(made())
    np.testing.assert_allclose(parts.prob, whole.prob, atol=1e-6)
    assert (parts.rank == whole.rank).all()


def test_words_are_followed_by_the_tuned_lens_too() -> None:
    translators = made(rank=3)
    prob, rank = TargetModel(model_of("qwen2"), 1, translators).token_curves(IDS, [5, 50], tuned=True)
    p = np.exp(by_numpy(model_of("qwen2"), "qwen2", translators))[:, -1]
    np.testing.assert_allclose(prob, p[:, [5, 50]], atol=1e-5)
    assert rank.tolist() == [[int((row > row[word]).sum()) for word in (5, 50)] for row in p]


# The file


@pytest.mark.parametrize("rank", [None, 3])
def test_a_saved_lens_is_read_again(tmp_path: Path, rank: int | None) -> None:
    before = made(rank=rank)
    before.save(tmp_path / "lens")
    after = tuned_lens.read(tmp_path / "lens", D, LAYERS)
    assert (after.target, after.made) == (before.target, before.made)
    h = torch.randn(5, D)
    for row in range(LAYERS):
        torch.testing.assert_close(after(row, h), before(row, h))


def test_bfloat16_is_kept_and_told(tmp_path: Path) -> None:
    made().to("cpu", torch.bfloat16).save(tmp_path / "lens")
    assert tuned_lens.read(tmp_path / "lens", D, LAYERS).layers[0].bias.dtype == torch.bfloat16
    with safe_open(tmp_path / "lens", "pt") as file:
        assert file.metadata()["dtype"] == "bfloat16"


def test_another_targets_lens_is_refused(tmp_path: Path) -> None:
    made().save(tmp_path / "lens")
    for d, layers in ((D * 2, LAYERS), (D, LAYERS + 1)):
        with pytest.raises(CheckpointError, match=rf"made for a tiny model \(d_model {D}, {LAYERS} layers\)"):
            tuned_lens.read(tmp_path / "lens", d, layers)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"1.bias": None}, "lacks 1.bias"),
        ({"2.weight": None}, "lacks 2.weight"),
        ({"0.weight": torch.zeros(D, D - 1)}, r"0.weight is float32 \(16, 15\)"),
        ({"0.bias": torch.zeros(D, dtype=torch.int32)}, "0.bias is int32"),
        ({"1.weight": torch.full((D, D), torch.nan)}, "1.weight holds values that are not finite"),
        ({"3.weight": torch.zeros(D, D)}, "no layer uses: 3.weight"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = tmp_path / "lens"
    made().save(path)
    tensors = {name: t for name, t in (load_file(path) | changes).items() if t is not None}
    header = {"format": tuned_lens.FORMAT, "target": "x", "d_model": str(D), "layers": str(LAYERS)}
    save_file(tensors, path, metadata=header)
    with pytest.raises(CheckpointError, match=said):
        tuned_lens.read(path, D, LAYERS)


def test_what_is_no_lens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        tuned_lens.read(tmp_path / "nothing", D, LAYERS)
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(CheckpointError, match="cannot be read"):
        tuned_lens.read(tmp_path / "text", D, LAYERS)
    save_file({"0.bias": torch.zeros(D)}, tmp_path / "other")
    with pytest.raises(CheckpointError, match="nla-explorer lens convert FOLDER OUT"):
        tuned_lens.read(tmp_path / "other", D, LAYERS)


# The tuned-lens project's files


def folder_of_theirs(folder: Path, *, bias: bool = True) -> nn.ModuleList:
    """As that project writes them: the state of a list of linear layers, the first of which reads the embeddings."""
    torch.manual_seed(2)
    theirs = nn.ModuleList(nn.Linear(D, D, bias=bias) for _ in range(LAYERS))
    torch.save(theirs.state_dict(), folder / "params.pt")
    config = {
        "base_model_name_or_path": "somebody/tiny",
        "d_model": D,
        "num_hidden_layers": LAYERS,
        "bias": bias,
        "base_model_revision": None,
        "unembed_hash": "0" * 64,
        "lens_type": "linear_tuned_lens",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return theirs


@pytest.mark.parametrize("bias", [True, False])
def test_a_converted_lens_reads_a_block_as_theirs_reads_the_next_hidden_state(
    tmp_path: Path, bias: bool
) -> None:
    theirs = folder_of_theirs(tmp_path, bias=bias)
    tuned_lens.convert(tmp_path, tmp_path / "out")
    ours = tuned_lens.read(tmp_path / "out", D, LAYERS)
    assert ours.target == "somebody/tiny"
    model = model_of("llama")
    with torch.inference_mode():
        states = model.model(torch.tensor([IDS]), output_hidden_states=True).hidden_states
        found = TargetModel(model, 1, ours).tuned_lens(IDS)
        for index in range(
            1, LAYERS
        ):  # theirs: hidden_states[index] + translator[index](hidden_states[index])
            h = states[index][0]
            expected = model.lm_head(model.model.norm(h + theirs[index](h))).softmax(-1)
            own = expected[torch.arange(len(IDS) - 1), IDS[1:]]
            np.testing.assert_allclose(found.prob[index - 1, :-1], own, atol=1e-5)


class Harm:
    """What a pickle may hold besides tensors."""


def test_pickles_that_hold_more_than_tensors_are_not_run(tmp_path: Path) -> None:
    folder_of_theirs(tmp_path)
    torch.save({"0.weight": Harm()}, tmp_path / "params.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        tuned_lens.convert(tmp_path, tmp_path / "out")


def test_a_folder_that_is_not_theirs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no folder of the tuned-lens project"):
        tuned_lens.convert(tmp_path, tmp_path / "out")
    folder_of_theirs(tmp_path)
    params = torch.load(tmp_path / "params.pt")
    del params["2.weight"]
    torch.save(params, tmp_path / "params.pt")
    with pytest.raises(CheckpointError, match=r"lacks 2\.weight"):
        tuned_lens.convert(tmp_path, tmp_path / "out")


def test_the_command_converts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder_of_theirs(tmp_path)
    assert main(["lens", "convert", str(tmp_path), str(tmp_path / "out")]) == 0
    assert f"{LAYERS - 1} translators for somebody/tiny" in capsys.readouterr().out
    assert len(tuned_lens.read(tmp_path / "out", D, LAYERS).layers) == LAYERS - 1


# The demo's own


def test_the_demos_lens_is_small_enough_to_ship() -> None:
    assert demo.TUNED_LENS.stat().st_size < 20e6


def test_the_demos_lens_is_nearer_to_the_output_at_every_layer(pair: LoadedPair, ids: list[int]) -> None:
    lenses = (pair.target.model.trace(ids).lens, pair.target.model.tuned_lens(ids))
    plain, nearer = (each.kl[:-1, 1:].mean(1) for each in lenses)
    assert (nearer < plain).all()
