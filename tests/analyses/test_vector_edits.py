"""Vectors in the place of words: the patch is the one made by hand, and edits of before keep their ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI

from server.analyses.content_id import digest, short
from server.errors import BadInput, Conflict, NotFound
from server.interventions.job import inputs_of
from server.interventions.schema import InterventionRequest
from server.interventions.service import FORMAT
from server.nla.patching.patches import replacing, steering
from server.store.tables import InterventionRow
from server.vectors.schema import Term, Vector, VectorRequest
from server.vectors.service import Vectors
from tests.analyses.asking import analyses_of
from tests.analyses.editing import edit, h, interventions_of, named, patches
from tests.fakes import D, FakePair, vector_of

pytestmark = pytest.mark.anyio


def vectors_of(app: FastAPI) -> Vectors:
    """The app's service."""
    service: Vectors = app.state.vectors
    return service


async def difference(app: FastAPI, id: str, a: int = 5, b: int = 2) -> Vector:
    """The activation at a position less that at another."""
    terms = [Term(analysis=id, position=a, weight=1), Term(analysis=id, position=b, weight=-1)]
    return (await vectors_of(app).create(VectorRequest(name="a − b", sum=terms)))[0]


def asked(by: Vector, **more: Any) -> InterventionRequest:
    """An edit by a vector."""
    return InterventionRequest.model_validate({"position": 3, "vector": by.id, **more})


async def test_replacing_by_a_vector_is_the_patch_by_hand(app: FastAPI, id: str, pair: FakePair) -> None:
    vector = await difference(app, id)
    found, existed = await interventions_of(app).create(id, asked(vector))
    v, own = h(5) - h(2), h(3)
    by_hand = np.linalg.norm(own) * v / np.linalg.norm(v)
    np.testing.assert_allclose(patches(pair)[0].applied(own), by_hand, rtol=1e-5)
    np.testing.assert_allclose(patches(pair)[0].direction, replacing(3, v).direction, rtol=1e-5)
    assert not existed
    assert found.kl == pytest.approx(np.linalg.norm(by_hand - own), rel=1e-5)
    cos = v @ own / np.linalg.norm(v) / np.linalg.norm(own)
    assert (found.score.cos, found.cos_original) == pytest.approx((cos, cos), abs=1e-6)
    assert found.vector is not None and found.delta_ratio is None
    assert (found.vector.name, found.vector.url, found.request.text) == ("a − b", f"/v/{vector.id}", None)
    assert [control.kind for control in found.controls] == ["random", "unedited", "other"]
    assert (await interventions_of(app).create(id, asked(vector)))[1]


async def test_steering_goes_along_the_vector(app: FastAPI, id: str, pair: FakePair) -> None:
    vector = await difference(app, id)
    more = {"mode": "steer", "alpha": 0.5, "sweep": [0.25, 1.0, 2.0], "targets": [" x"]}
    found, _ = await interventions_of(app).create(id, asked(vector, **more))
    v, own = h(5) - h(2), h(3)
    by_hand = own + 0.5 * np.linalg.norm(own) * v / np.linalg.norm(v)
    edit_patch = pair.target.patched[-2][1][0]  # the last call is the sweep's
    np.testing.assert_allclose(edit_patch.applied(own), by_hand, rtol=1e-5)
    np.testing.assert_allclose(edit_patch.direction, steering(3, v, 0.5).direction, rtol=1e-5)
    assert found.request.delta is None and found.delta_ratio is None
    assert [point.alpha for point in found.sweep] == [0.25, 1.0, 2.0]
    assert set(named(found)) == {"random", "unedited", "other"}
    unedited = pair.target.patched[-2][1][17]
    reading = next(r for r in (await analyses_of(app).get(id)).readings if r.position == 3)
    np.testing.assert_allclose(
        unedited.direction, steering(3, vector_of(reading.text), 0.5).direction, rtol=1e-5
    )


async def test_a_vector_needs_no_reading(app: FastAPI, id: str) -> None:
    vector = await difference(app, id)
    found, _ = await interventions_of(app).create(id, asked(vector, mode="steer", sample=7))
    assert found.original is None
    assert "unedited" not in named(found)


async def test_onwards_takes_a_vector_too(app: FastAPI, id: str, pair: FakePair) -> None:
    vector = await difference(app, id)
    await interventions_of(app).create(id, asked(vector, scope="onwards"))
    assert all(patch.onwards for patch in patches(pair))


async def test_edits_of_words_keep_their_ids(app: FastAPI, id: str) -> None:
    found, _ = await interventions_of(app).create(id, edit())
    request = found.request.model_dump(mode="json")
    assert request.pop("vector") is None
    before = short(digest([FORMAT, id, request, found.original, await _others(app, found.id)]))
    assert found.id == before


async def _others(app: FastAPI, edit_id: str) -> list[int]:
    row = await app.state.store.read(lambda session: session.get(InterventionRow, edit_id))
    return inputs_of(row).others


@pytest.mark.parametrize(
    ("more", "field", "said"),
    [
        ({"text": "words"}, "vector", "not both"),
        ({"vector": None}, "text", "or a vector"),
        ({"delta": "original", "mode": "steer"}, "delta", "leave delta out"),
        ({"vector": "nobody"}, "vector", "There is no vector 'nobody'"),
        ({"vector": "\0"}, "vector", "There is no vector"),
        ({"mode": "steer", "alpha": 0}, "alpha", "moves nothing"),
    ],
)
async def test_what_is_not_taken(app: FastAPI, id: str, more: dict[str, Any], field: str, said: str) -> None:
    vector = await difference(app, id)
    with pytest.raises(BadInput, match=said) as caught:
        await interventions_of(app).create(id, asked(vector, **more))
    assert caught.value.field == field


async def test_an_uploaded_vector_of_another_width_is_refused(app: FastAPI, id: str, pair: FakePair) -> None:
    uploaded, _ = await vectors_of(app).create(VectorRequest(values=[1.0] * D))
    pair.d_model = D + 1
    with pytest.raises(Conflict, match="9 by now"):
        await interventions_of(app).create(id, asked(uploaded))


async def test_edits_outlive_their_vector_and_are_found_by_its_name(app: FastAPI, id: str) -> None:
    vector = await difference(app, id)
    found, _ = await interventions_of(app).create(id, asked(vector, targets=[" Paris"]))
    (line,) = await analyses_of(app).recent(q="a − b")
    assert [(edit.id, edit.text) for edit in line.edits] == [(found.id, "a − b")]
    await vectors_of(app).delete(vector.id)
    with pytest.raises(NotFound):
        await vectors_of(app).get(vector.id)
    assert (await interventions_of(app).get(id, found.id)).model_dump() == found.model_dump()
