"""The figures of the memory plan against sums that are written out here."""

from __future__ import annotations

import pytest

from server.nla.checkpoints.pairs import RELEASED, ROLES
from server.nla.memory.estimates import (
    BATCHED,
    COHORT,
    GLUE,
    GRAPHS,
    SEQUENCES,
    MaxLengths,
    Model,
    Shape,
    ar_overhead,
    cache_row,
    target_overhead,
    transformers_overhead,
    vllm_overhead,
)
from server.nla.memory.requirements import model_of_shape

QWEN = Shape("qwen2", 28, 3584, 28, 4, 128, 18944, 152064)
LLAMA = Shape("llama", 80, 8192, 64, 8, 128, 28672, 128256)
SHORT = MaxLengths(text=1000, reading=100, batch=10, prompt=50)


def test_keys_and_values_of_a_token() -> None:
    assert QWEN.token_bytes(2) == 28 * 2 * 4 * 128 * 2 == 57_344


@pytest.mark.parametrize(("gpus", "heads"), [(1, 8), (2, 4), (8, 1), (16, 1)])
def test_each_gpu_keeps_its_heads_of_keys_and_one_at_least(gpus: int, heads: int) -> None:
    assert LLAMA.token_bytes(2, gpus) == 80 * 2 * heads * 128 * 2


def test_the_matrices_of_a_block() -> None:
    q_and_o, k_and_v, mlp = 2 * 3584 * 3584, 2 * 3584 * 512, 3 * 3584 * 18944
    assert QWEN.block == q_and_o + k_and_v + mlp


def test_a_reading_takes_its_prompt_its_text_and_slack() -> None:
    assert cache_row(QWEN, "bf16", SHORT) == (50 + 100 + GLUE) * 57_344


def test_a_trace_takes_residuals_a_block_a_reply_and_the_lens() -> None:
    residuals, work, reply = 28 * 1000 * 3584 * 2, 1000 * 2 * (3 * 18944 + 4 * 3584), 1000 * 57_344
    assert target_overhead(QWEN, "bf16", SHORT, tuned=7) == residuals + work + reply + 6 * 64 * 2**20 + 7


def test_a_cpu_keeps_attention_too() -> None:
    attention = 2 * 4 * 28 * 1000 * 1000
    assert (
        target_overhead(QWEN, "float32", SHORT, eager=True) - target_overhead(QWEN, "float32", SHORT)
        == attention
    )


def test_the_ar_takes_a_block_at_work_on_a_batch() -> None:
    assert ar_overhead(QWEN, "bf16", SHORT) == 10 * (100 + GLUE) * 2 * (3 * 18944 + 4 * 3584)


def test_an_av_in_transformers_takes_a_cohort() -> None:
    cache, work = COHORT * (50 + 100 + GLUE) * 57_344, COHORT * 50 * 2 * (3 * 18944 + 4 * 3584)
    assert transformers_overhead(QWEN, "bf16", SHORT) == cache + work + 3 * COHORT * 152064 * 4


def test_two_gpus_share_the_work_of_an_engine_but_not_its_sampler() -> None:
    work = BATCHED * 2 * (3 * 18944 // 2 + 4 * 3584)
    assert vllm_overhead(QWEN, "bf16", 2) == work + 3 * SEQUENCES * 152064 * 4 + GRAPHS


@pytest.mark.parametrize(
    ("kind", "bytes_each"), [("float32", 4), ("bf16", 2), ("fp8", 1), ("8bit", 1), ("4bit", 0.5625)]
)
def test_a_kind_makes_matrices_small_and_leaves_the_rest(kind: str, bytes_each: float) -> None:
    rest = 4 if kind == "float32" else 2
    assert Model(QWEN, 1600, 100, fixed=9).weights(kind) == 1600 * bytes_each + 100 * rest + 9


@pytest.mark.parametrize("entry", RELEASED, ids=lambda entry: entry.name)
def test_shapes_come_to_the_sizes_that_the_cards_tell(entry: object) -> None:
    for role, gigabytes in zip(ROLES, entry.gigabytes, strict=True):  # type: ignore[attr-defined]
        model = model_of_shape(role, entry.shape, entry.layer)  # type: ignore[attr-defined]
        assert model.weights("bf16") / 1e9 == pytest.approx(gigabytes, abs=1)


@pytest.mark.parametrize(
    ("gpus", "fits"), [(1, True), (2, True), (4, True), (8, False), (3, False), (7, False)]
)
def test_vllm_divides_heads_evenly(gpus: int, fits: bool) -> None:
    assert QWEN.tensor_parallel(gpus) is fits  # 28 heads, 4 of keys, 18944 = 2^9 · 37
