from __future__ import annotations

import numpy as np
import pytest
from fastapi import FastAPI
from scipy.spatial.distance import cosine

from tests.analyses.asking import analyses_of, chat, finish
from tests.analyses.editing import (
    IDS,
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
        "other": 8,
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
    others = patches(pair)[-8:]
    assert all(min(cosine(p.direction, h(n)) for n in range(len(IDS))) < 1e-4 for p in others[:3])
    kls = [float(np.linalg.norm(p.applied(h(3)) - h(3))) for p in others]
    other = controls["other"]
    assert (other.kl, other.interval) == (
        pytest.approx(np.mean(kls), rel=1e-4),
        pytest.approx(tuple(np.percentile(kls, [5, 95])), rel=1e-4),
    )
    assert (other.kept, other.above) == (sum(kl < 1 for kl in kls), sum(kl >= found.kl for kl in kls))
    assert other.probs == [pytest.approx(np.mean([1 / (2 + kl) for kl in kls]), rel=1e-4)]


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
    await made(app, id)
    assert any(cosine(patch.direction, h(5)) < 1e-4 for patch in patches(pair)[-8:])
    await made(app, id, text=text_of(h(5)))
    assert all(cosine(patch.direction, h(5)) > 1e-4 for patch in patches(pair)[-8:])


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
