from __future__ import annotations

import numpy as np
import pytest
from fastapi import FastAPI
from scipy.spatial.distance import cosine

from tests.analyses.asking import analyses_of, chat, finish
from tests.analyses.editing import (
    SAMPLES,
    h,
    made,
    named,
    patches,
)
from tests.fakes import REPLY, START, FakePair, activation, text_of, vector_of

pytestmark = pytest.mark.anyio


async def test_controls_of_a_replacement(app: FastAPI, id: str, pair: FakePair) -> None:
    found = await made(app, id, targets=["d"])
    controls = named(found)
    assert {kind: control.n for kind, control in controls.items()} == {
        "random": 16,
        "unedited": 1,
        "other": 13,
    }
    assert controls["random"].cos_original == pytest.approx(found.cos_original, abs=1e-5)
    assert controls["random"].kl == pytest.approx(found.kl, rel=1e-4)  # the fake's measures but the distance
    unedited = controls["unedited"]  # the fakes' reading holds its activation exactly
    assert (unedited.kl, unedited.interval, unedited.kept, unedited.above) == (
        pytest.approx(0, abs=1e-5),
        None,
        1,
        0,
    )
    assert (unedited.text, unedited.probs) == ("A" + REPLY, [pytest.approx(0.5)])
    others = patches(pair)[-13:]
    cos = found.cos_original
    assert [1 - cosine(p.direction, h(3)) for p in others] == pytest.approx([cos] * 13, abs=1e-5)
    other = controls["other"]  # the fake's measures but the distance, and all are as far
    assert (other.kl, other.kept) == (pytest.approx(found.kl, rel=1e-4), 13 if found.kl < 1 else 0)
    assert other.each_kl == pytest.approx([found.kl] * 13, rel=1e-4)
    assert other.each_probs == [[pytest.approx(1 / (2 + kl), rel=1e-4)] for kl in other.each_kl]
    assert other.probs == [pytest.approx(np.mean(other.each_probs), rel=1e-4)]


async def test_other_readings_are_of_content(app: FastAPI, id: str) -> None:
    content = {token.position for token in (await analyses_of(app).get(id)).tokens if token.content}
    assert 0 not in content
    assert named(await made(app, id))["other"].n == len(content - {3}) == 13


async def test_steering_goes_from_the_reading_to_the_edit(app: FastAPI, id: str, pair: FakePair) -> None:
    found = await made(app, id, mode="steer", alpha=0.5)
    delta = vector_of("about dogs") - h(3)  # the fakes' reading holds the activation
    assert patches(pair)[0].alpha == 0.5
    assert cosine(patches(pair)[0].direction, delta) == pytest.approx(0, abs=1e-6)
    assert found.kl == pytest.approx(0.5 * float(np.linalg.norm(h(3))), rel=1e-4)
    assert list(named(found)) == ["random", "other"]  # the reading as it is leads nowhere


async def test_steering_from_the_activation_compares_directions(
    app: FastAPI, id: str, pair: FakePair
) -> None:
    await made(app, id, mode="steer", delta="activation")
    v = vector_of("about dogs")
    delta = v / np.linalg.norm(v) - h(3) / np.linalg.norm(h(3))
    assert cosine(patches(pair)[0].direction, delta) == pytest.approx(0, abs=1e-6)


async def test_readings_of_the_same_words_are_no_other_readings(
    app: FastAPI, id: str, pair: FakePair
) -> None:
    assert named(await made(app, id))["other"].n == 13
    assert named(await made(app, id, text=text_of(h(5))))["other"].n == 12


async def test_controls_reach_as_far_as_the_edit(app: FastAPI, id: str, pair: FakePair) -> None:
    await made(app, id, scope="onwards")
    assert all(patch.onwards for patch in patches(pair))


async def test_gold_is_the_activation_of_another_text(app: FastAPI, id: str, pair: FakePair) -> None:
    dogs = await finish(analyses_of(app), chat("dogs bark"))
    gold = activation([START, *map(ord, "dogs")])
    found = await made(app, id, gold={"analysis": dogs.id, "position": 4})
    assert cosine(patches(pair)[-1].direction, gold) == pytest.approx(0, abs=1e-6)
    assert named(found)["gold"].cos_original == pytest.approx(1 - cosine(gold, h(3)), abs=1e-5)


async def test_gold_is_steered_to_at_the_length_of_the_readings(
    app: FastAPI, id: str, pair: FakePair
) -> None:
    dogs = await finish(analyses_of(app), chat("dogs bark"))
    gold = activation([START, *map(ord, "dogs")])
    await made(app, id, mode="steer", gold={"analysis": dogs.id, "position": 4})
    delta = gold / np.linalg.norm(gold) - h(3) / np.linalg.norm(h(3))
    assert cosine(patches(pair)[-1].direction, delta) == pytest.approx(0, abs=1e-5)


async def test_each_sample_can_be_edited(app: FastAPI) -> None:
    id = (await finish(analyses_of(app), chat(**SAMPLES))).id
    assert (await made(app, id, sample=1)).original == text_of(h(3), 1)
