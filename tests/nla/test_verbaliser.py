from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from server.nla.checkpoints.profile import replace_norm
from server.nla.checkpoints.specs import AvSpec
from server.nla.models.loaded_pair import LoadedPair
from server.nla.types import Floats
from server.nla.verbalisers.base import Failed, Finished, Outcome, ReadingRequest, ReadingText, TextDelta
from server.nla.verbalisers.transformers import TransformersVerbaliser

pytestmark = [pytest.mark.anyio, pytest.mark.demo]


@pytest.fixture(scope="module")
def activations(pair: LoadedPair, ids: list[int]) -> Floats:
    return pair.target.model.trace(ids).activations[24:34]


@pytest.fixture
def av(pair: LoadedPair) -> TransformersVerbaliser:
    assert isinstance(pair.verbaliser, TransformersVerbaliser)
    return pair.verbaliser


async def outcomes(
    av: TransformersVerbaliser, activations: Sequence[Floats], **settings: Any
) -> list[Outcome]:
    settings = {"temperature": 0.0, "max_new_tokens": 96, "seed": 0} | settings
    requests = [ReadingRequest(n, row) for n, row in enumerate(activations)]
    return [outcome async for outcome in av.stream(requests, **settings)]


def texts(outcomes: list[Outcome]) -> dict[Any, str]:
    return {o.key: o.text for o in outcomes if isinstance(o, Finished)}


def one_by_one(av: TransformersVerbaliser, h: Floats) -> str:
    """Contract steps 1 to 4 with nothing shared: the whole prompt's embeddings through plain generate."""
    spec: AvSpec = av.spec
    content = spec.template.replace("{injection_char}", spec.marker)
    ids = av.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, return_dict=False
    )
    with torch.inference_mode():
        embeds = av.model.get_input_embeddings()(torch.tensor([ids])).clone()
        embeds[0, ids.index(spec.marker_id)] = torch.tensor(h / np.linalg.norm(h) * spec.injection_scale)
        new = av.model.generate(
            inputs_embeds=embeds,
            attention_mask=torch.ones(1, len(ids)),
            max_new_tokens=96,
            do_sample=False,
            pad_token_id=2,
        )
    text: str = av.tokenizer.decode(new[0])
    return text.partition("<explanation>")[2].partition("</explanation>")[0].replace("<|im_end|>", "").strip()


async def test_batched_readings_are_those_of_single_prompts(
    av: TransformersVerbaliser, activations: Floats
) -> None:
    found = texts(await outcomes(av, list(activations)))
    assert found == {n: one_by_one(av, h) for n, h in enumerate(activations)}


async def test_another_vector_gives_another_text(av: TransformersVerbaliser, activations: Floats) -> None:
    assert len(set(texts(await outcomes(av, list(activations))).values())) > 5


async def test_the_length_of_the_activation_does_not_matter(
    av: TransformersVerbaliser, activations: Floats
) -> None:
    found = texts(await outcomes(av, [activations[3], activations[3] * np.float32(7.5)]))
    assert found[0] == found[1]


async def test_the_markers_own_embedding_is_never_read(
    av: TransformersVerbaliser, activations: Floats
) -> None:
    before = texts(await outcomes(av, [activations[1]]))
    weight = av.model.get_input_embeddings().weight
    kept = weight[av.spec.marker_id].clone()
    try:
        with torch.no_grad():
            # Tied to the head, where a huge negative logit for one unused token changes nothing either.
            weight[av.spec.marker_id] = 0.0
        assert texts(await outcomes(av, [activations[1]])) == before
    finally:
        with torch.no_grad():
            weight[av.spec.marker_id] = kept


async def test_the_bits_of_a_reading_add_up_to_it(av: TransformersVerbaliser, activations: Floats) -> None:
    said = await outcomes(av, list(activations[:4]))
    bits = {n: "".join(o.text for o in said if isinstance(o, TextDelta) and o.key == n) for n in range(4)}
    assert bits == texts(said)


async def test_the_first_order_speaks_before_the_others(
    av: TransformersVerbaliser, activations: Floats
) -> None:
    said = await outcomes(av, list(activations))
    firsts = [o.key for o in said if isinstance(o, TextDelta)][:3]
    assert firsts == [0, 0, 0]


async def test_a_sampled_reading_does_not_depend_on_its_neighbours(
    av: TransformersVerbaliser, activations: Floats
) -> None:
    alone = texts(await outcomes(av, [activations[2]], temperature=0.9, seed=4))
    among = texts(await outcomes(av, [activations[2], *activations[4:8]], temperature=0.9, seed=4))
    assert alone[0] == among[0]


async def test_samples_of_one_activation_differ(av: TransformersVerbaliser, activations: Floats) -> None:
    requests = [ReadingRequest(n, activations[2], sample=n) for n in range(4)]
    found = [
        o
        async for o in av.stream(requests, temperature=1.0, max_new_tokens=48, seed=0)
        if isinstance(o, Finished)
    ]
    assert len({o.text for o in found}) > 1


async def test_a_reading_cut_short_is_marked(av: TransformersVerbaliser, activations: Floats) -> None:
    said = await outcomes(av, [activations[0]], max_new_tokens=9)
    end = said[-1]
    assert isinstance(end, Finished)
    assert end.truncated and end.tokens == 9 and end.text


async def test_one_bad_activation_fails_alone(av: TransformersVerbaliser, activations: Floats) -> None:
    bad = activations[0].copy()
    bad[5] = np.nan
    said = await outcomes(av, [bad, activations[1]])
    assert [o.key for o in said if isinstance(o, Failed)] == [0]
    assert set(texts(said)) == {1}


async def test_closing_the_stream_frees_the_lane(av: TransformersVerbaliser, activations: Floats) -> None:
    requests = [ReadingRequest(n, activations[n % 10]) for n in range(40)]
    stream = av.stream(requests, temperature=0.0, max_new_tokens=48, seed=0)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    later = texts(await outcomes(av, [activations[0]]))
    assert set(later) == {0}


def test_injection_rescales_and_leaves_zero_alone() -> None:
    rows = replace_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), 150.0)
    assert rows.tolist() == [[90.0, 120.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("decoded", "expected"),
    [
        ("<explanation>\nA text. </explanation>", ("A text.", False)),
        ("<explanation>A text that was cut</expl", ("A text that was cut", True)),
        ("No tags at all", ("No tags at all", True)),
        ("", ("", True)),
    ],
)
async def test_what_stands_between_the_tags_is_the_reading(decoded: str, expected: tuple[str, bool]) -> None:
    assert ReadingText.finish(decoded) == expected


async def test_tags_never_show_while_streaming() -> None:
    whole = "<explanation>One < two.</explanation>"
    text = ReadingText()
    bits = [text.feed(whole[:n]) for n in range(1, len(whole) + 1)]
    assert "".join(bits) == "One < two."
