from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.errors import CheckpointError
from server.nla.checkpoints.specs import check_marker, check_pair, check_suffix, read_ar, read_av

Sidecar = dict[str, Any]


def av_meta() -> Sidecar:
    return {
        "kind": "nla_model",
        "role": "av",
        "d_model": 16,
        "extraction_layer_index": 20,
        "extraction": {"injection_scale": 150.0},
        "tokens": {
            "injection_char": "㈎",
            "injection_token_id": 9,
            "injection_left_neighbor_id": 4,
            "injection_right_neighbor_id": 5,
        },
        "prompt_templates": {"av": "Look: {injection_char}!"},
    }


def ar_meta() -> Sidecar:
    return {
        "kind": "nla_model",
        "role": "ar",
        "d_model": 16,
        "extraction_layer_index": 20,
        "extraction": {"injection_scale": None, "mse_scale": "sqrt_d_model"},
        "tokens": {"critic_suffix_ids": [7, 8]},
        "prompt_templates": {"ar": "{explanation} =>"},
    }


def folder(path: Path, meta: Sidecar, blocks: int = 28, nested: bool = False) -> Path:
    config = {"hidden_size": 16, "num_hidden_layers": blocks}
    (path / "config.json").write_text(json.dumps({"text_config": config} if nested else config))
    (path / "nla_meta.yaml").write_text(yaml.safe_dump(meta, allow_unicode=True))
    return path


def put(meta: Sidecar, field: str, value: object) -> Sidecar:
    *parents, last = field.split(".")
    place = meta
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = value
    return meta


def drop(meta: Sidecar, field: str) -> Sidecar:
    *parents, last = field.split(".")
    place = meta
    for key in parents:
        place = place[key]
    del place[last]
    return meta


def old_spelling(meta: Sidecar) -> Sidecar:
    meta["role"] = "actor"
    meta["prompt_templates"] = {"actor": meta["prompt_templates"]["av"]}
    del meta["extraction_layer_index"]
    return put(meta, "critic.num_hidden_layers", 20)


def test_an_av_is_read(tmp_path: Path) -> None:
    spec = read_av(folder(tmp_path, av_meta()))
    assert (spec.layer, spec.injection_scale, spec.marker_id, spec.template) == (
        20,
        150.0,
        9,
        "Look: {injection_char}!",
    )


@pytest.mark.parametrize(
    "change",
    [
        old_spelling,
        lambda m: put(m, "role", "verbalizer"),
        lambda m: put(
            drop(m, "prompt_templates.av"), "prompt_templates.verbalizer", "Look: {injection_char}!"
        ),
        lambda m: put(drop(m, "extraction_layer_index"), "critic.extraction_layer_index", 20),
        lambda m: put(drop(m, "extraction_layer_index"), "ar.num_hidden_layers", 20),
    ],
)
def test_every_spelling_of_an_av_is_read_the_same(
    tmp_path: Path, change: Callable[[Sidecar], Sidecar]
) -> None:
    spec = read_av(folder(tmp_path, change(av_meta())))
    assert (spec.layer, spec.template) == (20, "Look: {injection_char}!")


def test_the_scale_may_be_named(tmp_path: Path) -> None:
    spec = read_av(folder(tmp_path, put(av_meta(), "extraction.injection_scale", "sqrt_d_model")))
    assert spec.injection_scale == math.sqrt(16)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: put(m, "kind", "something"), "`kind`"),
        (lambda m: put(m, "role", "ar"), "swapped"),
        (lambda m: put(m, "extraction.injection_scale", None), "injection_scale"),
        (lambda m: drop(m, "extraction.injection_scale"), "injection_scale"),
        (lambda m: put(m, "extraction.injection_scale", float("nan")), "injection_scale"),
        (lambda m: put(m, "extraction.injection_scale", -3), "injection_scale"),
        (lambda m: drop(m, "extraction_layer_index"), "which layer"),
        (lambda m: put(m, "critic.num_hidden_layers", 19), "disagree"),
        (lambda m: put(m, "d_model", 32), "hidden_size 16"),
        (lambda m: put(m, "tokens.injection_token_id", "nine"), "injection_token_id"),
        (lambda m: drop(m, "tokens.injection_left_neighbor_id"), "injection_left_neighbor_id"),
        (lambda m: put(m, "prompt_templates.av", "no marker"), "injection_char"),
        (lambda m: put(m, "prompt_templates.actor", "Another {injection_char}"), "differs"),
        (lambda m: drop(m, "prompt_templates.av"), "is missing"),
    ],
)
def test_an_av_that_breaks_the_contract_is_refused(
    tmp_path: Path, change: Callable[[Sidecar], Sidecar], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_av(folder(tmp_path, change(av_meta())))


def test_an_ar_is_read(tmp_path: Path) -> None:
    spec = read_ar(folder(tmp_path, ar_meta(), blocks=21, nested=True))
    assert (spec.layer, spec.suffix_ids) == (20, (7, 8))


@pytest.mark.parametrize(
    ("change", "blocks", "said"),
    [
        (lambda m: m, 20, "must have 21 blocks"),
        (lambda m: put(m, "tokens.critic_suffix_ids", []), 21, "critic_suffix_ids"),
        (lambda m: put(m, "prompt_templates.ar", "nothing"), 21, "explanation"),
        (lambda m: put(m, "role", "actor"), 21, "role"),
    ],
)
def test_an_ar_that_breaks_the_contract_is_refused(
    tmp_path: Path, change: Callable[[Sidecar], Sidecar], blocks: int, said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_ar(folder(tmp_path, change(ar_meta()), blocks=blocks))


@pytest.mark.parametrize("content", [None, "just text", "a: [b"])
def test_an_unreadable_sidecar_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "nla_meta.yaml").write_text(content)
    with pytest.raises(CheckpointError, match=r"nla_meta\.yaml"):
        read_av(tmp_path)


def test_a_pair_agrees_on_its_layer_and_width(tmp_path: Path) -> None:
    (tmp_path / "av").mkdir()
    (tmp_path / "ar").mkdir()
    av, ar = (
        read_av(folder(tmp_path / "av", av_meta())),
        read_ar(folder(tmp_path / "ar", ar_meta(), blocks=21)),
    )
    assert check_pair(av, ar, 16, 28) == 20
    for width, blocks, layer in ((32, 28, None), (16, 20, None), (16, 28, 19)):
        with pytest.raises(CheckpointError):
            check_pair(av, ar, width, blocks, layer)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([1, 4, 5], "0 times"),
        ([4, 9, 5, 4, 9, 5], "2 times"),
        ([1, 9, 5], "neighbours"),
        ([4, 9], "neighbours"),
    ],
)
def test_a_drifted_av_tokenizer_is_refused(tmp_path: Path, ids: list[int], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        check_marker(read_av(folder(tmp_path, av_meta())), ids)


def test_the_markers_place_is_found(tmp_path: Path) -> None:
    assert check_marker(read_av(folder(tmp_path, av_meta())), [0, 4, 9, 5]) == 2


def test_a_drifted_ar_tokenizer_is_refused(tmp_path: Path) -> None:
    spec = read_ar(folder(tmp_path, ar_meta(), blocks=21))
    check_suffix(spec, [1, 7, 8])
    with pytest.raises(CheckpointError, match="drifted"):
        check_suffix(spec, [1, 7, 8, 2])
