"""The whole recipe, far too short to learn anything, on the real target."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from server.nla.checkpoints import demo
from server.nla.checkpoints.sidecar import SIDECAR
from server.nla.checkpoints.specs import read_av
from server.nla.checkpoints.weights import HEAD_FILE
from server.nla.verbalisers.prompt import AvPrompt
from server.settings import Settings
from training import context, lora, models, prompts, report, rounds, texts, tune
from training.__main__ import Plan, Work, train

pytestmark = pytest.mark.training

SHORT = Plan(
    texts=32,
    more={"multiplication": 1},
    text_tokens=24,
    ar_steps=2,
    av_steps=2,
    round_positions=(2, 2),
    round_steps=(1, 1),
    best_steps=(0, 1),
    temperatures=(0.7, 0.7),
    samples=(1, 2),
    trips=3,
)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    (tmp_path / "target").symlink_to(demo.build(Settings().cache_dir)["target"])
    return Work(tmp_path, SHORT)


def test_the_recipe_runs_from_texts_to_report_and_can_be_taken_up_again(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "POSITIONS", 6)
    monkeypatch.setattr(report, "CROWD", 5)
    monkeypatch.setattr(prompts, "TWELVE", {"poem": prompts.TWELVE["poem"]})
    monkeypatch.setattr(prompts, "PROBLEMS", 1)
    out = tmp_path / "adapters"
    said = train(work, out)
    assert "| positions, held-out texts and topics | 6 of 1 texts |" in said
    assert "| **all twelve** | 24 |" in said
    assert (out / "ar" / HEAD_FILE).exists()
    assert yaml.safe_load((out / "ar" / SIDECAR).read_text())["extraction"]["mse_scale"] == 24.0
    assert read_av(demo_folder(work, out, tmp_path)).injection_scale == tune.INJECTION_NORM

    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.*")}
    before = load_file(out / "av" / "adapter_model.safetensors")
    train(work, out)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.*")} == kept
    after = load_file(out / "av" / "adapter_model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def demo_folder(work: Work, out: Path, tmp_path: Path) -> Path:
    """The trained AV as the explorer would build it."""
    folder = tmp_path / "merged"
    folder.mkdir()
    demo.merge(work.target, out / "av", folder)
    return folder


def test_an_av_samples_after_the_prompt_that_it_is_trained_with(work: Work, tmp_path: Path) -> None:
    trained = tune.AV_PROMPT.format(injection_char=tune.MARKER)
    prompt = AvPrompt.of(work.av_tokenizer, rounds.av_spec(work.tokenizer, tmp_path, 576))
    assert list(prompt.ids) == work.tokenizer(trained, add_special_tokens=False)["input_ids"]


def test_a_later_item_of_a_list_must_not_begin_as_an_earlier_one(work: Work) -> None:
    text = 'next may be " a", " the" or " not"'
    starts = [text.index(word) for word in (" a", " the", " not")]
    found = tune.repetitions(work.tokenizer, [text], [starts])
    ids = work.tokenizer(f"{tune.OPENING}{text}", add_special_tokens=False)["input_ids"]
    said = [(work.tokenizer.decode([ids[step]]), work.tokenizer.decode([token])) for _, step, token in found]
    assert sorted(said) == [(" not", " a"), (" not", " the"), (" the", " a")]


def test_the_probability_of_a_part_of_a_reading_is_that_of_its_tokens(work: Work) -> None:
    model, tokenizer = models.base(work.target, torch.float32), work.tokenizer
    h, text = torch.randn(1, 576, generator=torch.Generator().manual_seed(0)), 'next may be " a": a guess'
    part = text.index('" a"'), text.index(":")
    found = tune.av_log_probabilities(model, tokenizer, h, [text, text + " or not"], [part, part])
    prompt = tokenizer(tune.AV_PROMPT.format(injection_char=tune.MARKER))["input_ids"]
    answer = tokenizer(tune.OPENING + text)["input_ids"]
    embeds = model.get_input_embeddings()(torch.tensor([prompt + answer]))
    embeds[0, prompt.index(tokenizer.convert_tokens_to_ids(tune.MARKER))] = (
        h[0] / h.norm() * tune.INJECTION_NORM
    )
    with torch.inference_mode():
        told = model(inputs_embeds=embeds).logits[0].log_softmax(-1)
    pieces = [tokenizer.decode([token]) for token in answer]
    first = next(n for n, piece in enumerate(pieces) if piece.endswith('"'))
    own = sum(float(told[len(prompt) + n - 1, answer[n]]) for n in range(first, first + 3))
    assert "".join(pieces[first : first + 3]).strip(" :") == '" a"'
    assert found.tolist() == pytest.approx([own, own], rel=1e-4)


def test_of_its_own_readings_an_av_learns_the_certainty_alone_and_all_else_of_others(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune.sampled_cross_entropy, "__defaults__", (49152,))
    model, tokenizer = models.base(work.target, torch.float32), work.tokenizer
    h, text = torch.randn(2, 576, generator=torch.Generator().manual_seed(0)), 'next may be " a": a guess. It'
    span = text.index("a guess"), text.index(". It")
    with torch.inference_mode():
        found = tune.av_loss(model, tokenizer, h, [text, text], [span, span], own=[True, False])
    prompt = tokenizer(tune.AV_PROMPT.format(injection_char=tune.MARKER))["input_ids"]
    answer = [*tokenizer(tune.OPENING + text + tune.CLOSING)["input_ids"], tokenizer.eos_token_id]
    embeds = model.get_input_embeddings()(torch.tensor([prompt + answer] * 2))
    marker = prompt.index(tokenizer.convert_tokens_to_ids(tune.MARKER))
    embeds[:, marker] = h / h.norm(dim=-1, keepdim=True) * tune.INJECTION_NORM
    with torch.inference_mode():
        told = model(inputs_embeds=embeds).logits[:, len(prompt) - 1 : -1].log_softmax(-1)
    losses = -told[:, range(len(answer)), answer]
    sure = [tokenizer.decode([token]) in (" a", " guess") for token in answer]
    sure[answer.index(tokenizer.convert_tokens_to_ids('Ġ"')) + 1] = False  # the candidate
    assert sum(sure) == 2
    sure = torch.tensor(sure)
    assert float(found) == pytest.approx(float(losses[0, sure].mean() + losses[1, ~sure].mean()), rel=1e-4)


def test_sampled_cross_entropy_with_all_tokens_is_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    vocabulary, hidden = torch.randn(50, 8, generator=generator), torch.randn(6, 8, generator=generator)
    goal = torch.tensor([3, 3, 7, 49, 0, 12])
    plain = torch.nn.functional.cross_entropy(hidden @ vocabulary.T, goal)
    torch.testing.assert_close(tune.sampled_cross_entropy(vocabulary, hidden, goal, negatives=50), plain)


def test_an_adapter_adds_its_product_to_the_weight() -> None:
    torch.manual_seed(0)
    adapted = lora.LoraLinear(torch.nn.Linear(6, 4, bias=False), rank=2)
    torch.nn.init.normal_(adapted.lora_B)
    x = torch.randn(3, 6)
    expected = x @ (adapted.weight + adapted.lora_B @ adapted.lora_A).T
    torch.testing.assert_close(adapted(x), expected)
    model = torch.nn.Sequential(adapted)
    torch.testing.assert_close(lora.merged(model)(x), expected)


def test_batches_hold_every_text_once_an_epoch() -> None:
    batches = tune.mixed_batches(list(range(100)), 8, seed=0)
    first = [n for _ in range(13) for n in next(batches)]
    assert sorted(first) == list(range(100))


def test_more_of_the_text_brings_the_target_nearer_to_its_activation(work: Work) -> None:
    reply = "Owls are birds of the night. They hunt mice in the dark and sleep in hollow trees by day. " * 2
    turns = (("user", "Write about owls."), ("assistant", reply))
    written = [texts.Text("story", "owls", False, turns, False)]
    (work.folder / "texts.jsonl").write_text(json.dumps(asdict(written[0])) + "\n")
    found = context.curve(work.folder, count=1)
    assert found[32] > found[7] > found[1]
