"""Adapters in peft's layout: what they add, what they replace, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from server.errors import CheckpointError
from server.nla.checkpoints.lora import Adapter

Q = "model.layers.0.self_attn.q_proj"
EMBED = "model.embed_tokens"
A, B, W = torch.randn(2, 6), torch.randn(4, 2), torch.randn(4, 6)
SHAPES = {"layers.0.self_attn.q_proj.weight": (4, 6), "embed_tokens.weight": (10, 6), "norm.weight": (6,)}


def adapter(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **settings: Any) -> Adapter:
    """One as peft saves it."""
    low = {f"{Q}.lora_A.weight": A, f"{Q}.lora_B.weight": B} if tensors is None else tensors
    save_file({f"base_model.model.{n}": t for n, t in low.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 8, **settings}))
    return Adapter(folder)


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        ({}, 4.0),
        ({"use_rslora": True}, 8 / math.sqrt(2)),
        ({"alpha_pattern": {"q_proj": 1}}, 0.5),
        ({"alpha_pattern": {"k_proj": 1}}, 4.0),
        ({"r": 64, "rank_pattern": {"q_proj": 2}}, 4.0),  # the tensors say their rank
    ],
)
def test_the_product_is_added_by_its_factor(tmp_path: Path, settings: dict[str, Any], factor: float) -> None:
    merged = adapter(tmp_path, **settings).applied("layers.0.self_attn.q_proj.weight", W)
    torch.testing.assert_close(merged, W + factor * (B @ A))


def test_a_merged_weight_keeps_its_kind(tmp_path: Path) -> None:
    merged = adapter(tmp_path).applied("layers.0.self_attn.q_proj.weight", W.bfloat16())
    torch.testing.assert_close(merged, (W.bfloat16().float() + 4 * (B @ A)).bfloat16())


def test_an_embedding_is_adapted_the_other_way_round(tmp_path: Path) -> None:
    a, b, table = torch.randn(2, 10), torch.randn(6, 2), torch.randn(10, 6)
    made = adapter(tmp_path, {f"{EMBED}.lora_embedding_A": a, f"{EMBED}.lora_embedding_B": b})
    made.check(SHAPES)
    torch.testing.assert_close(made.applied("embed_tokens.weight", table), table + 4 * (b @ a).T)


def test_a_weight_that_was_trained_whole_takes_the_bases_place(tmp_path: Path) -> None:
    made = adapter(tmp_path, {"model.norm.weight": torch.full((6,), 2.0)})
    assert made.applied("norm.weight", torch.ones(6)).tolist() == [2.0] * 6
    assert made.applied("other.weight", W) is W


def test_wrapped_and_bare_names_are_the_same(tmp_path: Path) -> None:
    name = "model.language_model.layers.0.self_attn.q_proj"
    made = adapter(tmp_path, {f"{name}.lora_A.weight": A, f"{name}.lora_B.weight": B})
    assert list(made.low) == ["layers.0.self_attn.q_proj.weight"]


@pytest.mark.parametrize(
    ("tensors", "settings", "said"),
    [
        (None, {"peft_type": "LOHA"}, "only LoRA"),
        (None, {"fan_in_fan_out": True}, "only LoRA"),
        ({f"{Q}.lora_magnitude_vector": torch.ones(4)}, {}, "DoRA"),
    ],
)
def test_other_kinds_are_refused(tmp_path: Path, tensors: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        adapter(tmp_path, tensors, **settings)


@pytest.mark.parametrize(
    "tensors",
    [
        {f"{Q}.lora_A.weight": torch.ones(2, 5), f"{Q}.lora_B.weight": B},
        {"model.layers.7.mlp.lora_A.weight": A, "model.layers.7.mlp.lora_B.weight": B},
        {"model.norm.weight": torch.ones(7)},
    ],
)
def test_an_adapter_of_another_model_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    with pytest.raises(CheckpointError, match="the target has"):
        adapter(tmp_path, tensors).check(SHAPES)
