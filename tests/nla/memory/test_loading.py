"""The plan against real files, real loaders and a real hub: sizes, refusals before a download, quantised models."""

from __future__ import annotations

import asyncio
import importlib.util
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from server.app import create_app
from server.errors import CheckpointError, SettingsError
from server.nla.checkpoints.pairs import DEFAULT, RELEASED, ROLES, PairEntry, catalogue
from server.nla.checkpoints.specs import read_ar
from server.nla.checkpoints.weights import HEAD_FILE, Weights, load_model
from server.nla.memory.estimates import GIB, RESERVE, Requirements, Shape
from server.nla.memory.fit_errors import require_fit
from server.nla.memory.machine import Device, unused_gpus
from server.nla.memory.plan import Constraints, Plan
from server.nla.memory.precision import PLAIN, format_precision
from server.nla.memory.requirements import config_of, model_of_files, model_of_shape, requirements
from server.nla.models import parts
from server.nla.models.loaded_pair import load
from server.nla.models.loading import check_libraries, device_map
from server.nla.models.parts import fingerprint
from server.nla.models.reconstructor import ReconstructorModel, load_head
from server.nla.models.target import TargetModel
from server.nla.verbalisers import vllm
from server.nla.verbalisers.factory import Serving
from server.settings import Settings
from tests.api.test_analyses import done
from tests.conformance.families import FAMILIES, Family
from tests.conformance.made import make
from tests.conftest import client_of
from tests.nla.hub import hub

SMALL = Device(0, "a small GPU", 8 * GIB, 7 * GIB)


def data_bytes(file: Path) -> int:
    """What a safetensors file holds beside its header, by the header's own length."""
    with file.open("rb") as opened:
        return file.stat().st_size - 8 - int.from_bytes(opened.read(8), "little")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_headers_tell_is_what_the_files_hold(family: Family, tmp_path: Path) -> None:
    places = make(family, tmp_path).places
    for folder in places.values():
        held = Weights(folder)
        model = model_of_files(held, config_of(folder))
        assert {entry.kind for entry in held.entries.values()} == {"F32"}
        assert model.weights("float32") - model.fixed == sum(map(data_bytes, held.files))
        assert bool(model.fixed) == (folder / HEAD_FILE).is_file()


def test_the_demos_files_are_as_large_as_its_shape_says(cache_dir: Path, places: dict[str, Path]) -> None:
    entry = catalogue(None, cache_dir)[DEFAULT]
    assert entry.shape is not None and entry.layer is not None
    for role in ROLES:
        model = model_of_files(Weights(places[role]), config_of(places[role]))
        expected = model_of_shape(role, entry.shape, entry.layer)
        assert model.shape == expected.shape
        assert model.weights("bf16") == pytest.approx(expected.weights("bf16"), rel=2e-3)  # norms


def test_a_pair_on_disk_is_counted_and_one_on_the_hub_reckoned(
    cache_dir: Path, places: dict[str, Path]
) -> None:
    here, there = requirements(catalogue(None, cache_dir)[DEFAULT]), requirements(RELEASED[0])
    assert here is not None and there is not None
    assert (here.exact, there.exact) == (True, False)
    assert here.tuned > 0


def test_a_pair_of_unknown_size_is_not_planned(tmp_path: Path) -> None:
    assert requirements(PairEntry("mine", "some/target", "some/av", "some/ar")) is None


def test_nothing_is_downloaded_of_a_pair_that_cannot_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "devices", lambda: [SMALL])
    with hub({}) as served:
        served.stand_in(monkeypatch, tmp_path / "hub")
        with pytest.raises(CheckpointError, match=r"^memory: .*7\.0 GiB are free") as refused:
            asyncio.run(load(RELEASED[0], cache_dir=tmp_path))
        assert served.gets == []
    assert "It would fit on one GPU of 48 GiB" in refused.value.detail


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is here")
def test_a_missing_library_is_named_with_its_cure() -> None:
    with pytest.raises(SettingsError, match=r"target=4bit wants bitsandbytes.*uv sync --extra quantised"):
        check_libraries(require_fit(_needs(), unused_gpus([80]), Constraints("target=4bit")))


def test_only_what_is_quantised_changes_the_fingerprint(places: dict[str, Path]) -> None:
    assert fingerprint(places, None, PLAIN) == fingerprint(places)
    found = {fingerprint(places, None, {**PLAIN, role: "4bit"}) for role in ROLES}
    assert len(found | {fingerprint(places)}) == 4


def test_a_model_is_laid_out_over_gpus_in_the_plans_shares(tmp_path: Path) -> None:
    shape = Shape("llama", 12, 512, 8, 8, 64, 2048, 1000)
    LlamaConfig(
        hidden_size=512, num_hidden_layers=12, num_attention_heads=8, intermediate_size=2048, vocab_size=1000
    ).save_pretrained(tmp_path)
    model = model_of_shape("target", shape, 7)
    plan = require_fit(
        Requirements("tiny", {"target": model}), unused_gpus([80]), Constraints(verbaliser="vllm-server")
    )
    third = model.weights("bf16") // 3
    part = replace(plan.parts["target"], share={1: third, 2: third, 3: third + 2})
    found = device_map(part, model, AutoModelForCausalLM, tmp_path)
    blocks = [found[f"model.layers.{n}"] for n in range(12)]
    assert blocks == sorted(blocks) and set(blocks) == {1, 2, 3}
    assert max(Counter(blocks).values()) <= 5  # a third, and a block's room
    assert found["lm_head"] == 3
    # Each of five has room for two blocks and a half; were the rest not model_of_files, ten of the twelve would fit.
    fifth = dict.fromkeys(range(5), model.weights("bf16") // 5)
    with pytest.raises(CheckpointError, match=r"^memory: .*cannot be laid out"):
        device_map(replace(part, share=fifth), replace(model, matrices=0), AutoModel, tmp_path)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_model_in_pieces_says_what_a_whole_one_says(family: Family, tmp_path: Path) -> None:
    """The disk stands in for a second GPU: the same hooks carry the residual stream from piece to piece."""
    places = make(family, tmp_path / "made").places
    spec = read_ar(places["ar"])
    told: dict[str, list[Any]] = {"whole": [], "pieces": []}
    for how in told:
        for role, auto in (("target", AutoModelForCausalLM), ("ar", AutoModel)):
            given: dict[str, Any] = {"dtype": torch.float32}
            if how == "pieces":
                count = config_of(places[role]).num_hidden_layers
                given |= {"device_map": in_three(family, role, count), "offload_folder": tmp_path / role}
            model = load_model(auto, places[role], given, normed=role == "target")
            if role == "target":
                trace = TargetModel(model, spec.layer).trace([5, 6, 7, 8])
                told[how] += [trace.activations, trace.lens.entropy, trace.lens.kl]
            else:
                blocks = getattr(model, "language_model", model)
                tokenizer = AutoTokenizer.from_pretrained(places["ar"])
                ar = ReconstructorModel(blocks, load_head(places["ar"], spec.d_model), tokenizer, spec)
                told[how].append(ar.reconstruct(["A reading.", "Another, longer one."]))
    for one, other in zip(*told.values(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def in_three(family: Family, role: str, blocks: int) -> dict[str, str]:
    """The first block and the last beside the processor, the others on disk."""
    outer = "model." if role == "target" else ""
    inner = outer + ("language_model." if family.wrapped else "")
    found = {f"{inner}{name}": "cpu" for name in ("embed_tokens", "norm", "rotary_emb")}
    found |= {f"{inner}layers.{n}": "disk" if 0 < n < blocks - 1 else "cpu" for n in range(blocks)}
    if family.wrapped:
        found |= {f"{outer}{name}": "cpu" for name in ("vision_tower", "multi_modal_projector")}
    return found | ({"lm_head": "cpu"} if role == "target" else {})


class TestEngine:
    """What vLLM is given."""

    def options(self, precision: str, gpus: list[float], pair: PairEntry) -> tuple[dict[str, Any], Plan]:
        plan = require_fit(_needs(pair), unused_gpus(gpus), Constraints(precision))
        return vllm.derived(Path("/av"), 500, plan), plan

    @pytest.fixture(autouse=True)
    def nobody_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vllm, "devices", lambda: unused_gpus([80] * 8))

    def test_one_gpu_is_taken_as_far_as_planned(self) -> None:
        given, plan = self.options("bf16", [80, 80], RELEASED[0])
        part = plan.parts["av"]
        assert (given["max_num_seqs"], given["kv_cache_memory_bytes"]) == (256, plan.cache)
        assert "quantization" not in given and "tensor_parallel_size" not in given
        wanted = (part.weights + part.overhead + plan.cache + RESERVE) / (80 * GIB)
        assert given["gpu_memory_utilization"] == pytest.approx(wanted, abs=1e-3)

    def test_a_multimodal_wrapper_is_asked_for_no_pictures(self, tmp_path: Path) -> None:
        plan = require_fit(_needs(RELEASED[1]), unused_gpus([80] * 2), Constraints("bf16"))
        for config, limit in (('{"text_config": {}, "vision_config": {}}', {"image": 0}), ("{}", None)):
            (tmp_path / "config.json").write_text(config)
            assert vllm.derived(tmp_path, 500, plan).get("limit_mm_per_prompt") == limit

    def test_an_av_over_two_gpus(self) -> None:
        given, plan = self.options("bf16", [80] * 8, RELEASED[3])
        assert given["tensor_parallel_size"] == 2
        assert given["kv_cache_memory_bytes"] == plan.sequences * plan.parts["av"].cache_row

    def test_what_the_options_quantise_is_told_as_well(self) -> None:
        _, plan = self.options("target=4bit", [80], RELEASED[0])
        serving = Serving(options={"quantization": "mxfp8"})
        assert format_precision(serving.precision_of(plan)) == "av=mxfp8,target=4bit"
        assert format_precision(Serving().precision_of(plan)) == "target=4bit"

    def test_fp8_is_vllms_own_online_kind(self) -> None:
        assert self.options("av=fp8", [80], RELEASED[0])[0]["quantization"] == "fp8_per_tensor"


def _needs(entry: PairEntry = RELEASED[0]) -> Requirements:
    assert entry.shape is not None and entry.layer is not None
    return Requirements(entry.name, {role: model_of_shape(role, entry.shape, entry.layer) for role in ROLES})


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="the extra is not here")
@pytest.mark.anyio
async def test_a_quantised_pair_works_and_its_page_says_so(
    tmp_path: Path, plain_environment: None, places: dict[str, Path]
) -> None:
    """The demo pair through the whole explorer: every matrix of its blocks is packed, and nothing else is."""
    settings = Settings(precision="target=4bit,ar=8bit", data_dir=tmp_path, examples=False)
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        await app.state.models.settled()
        pair = app.state.models.resident()
        for model in (pair.target.model.model, pair.reconstructor.model.blocks):
            named = {name: tensor for name, tensor in model.named_parameters() if tensor.dim() == 2}
            packed = {name for name, tensor in named.items() if not tensor.is_floating_point()}
            assert packed == {name for name in named if "layers." in name}
        found = await done(app, client, {"text": "Cats purr.", "positions": [2]})
        page = await client.get(f"/a/{found['id']}")
    assert found["versions"]["precision"] == "target=4bit,ar=8bit"
    assert found["readings"][0]["cos"] > 0.5
    assert "Quantised: the target in 4 bits, the AR in 8 bits." in page.text
