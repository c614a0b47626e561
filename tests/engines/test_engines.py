from __future__ import annotations

import asyncio

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from server.nla.checkpoints.specs import AvSpec
from server.nla.types import Floats
from server.nla.verbalisers.base import Failed, Finished, ReadingRequest, TextDelta, Verbaliser
from tests.engines.conftest import LONGEST, OPTIONS, SHORT, finished, ordered, outcomes

pytest.importorskip("vllm", reason="the engines are compared where vLLM is: .ci/vllm-env")
pytestmark = pytest.mark.anyio
COMPARED = 12
"""Readings that are also made by plain generate, which takes a second or more for each."""


@pytest.fixture(scope="module")
def expected(spec: AvSpec, activations: Floats) -> dict[int, list[int]]:
    """Contract steps 1 to 4 with nothing shared: ids by plain generate on the whole prompt's embeddings."""
    tokenizer = AutoTokenizer.from_pretrained(spec.folder)
    model = AutoModelForCausalLM.from_pretrained(spec.folder, dtype=torch.float32)
    content = spec.template.replace("{injection_char}", spec.marker)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, return_dict=False
    )
    rows = {}
    for n, h in enumerate(activations[:COMPARED]):
        with torch.inference_mode():
            embeds = model.get_input_embeddings()(torch.tensor([ids])).clone()
            embeds[0, ids.index(spec.marker_id)] = torch.tensor(h / np.linalg.norm(h) * spec.injection_scale)
            new = model.generate(
                inputs_embeds=embeds, attention_mask=torch.ones(1, len(ids)), max_new_tokens=LONGEST,
                do_sample=False, pad_token_id=2, stop_strings=["</explanation>"], tokenizer=tokenizer,
            )  # fmt: skip
        rows[n] = [token for token in new[0].tolist() if token != 2]
    return rows


async def test_greedy_readings_are_those_of_plain_generate(
    av: Verbaliser, spec: AvSpec, activations: Floats, expected: dict[int, list[int]]
) -> None:
    found = finished(await outcomes(av, ordered(activations[:COMPARED])))
    tokenizer = AutoTokenizer.from_pretrained(spec.folder)
    texts = {
        n: tokenizer.decode(ids).partition("<explanation>")[2].partition("</explanation>")[0].strip()
        for n, ids in expected.items()
    }
    assert {n: reading.text for n, reading in found.items()} == texts
    assert {n: reading.tokens for n, reading in found.items()} == {n: len(ids) for n, ids in expected.items()}


async def test_another_vector_gives_another_text(av: Verbaliser, activations: Floats) -> None:
    found = finished(await outcomes(av, ordered(activations), max_new_tokens=SHORT))
    assert len({reading.text for reading in found.values()}) > 20


async def test_the_length_of_the_activation_does_not_matter(av: Verbaliser, activations: Floats) -> None:
    pair = [ReadingRequest(0, activations[3]), ReadingRequest(1, activations[3] * np.float32(7.5))]
    found = finished(await outcomes(av, pair, max_new_tokens=SHORT))
    assert found[0].text == found[1].text


async def test_the_bits_of_a_reading_add_up_to_it(av: Verbaliser, activations: Floats) -> None:
    said = await outcomes(av, ordered(activations[:6]))
    bits = {n: "".join(o.text for o in said if isinstance(o, TextDelta) and o.key == n) for n in range(6)}
    assert bits == {n: reading.text for n, reading in finished(said).items()}


async def test_words_come_before_the_reading_has_ended(av: Verbaliser, activations: Floats) -> None:
    said = await outcomes(av, ordered(activations[:1]))
    assert sum(isinstance(outcome, TextDelta) for outcome in said) > 1


async def test_300_positions_at_once(av: Verbaliser, activations: Floats) -> None:
    requests = [ReadingRequest(n, activations[n % 30] * np.float32(1 + n)) for n in range(300)]
    found = finished(await outcomes(av, requests, max_new_tokens=SHORT // 2))
    assert len(found) == 300
    assert all(found[n].text == found[n % 30].text for n in range(300))


async def test_the_first_in_line_goes_before_what_waits(av: Verbaliser, activations: Floats) -> None:
    if av.name == "transformers":
        pytest.skip("it takes one call after the other")
    # Three waves of long readings: the way into the engine is short beside one of them, however slow the machine. The
    # first reading is watched, so that its first word says that the first wave is being read.
    seats = OPTIONS["max_num_seqs"]
    waves = [ReadingRequest(n, activations[n % 30], watched=n == 0) for n in range(3 * seats)]
    crowd = av.stream(waves, temperature=0.0, max_new_tokens=LONGEST, seed=0)
    await anext(crowd)
    late = asyncio.create_task(
        outcomes(av, [ReadingRequest("late", activations[0], watched=True)], max_new_tokens=SHORT)
    )
    ahead = 0
    async for outcome in crowd:
        if late.done():
            break
        ahead += isinstance(outcome, Finished)
    await crowd.aclose()  # type: ignore[attr-defined]
    assert set(finished(await late)) == {"late"}
    assert ahead <= 2 * seats  # in the order of coming, more had ended before a seat was free for it


async def test_one_bad_activation_fails_alone(av: Verbaliser, activations: Floats) -> None:
    bad = activations[0].copy()
    bad[5] = np.nan
    said = await outcomes(
        av,
        [
            ReadingRequest(0, bad),
            ReadingRequest(1, activations[1]),
            ReadingRequest(2, activations[1][:9]),
        ],
    )
    assert sorted(o.key for o in said if isinstance(o, Failed)) == [0, 2]
    assert set(finished(said)) == {1}


async def test_a_reading_cut_short_is_marked(av: Verbaliser, activations: Floats) -> None:
    (end,) = finished(await outcomes(av, ordered(activations[:1]), max_new_tokens=9)).values()
    assert end.truncated and end.tokens == 9 and end.text


async def test_a_sample_is_the_same_alone_and_among_others(av: Verbaliser, activations: Floats) -> None:
    row = activations[4]
    among = finished(
        await outcomes(av, [ReadingRequest(n, row, sample=n) for n in range(4)], temperature=0.9, seed=11)
    )
    alone = finished(await outcomes(av, [ReadingRequest("x", row, sample=2)], temperature=0.9, seed=11))
    assert alone["x"].text == among[2].text
    assert len({reading.text for reading in among.values()}) > 1


async def test_a_stream_that_is_closed_makes_room(av: Verbaliser, activations: Floats) -> None:
    stream = av.stream(
        [ReadingRequest(n, activations[n % 30]) for n in range(200)],
        temperature=0.0,
        max_new_tokens=LONGEST,
        seed=0,
    )
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    before = av.counters().get("reading_tokens", 0)
    assert len(finished(await outcomes(av, ordered(activations[:2])))) == 2
    written = av.counters().get("reading_tokens", 0) - before
    assert written < 2 * LONGEST + 200 * 8  # nearly nothing of the 198 others was written meanwhile
