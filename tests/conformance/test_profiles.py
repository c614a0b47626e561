"""Other rules than the released pairs', as the user's own file names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from server.errors import SettingsError
from server.nla.checkpoints.profile import Profile, replace_norm, residual_add
from server.nla.verbalisers.factory import Serving
from server.nla.verbalisers.reading_decoder import ReadingDecoder
from server.pairs.catalogue import Catalogue
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from tests.conformance import reference
from tests.conformance.conftest import explored
from tests.conformance.families import GEMMA3, LLAMA3, QWEN2, Family, K
from tests.conformance.made import AV_TEMPLATE, SCALE, Made, av_ids, make, marker_id
from tests.conformance.spoken import tokenizer
from tests.conformance.test_matrix import BUDGET, analysed
from tests.nla.hub import hub

pytestmark = [pytest.mark.anyio, pytest.mark.conformance, pytest.mark.usefixtures("plain_environment")]


async def told(made: Made, work: Path) -> tuple[str, Tensor]:
    """What the explorer reads at one position, and the activation there."""
    async with explored(made, work) as (app, client):
        analysis = await analysed(app, client, positions=[5])
    ids = [token["id"] for token in analysis["tokens"]]
    return analysis["readings"][0]["text"], reference.activations(made, ids)[5]


def silenced(made: Made, role: str, field: str) -> None:
    """Take a field out of a sidecar."""
    path = made.places[role] / "nla_meta.yaml"
    meta = yaml.safe_load(path.read_text())
    *parents, last = field.split(".")
    place = meta
    for key in parents:
        place = place[key]
    del place[last]
    path.write_text(yaml.safe_dump(meta))


async def refusal(made: Made) -> str:
    """Why the explorer does not load it."""
    models = ModelPool("tiny", Catalogue(Settings(pairs_file=made.file, cache_dir=made.root / "cache")))
    models.start()
    await models.settled()
    assert models.error is not None
    return models.error.detail


@pytest.mark.parametrize("family", [QWEN2, GEMMA3], ids=lambda family: family.name)
async def test_a_factor_multiplies_the_activation(family: Family, tmp_path: Path) -> None:
    made = make(family, tmp_path)
    made.table["profile"] = "replace_scale"
    text, h = await told(made, tmp_path)
    rows = reference.input_rows(made, h)
    rows[av_ids(family).index(marker_id(family))] = SCALE * h
    assert text == reference.written(made, rows, BUDGET)


@pytest.mark.parametrize("family", [QWEN2, GEMMA3], ids=lambda family: family.name)
async def test_an_activation_is_added_after_block_1(family: Family, tmp_path: Path) -> None:
    made = make(family, tmp_path)
    made.table["profile"] = {"injection": "residual_add"}
    silenced(made, "av", "extraction.injection_scale")  # nothing is scaled
    text, v = await told(made, tmp_path)
    slot = av_ids(family).index(marker_id(family))

    def hooked(model: Any) -> None:
        def add(_module: Any, _inputs: Any, out: Any) -> Any:
            hidden = (out[0] if isinstance(out, tuple) else out).clone()
            hidden[0, slot] += hidden[0, slot].norm() * v / v.norm()
            return (hidden, *out[1:]) if isinstance(out, tuple) else hidden

        model.model.layers[1].register_forward_hook(add)

    plain = reference.embedded(made, av_ids(family))
    assert text == reference.written(made, plain, BUDGET, hooked)
    assert text != reference.written(made, plain, BUDGET)


async def test_without_a_chat_template_the_prompt_is_plain_text(tmp_path: Path) -> None:
    made = make(LLAMA3, tmp_path)
    made.table["profile"] = {"chat": "none"}
    (made.places["av"] / "chat_template.jinja").unlink()
    text, h = await told(made, tmp_path)
    ids = tokenizer(LLAMA3.speech)(AV_TEMPLATE.format(injection_char=LLAMA3.speech.marker))["input_ids"]
    rows = reference.embedded(made, ids).clone()
    rows[ids.index(marker_id(LLAMA3))] = h / h.norm() * SCALE
    assert text == reference.written(made, rows, BUDGET)


async def test_an_av_with_a_template_of_its_own_is_taken_when_it_is_said(tmp_path: Path) -> None:
    made = make(QWEN2, tmp_path)
    (made.places["av"] / "chat_template.jinja").write_text("{{ messages[0].content }}\n")
    assert 'chat = "own"' in await refusal(made)
    made.table["profile"] = {"chat": "own"}
    text, _ = await told(made, tmp_path)
    assert text


async def test_a_silent_sidecar_is_answered_by_the_users_file(tmp_path: Path) -> None:
    made = make(QWEN2, tmp_path)
    expected, _ = await told(made, tmp_path / "before")
    silenced(made, "av", "extraction.injection_scale")
    silenced(made, "av", "extraction_layer_index")
    asked = await refusal(made)
    assert "After which block" in asked and "[pair.answers.av]" in asked
    made.table["answers"] = {"av": {"extraction_layer_index": K, "extraction": {"injection_scale": SCALE}}}
    assert (await told(made, tmp_path))[0] == expected


async def test_a_checkpoint_without_a_sidecar_is_described_by_the_users_file(tmp_path: Path) -> None:
    made = make(QWEN2, tmp_path)
    expected, _ = await told(made, tmp_path / "before")
    path = made.places["ar"] / "nla_meta.yaml"
    meta = yaml.safe_load(path.read_text())
    path.unlink()
    assert "[pair.answers.ar]" in await refusal(made)
    made.table["answers"] = {
        "ar": {
            "d_model": meta["d_model"],
            "extraction_layer_index": K,
            "tokens": {"critic_suffix_ids": meta["tokens"]["critic_suffix_ids"]},
            "prompt_templates": meta["prompt_templates"],
        }
    }
    assert (await told(made, tmp_path))[0] == expected


async def test_an_answer_may_not_contradict_the_sidecar(tmp_path: Path) -> None:
    made = make(QWEN2, tmp_path)
    made.table["answers"] = {"av": {"extraction": {"injection_scale": 80}}}
    assert "is 7.5, but NLA_PAIRS_FILE answers 80" in await refusal(made)


async def test_a_silent_sidecar_does_not_hide_the_other_pairs(tmp_path: Path) -> None:
    made = make(QWEN2, tmp_path)
    silenced(made, "av", "extraction.injection_scale")
    told = Catalogue(Settings(pairs_file=made.file, cache_dir=tmp_path / "cache")).describe()[-1]
    assert (told["name"], told["av_path"], told["d_model"]) == ("tiny", str(made.places["av"]), None)


async def test_an_adapter_of_another_model_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(QWEN2, tmp_path, layout="lora")
    made.table["target"] = "somebody/other"
    with hub({"somebody/other": {f.name: f.read_bytes() for f in made.places["target"].iterdir()}}) as served:
        served.stand_in(monkeypatch, tmp_path / "hub")
        assert "an adapter of somebody/target, but the pair's target is somebody/other" in await refusal(made)


async def test_a_question_names_what_a_factor_means(tmp_path: Path) -> None:
    made = make(QWEN2, tmp_path)
    made.table["profile"] = "replace_scale"
    silenced(made, "av", "extraction.injection_scale")
    assert "By which factor" in await refusal(made)


async def test_a_profile_that_vllm_cannot_do_is_refused() -> None:
    with pytest.raises(SettingsError, match="--verbaliser transformers"):
        Serving("vllm-server", ["http://127.0.0.1:1"]).engine(Profile("residual_add"))
    assert Serving("auto").engine(Profile("residual_add")) == "transformers"


async def test_adding_a_zero_changes_nothing() -> None:
    residual = torch.tensor([[3.0, 4.0]])
    assert residual_add(residual, torch.zeros(1, 2)).tolist() == residual.tolist()
    assert residual_add(residual, torch.tensor([[0.0, 2.0]])).tolist() == [[3.0, 9.0]]
    assert replace_norm(torch.zeros(1, 2), 5.0).tolist() == [[0.0, 0.0]]


async def test_bullets_are_the_whole_answer() -> None:
    words = tokenizer(QWEN2.speech)
    stop = words.convert_tokens_to_ids("<|im_end|>")
    said = "- cats purr\n- they sleep"
    ids = words(said)["input_ids"]
    writing = ReadingDecoder(words, frozenset({stop}), 100, "bullets")
    bits = "".join(writing.add([id]) for id in [*ids, stop])
    ended = writing.finish(0)
    assert (bits, ended.text, ended.truncated, writing.ended) == (said, said, False, True)


async def test_bullets_that_do_not_end_are_cut_short() -> None:
    words = tokenizer(QWEN2.speech)
    writing = ReadingDecoder(words, frozenset(), 100, "bullets")
    writing.add(words("- cats")["input_ids"])
    assert (writing.finish(0).text, writing.finish(0).truncated) == ("- cats", True)
