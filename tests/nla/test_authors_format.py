"""The demo pair in the eyes of its authors' own client (nla_inference.py): what that demands of the two
folders, and the numbers that it makes of them, step by step with plain transformers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from server.nla.models.loaded_pair import LoadedPair
from server.nla.scores import score

READING = 'The final token is " sleep"; next probably "?". The text runs "Why do cats purr when they sleep".'


def sidecar(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "nla_meta.yaml").read_text())
    return found


def test_its_av_reads_the_sidecar(places: dict[str, Path]) -> None:
    meta, tokenizer = sidecar(places["av"]), AutoTokenizer.from_pretrained(places["av"])
    tokens = meta["tokens"]
    assert (meta["kind"], meta["d_model"]) == ("nla_model", 576)
    assert float(meta["extraction"]["injection_scale"]) == 250.0
    marker = tokenizer.encode(tokens["injection_char"], add_special_tokens=False)
    assert marker == [tokens["injection_token_id"]]
    content = meta["prompt_templates"]["av"].format(injection_char=tokens["injection_char"])
    chat = [{"role": "user", "content": content}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    slot = ids.index(marker[0])
    around = (tokens["injection_left_neighbor_id"], tokens["injection_right_neighbor_id"])
    assert (ids.count(marker[0]), (ids[slot - 1], ids[slot + 1])) == (1, around)
    embeddings = [
        name
        for name in load_file(places["av"] / "model.safetensors")
        if re.search("embed_tokens.weight$", name)
    ]
    assert len(embeddings) == 1


@torch.inference_mode()
def test_its_ar_makes_of_a_reading_what_ours_does(places: dict[str, Path], pair: LoadedPair) -> None:
    folder = places["ar"]
    meta, tokenizer = sidecar(folder), AutoTokenizer.from_pretrained(folder)
    assert meta["role"] in ("critic", "ar")
    scale = float(meta["extraction"]["mse_scale"])  # it takes no word for it
    assert scale == 24.0 == meta["d_model"] ** 0.5
    probe = tokenizer("x", add_special_tokens=True)["input_ids"]
    assert tokenizer.bos_token_id in (None, probe[0])

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.model.norm = torch.nn.Identity()
    head = torch.nn.Linear(576, 576, bias=False)
    head.load_state_dict(load_file(folder / "value_head.safetensors"))
    prompt = meta["prompt_templates"]["ar"].format(explanation=READING)
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=True)["input_ids"]
    theirs = head(model.model(ids, use_cache=False).last_hidden_state[0, -1]).numpy()
    [ours] = pair.reconstructor.model.reconstruct([READING])
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-3)

    original = np.random.default_rng(0).normal(size=576).astype(np.float32)
    unit = [v / np.linalg.norm(v) * scale for v in (theirs, original)]
    assert float(((unit[0] - unit[1]) ** 2).mean()) == pytest.approx(
        score(original, ours, None).mse, rel=1e-4
    )
