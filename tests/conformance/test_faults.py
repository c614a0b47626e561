"""Faults that would only show as bad scores, planted in tiny checkpoints: each is caught by a check with a name."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from server import cli
from server.errors import CheckpointError
from server.nla.checkpoints.pairs import catalogue
from server.nla.checkpoints.specs import read_av
from server.nla.memory.machine import Device
from server.nla.models.loaded_pair import load
from server.nla.verbalisers.factory import Serving
from server.nla.verbalisers.transformers import TransformersVerbaliser
from tests.conformance.families import GEMMA3, GEMMA3_TEXT, LLAMA3, QWEN2, D, Family, K
from tests.conformance.made import Made, make
from tests.conformance.spoken import HEADERS, TURNS, tokenizer

pytestmark = [pytest.mark.conformance, pytest.mark.usefixtures("plain_environment")]

Plant = Callable[[Made], object]


def sidecar(role: str, **changes: Any) -> Plant:
    """Change fields of a sidecar at its top level."""

    def plant(made: Made) -> None:
        path = made.places[role] / "nla_meta.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, allow_unicode=True))

    return plant


def config(role: str, **changes: Any) -> Plant:
    """Change fields of a config.json."""

    def plant(made: Made) -> None:
        path = made.places[role] / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return plant


def chat(role: str, old: str, new: str) -> Plant:
    """Change a chat template."""

    def plant(made: Made) -> None:
        path = made.places[role] / "chat_template.jinja"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return plant


def words(role: str, change: Callable[[dict[str, Any]], object]) -> Plant:
    """Change a tokenizer.json."""

    def plant(made: Made) -> None:
        path = made.places[role] / "tokenizer.json"
        told = json.loads(path.read_text())
        change(told)
        path.write_text(json.dumps(told))

    return plant


def swapped_ids(told: dict[str, Any]) -> None:
    """Two words that no prompt of ours has change places."""
    vocabulary = told["model"]["vocab"]
    one, two = [word for word in vocabulary if word.isascii() and len(word) == 1][-2:]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]


def weights(role: str, name: str, change: Callable[[Tensor], Tensor]) -> Plant:
    """Change the first tensor whose name ends so."""

    def plant(made: Made) -> None:
        for path in sorted(made.places[role].glob("*.safetensors")):
            tensors = load_file(path)
            if found := [key for key in tensors if key.endswith(name)]:
                tensors[found[0]] = change(tensors[found[0]]).contiguous()
                save_file(tensors, path, metadata={"format": "pt"})
                return
        raise AssertionError(name)

    return plant


def halved(role: str, factor: float = 1.0) -> Plant:
    """All of a model's weights as float16, one of them grown before."""

    def plant(made: Made) -> None:
        for path in sorted(made.places[role].glob("model*.safetensors")):
            tensors = load_file(path)
            tensors = {
                n: (factor * t if n.endswith("0.mlp.down_proj.weight") else t).half()
                for n, t in tensors.items()
            }
            save_file(tensors, path, metadata={"format": "pt"})

    return plant


def head(made: Made) -> None:
    """A value head that overflowed."""
    save_file({"weight": torch.full((D, D), math.inf)}, made.places["ar"] / "value_head.safetensors")


def cut_short(made: Made) -> None:
    """An interrupted copy."""
    path = made.places["av"] / "model-00002-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def cut_head(made: Made) -> None:
    """A value head whose copy was interrupted."""
    path = made.places["ar"] / "value_head.safetensors"
    path.write_bytes(path.read_bytes()[:50])


def index(text: str) -> Plant:
    """Something else in the place of the index of the weights."""
    return lambda made: (made.places["av"] / "model.safetensors.index.json").write_text(text)


def in_prompt(role: str, template: str) -> Plant:
    """Another prompt in a sidecar."""
    return sidecar(role, prompt_templates={role: template})


SWAPPED = "Summarise: <text>{explanation}</text> <summary>"
FAULTS: list[tuple[str, str, Family, Plant]] = [
    ("layer", "the AV's sidecar says another", QWEN2, sidecar("av", extraction_layer_index=K - 1)),
    ("layer", "the AR has a block too many", QWEN2, config("ar", num_hidden_layers=K + 2)),
    ("layer", "the file of pairs says another", QWEN2, lambda made: made.table.update(layer=K + 1)),
    ("layer", "two places in one sidecar disagree", LLAMA3, sidecar("ar", critic={"num_hidden_layers": K + 1})),
    ("tokenizer", "the AV's words have moved", QWEN2, words("av", swapped_ids)),
    ("tokenizer", "the AR's merges are others", LLAMA3, words("ar", lambda told: told["model"]["merges"].pop(0))),
    ("tokenizer", "the target's words have moved", GEMMA3, words("target", swapped_ids)),
    ("bos", "missing in the AV's chat template", GEMMA3_TEXT, chat("av", "{{ bos_token }}", "")),
    ("bos", "missing before the AR's prompt", LLAMA3, words("ar", lambda told: told.update(post_processor=None))),
    ("bos", "missing in the target's chat template", GEMMA3, chat("target", "{{ bos_token }}", "")),
    ("bos", "doubled in the AV's chat template", LLAMA3, chat("av", "{{- bos_token }}", "{{- bos_token + bos_token }}")),  # noqa: E501
    ("bos", "doubled by the AR's prompt", GEMMA3_TEXT, in_prompt("ar", f"<bos>{SWAPPED}")),
    ("bos", "doubled in the target's chat template", GEMMA3, chat("target", TURNS, "{{ bos_token }}" + TURNS)),
    ("embedding", "Gemma's scale is in the table", GEMMA3, weights("av", "embed_tokens.weight", lambda t: t * math.sqrt(32))),  # noqa: E501
    ("embedding", "Gemma's scale is divided out", GEMMA3_TEXT, weights("ar", "embed_tokens.weight", lambda t: t / math.sqrt(32))),  # noqa: E501
    ("template", "the AV has another family's", QWEN2, chat("av", tokenizer(QWEN2.speech).chat_template, HEADERS.replace("bos_token", "''"))),  # noqa: E501
    ("template", "the AV has another system turn", QWEN2, chat("av", "You are a helpful assistant.", "You are an AV.")),
    ("template", "the AV's turn closes otherwise", GEMMA3_TEXT, chat("av", "<end_of_turn>\\n", "<end_of_turn>")),
    ("template", "the AV is asked the AR's question", QWEN2, in_prompt("av", SWAPPED)),
    ("neighbours", "the marker has other surroundings", QWEN2, in_prompt("av", "Read {injection_char} and say what it holds.")),  # noqa: E501
    ("suffix", "the AR's prompt ends otherwise", QWEN2, in_prompt("ar", "<text>{explanation}</text>")),
    ("scale", "the AV's sidecar is silent", QWEN2, sidecar("av", extraction={"injection_scale": None})),
    ("dtype", "Gemma in float16", GEMMA3, halved("av")),
    ("finite", "the AV overflowed in float16", QWEN2, halved("av", 1e7)),
    ("finite", "the AR overflowed in float16", LLAMA3, halved("ar", 1e7)),
    ("finite", "the target overflowed in float16", QWEN2, halved("target", 1e7)),
    ("finite", "the value head overflowed", QWEN2, head),
    ("shapes", "a block is missing", QWEN2, weights("ar", "1.mlp.up_proj.weight", lambda t: t[:5])),
    ("files", "a file was cut short", QWEN2, cut_short),
    ("files", "the value head was cut short", QWEN2, cut_head),
    ("files", "the index was cut short", QWEN2, index('{"weight_map": {"model')),
    ("files", "the index names nothing", QWEN2, index("[]")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "family", "plant"),
    [pytest.param(check, family, plant, id=f"{check}: {what}") for check, what, family, plant in FAULTS],
)
def test_a_fault_is_caught_by_its_check(
    check: str,
    family: Family,
    plant: Plant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = make(family, tmp_path)
    plant(made)
    with pytest.raises(CheckpointError, match=f"^{check}: ") as refused:
        asyncio.run(load(catalogue(made.file, tmp_path)["tiny"], cache_dir=tmp_path))
    assert refused.value.check == check
    status, failed = checked(made, monkeypatch, capsys)
    assert (status, failed[0]) == (1, check)


def checked(
    made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[str]]:
    """The exit status of `pairs check`, and which checks failed."""
    monkeypatch.setenv("NLA_PAIRS_FILE", str(made.file))
    monkeypatch.setenv("NLA_CACHE_DIR", str(made.root / "cache"))
    capsys.readouterr()
    status = cli.main(["pairs", "check", "tiny", "--json"])
    told = json.loads(capsys.readouterr().out)
    return status, [check["check"] for check in told["checks"] if check["ok"] is False]


def test_a_sound_pair_passes_every_check(
    made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(made, monkeypatch, capsys) == (0, [])


@pytest.mark.parametrize(
    ("family", "turn"),
    [
        (QWEN2, "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}"),
        (
            LLAMA3,
            "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n\\n' "
            "+ system + '<|eot_id|>' }}",
        ),
    ],
    ids=["qwen2", "llama"],
)
def test_an_av_may_do_without_the_default_system_turn(
    family: Family,
    turn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = make(family, tmp_path)
    chat("av", turn, "")(made)
    assert checked(made, monkeypatch, capsys) == (0, [])


def test_values_clipped_by_float16_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make(QWEN2, tmp_path)
    weights("av", "1.mlp.up_proj.weight", lambda t: (1e6 * t).clamp(-65504, 65504).half())(made)
    assert checked(made, monkeypatch, capsys) == (1, ["finite"])


def test_an_engine_that_embeds_without_gemmas_scale_is_refused(tmp_path: Path) -> None:
    made = make(GEMMA3_TEXT, tmp_path)
    model = made.model("av")
    plain = nn.Embedding.from_pretrained(made.states["av"]["embed_tokens.weight"])
    model.get_input_embeddings = lambda: plain  # a table that is read, not called as the model calls it
    with pytest.raises(CheckpointError, match=r"^embedding: "):
        TransformersVerbaliser(model, tokenizer(made.family.speech), read_av(made.places["av"]))


def test_no_room_is_told_before_anything_is_loaded(
    made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Device(0, "a small machine", 2**10, 2**10, cpu=True)
    monkeypatch.setattr("server.nla.checkpoints.checks.pair_files.devices", lambda: [small])
    assert checked(made, monkeypatch, capsys) == (1, ["memory"])


def test_served_elsewhere_the_avs_weights_are_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make(QWEN2, tmp_path)
    for path in made.places["av"].glob("*.safetensors*"):
        path.unlink()
    assert checked(made, monkeypatch, capsys) == (1, ["files"])
    monkeypatch.setenv("NLA_VERBALISER", "vllm-server")
    assert checked(made, monkeypatch, capsys) == (0, [])
    assert Serving("vllm-server").elsewhere
