from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from jinja2 import Environment
from transformers import AutoTokenizer

from server.errors import SettingsError
from server.nla.checkpoints.specs import read_av
from server.nla.models.loaded_pair import LoadedPair
from server.nla.verbalisers.base import ReadingRequest
from server.nla.verbalisers.factory import Serving
from server.nla.verbalisers.prompt import Pieces, rendered
from server.nla.verbalisers.vllm_requests import group_samples
from server.nla.verbalisers.vllm_server import template_for


def test_an_engine_that_is_not_known_is_refused() -> None:
    with pytest.raises(SettingsError, match="'sglang' is not known: use auto, transformers"):
        Serving("sglang").engine()


def test_a_server_without_an_address_is_refused() -> None:
    with pytest.raises(SettingsError, match="NLA_VLLM_URLS"):
        Serving("vllm-server").engine()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is here")
def test_vllm_without_the_package_says_how_to_get_it() -> None:
    with pytest.raises(SettingsError, match="uv sync --extra vllm"):
        Serving("vllm").engine()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_auto_is_transformers_without_a_gpu() -> None:
    assert Serving("auto").engine() == "transformers"


@pytest.mark.parametrize(
    "template",
    [
        None,  # the demo's own, which walks the parts
        "<bos>{% for m in messages %}<turn>{{ m['role'] }}\n{{ m['content'] | trim }}<end>\n{% endfor %}<turn>model\n",
        "{% for m in messages %}[{{ m['content'] }}]{% endfor %} \"quoted\" →",
    ],
)
def test_the_serving_template_makes_the_same_prompt_of_parts(
    places: dict[str, object], template: str | None
) -> None:
    spec = read_av(places["av"])  # type: ignore[arg-type]
    tokenizer = AutoTokenizer.from_pretrained(spec.folder)
    if template is not None:
        tokenizer.chat_template = template
    pieces = Pieces.of(tokenizer, spec)
    parts = [{"type": "text", "text": text} for text in (pieces.before, spec.marker, pieces.after) if text]
    made = Environment().from_string(template_for(tokenizer, spec))
    assert made.render(messages=[{"role": "user", "content": parts}]) == rendered(tokenizer, spec)


def test_the_demos_own_template_takes_parts_and_strings_alike(places: dict[str, object]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(places["av"])
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": ":two"}]
    said = [
        tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
        for content in ("One:two", parts)
    ]
    assert said[0] == said[1]


def test_consecutive_samples_of_one_activation_are_one_request(pair: LoadedPair, ids: list[int]) -> None:
    rows = pair.target.model.trace(
        ids
    ).activations  # each look at a row is another array, as it is in an analysis
    requests = [
        ReadingRequest(n, rows[p], sample)
        for n, (p, sample) in enumerate([(0, 0), (0, 1), (0, 3), (1, 4), (1, 5)])
    ]
    made = list(group_samples(requests, temperature=0.9))
    assert [[order.key for order in request.samples] for request in made] == [[0, 1], [2], [3, 4]]
    assert [len(request.samples) for request in group_samples(requests, temperature=0.0)] == [1] * 5


def test_what_is_watched_goes_first_and_word_by_word() -> None:
    row = np.ones(4, np.float32)
    looked_at, other = group_samples(
        [ReadingRequest(0, row, watched=True), ReadingRequest(1, row)], temperature=0.0
    )
    assert looked_at.rank < other.rank
    assert looked_at.interval == 1 < other.interval
