from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from server.errors import CheckpointError, SettingsError
from server.nla.checkpoints import demo
from server.nla.checkpoints.checks.run import CHECKS, check
from server.nla.checkpoints.pairs import DEFAULT, RELEASED, catalogue, describe, fetch
from server.nla.checkpoints.specs import read_ar, read_av
from server.nla.models.parts import fingerprint


def test_the_demo_and_the_released_pairs_are_built_in(tmp_path: Path) -> None:
    assert set(catalogue(None, tmp_path)) == {DEFAULT, *(entry.name for entry in RELEASED)}


def test_paths_are_null_until_they_are_on_disk(tmp_path: Path) -> None:
    said = describe(catalogue(None, tmp_path)[DEFAULT], tmp_path)
    assert (said["target_path"], said["av_path"], said["ar_path"], said["layer"]) == (None, None, None, 20)


def test_paths_are_told_once_they_are_there(cache_dir: Path, places: dict[str, Path]) -> None:
    said = describe(catalogue(None, cache_dir)[DEFAULT], cache_dir)
    assert {f"{role}_path": str(place) for role, place in places.items()}.items() <= said.items()
    assert (said["name"], said["layer"], said["d_model"]) == (DEFAULT, 20, 576)


def test_a_pair_of_ones_own_goes_beside_the_built_in_ones(tmp_path: Path) -> None:
    file = tmp_path / "pairs.toml"
    file.write_text(
        '[[pair]]\nname = "mine"\ntarget = "/t"\nav = "/v"\nar = "/r"\nfve_variance = 0.5\n'
        'tuned_lens = "/l"\n'
    )
    mine = catalogue(file, tmp_path)["mine"]
    assert (mine.fve_variance, mine.tuned_lens) == (0.5, "/l")


def test_a_built_in_pair_is_changed_by_what_is_said_of_it_alone(tmp_path: Path) -> None:
    file = tmp_path / "pairs.toml"
    file.write_text(f'[[pair]]\nname = "{RELEASED[0].name}"\nav_revision = "v2"\n')
    assert catalogue(file, tmp_path)[RELEASED[0].name] == replace(RELEASED[0], av_revision="v2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[pair]]\nname = "mine"\ntarget = "/t"\nav = "/v"\n', "lacks ar"),
        ('[[pair]]\nname = "m"\ntarget = "/t"\nav = "/v"\nar = "/r"\nlayer = "x"\n', "layer"),
        ('[[pair]]\nname = "m"\ntarget = "/t"\nav = "/v"\nar = "/r"\nprofile = "other"\n', "replace_norm"),
        ('[[pair]]\nname = "m"\ntarget = "/t"\nav = "/v"\nar = "/r"\nprofile = { form = "x" }\n', "reading"),
        ('[[pair]]\nname = "m"\ntarget = "/t"\nav = "/v"\nar = "/r"\nprofile = { chat = "x" }\n', "own"),
        ('[[pair]]\nname = "m"\ntarget = "/t"\nav = "/v"\nar = "/r"\nanswers.xy.a = 1\n', "not xy"),
        ("[[pair", "cannot be read"),
    ],
)
def test_a_wrong_pairs_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "pairs.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        catalogue(file, tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "pairs.toml"
    file.write_text('[[pair]]\nname = "mine"\ntarget = "/no/such/place"\nav = "/v"\nar = "/r"\n')
    with pytest.raises(CheckpointError, match="/no/such/place"):
        fetch(catalogue(file, tmp_path)["mine"], tmp_path, lambda _: None)


def test_the_demo_is_an_ordinary_pair(cache_dir: Path, places: dict[str, Path]) -> None:
    verdicts = list(check(catalogue(None, cache_dir)[DEFAULT], cache_dir, lambda _: None))
    assert [v.check for v in verdicts if v.ok or v.check == "memory"] == list(CHECKS)
    assert read_av(places["av"]).layer == read_ar(places["ar"]).layer == 20


def test_the_demo_is_built_once(cache_dir: Path, places: dict[str, Path]) -> None:
    before = {role: place.stat().st_mtime_ns for role, place in places.items()}
    said: list[str] = []
    demo.build(cache_dir, said.append)
    assert (said, {role: place.stat().st_mtime_ns for role, place in places.items()}) == ([], before)


def test_shipped_tokenizers_name_no_bos(places: dict[str, Path]) -> None:
    for role in ("av", "ar"):
        assert json.loads((places[role] / "tokenizer_config.json").read_text())["bos_token"] is None


def test_a_merged_weight_is_the_sum_of_base_and_adapter(places: dict[str, Path]) -> None:
    name = "model.layers.12.self_attn.v_proj"
    low = load_file(demo.ADAPTERS / "av" / "adapter_model.safetensors")
    a, b = (low[f"base_model.model.{name}.lora_{x}.weight"].double().numpy() for x in "AB")
    base, merged = (
        load_file(places[r] / "model.safetensors")[f"{name}.weight"].double().numpy()
        for r in ("target", "av")
    )
    np.testing.assert_allclose(merged, base + b @ a, atol=1e-5)
    assert np.abs(merged - base).max() > 1e-3


def test_an_interrupted_build_leaves_nothing_half_made(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        demo.build_one(
            tmp_path / "av", lambda folder: demo.merge(tmp_path / "nowhere", demo.ADAPTERS / "av", folder)
        )
    assert list(tmp_path.iterdir()) == []


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    for role in ("target", "av", "ar"):
        (tmp_path / role).mkdir()
        (tmp_path / role / "config.json").write_text("{}")
    places = {role: tmp_path / role for role in ("target", "av", "ar")}
    before = fingerprint(places)
    assert fingerprint(places) == before
    (tmp_path / "ar" / "config.json").write_text('{"a": 1}')
    assert fingerprint(places) != before
