"""The part of the prompt before the activation is computed once: shown on a prompt that is long enough for a block."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from server.nla.checkpoints.specs import AvSpec, read_av
from server.nla.types import Floats
from server.nla.verbalisers.prompt import AvPrompt
from tests.engines.conftest import copy_with, engine, finished, ordered, outcomes

pytest.importorskip("vllm")
pytestmark = pytest.mark.anyio
LONG = "You are shown one activation of a language model. " * 8 + "Activation:{injection_char}"


async def test_the_blocks_before_the_marker_come_out_of_the_cache(
    spec: AvSpec, activations: Floats, tmp_path: Path
) -> None:
    long = read_av(copy_with(spec.folder, tmp_path / "av", LONG))
    slot = AvPrompt.of(AutoTokenizer.from_pretrained(long.folder), long).slot
    plain = engine("transformers", long)
    expected = finished(await outcomes(plain, ordered(activations[:10])))
    av = engine("vllm", long)
    await av.open()
    try:
        await outcomes(av, ordered(activations[:1]))
        before = av.counters()
        found = finished(await outcomes(av, ordered(activations[:10])))
        cached = av.counters()["cached_tokens"] - before["cached_tokens"]
    finally:
        await av.close()
    # Blocks of 32 that end before the marker are shared by all; the first activation was seen whole.
    assert cached >= 10 * (slot // 32 * 32)
    assert {n: reading.text for n, reading in found.items()} == {n: r.text for n, r in expected.items()}


async def test_the_markers_own_embedding_is_never_read(
    spec: AvSpec, activations: Floats, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy_with(spec.folder, tmp_path / "av", spec.template)
    weights = load_file(folder / "model.safetensors")
    # The head is tied to the embeddings, but what may be said is to stay as it was.
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    weights["model.embed_tokens.weight"][spec.marker_id] = 0.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    expected = finished(await outcomes(engine("transformers", spec), ordered(activations[:8])))
    av = engine("vllm", read_av(folder))
    await av.open()
    try:
        found = finished(await outcomes(av, ordered(activations[:8])))
    finally:
        await av.close()
    assert {n: reading.text for n, reading in found.items()} == {n: r.text for n, r in expected.items()}
