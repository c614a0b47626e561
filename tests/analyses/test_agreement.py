"""Agreement of readings, against values that are calculated here from hand-made ones."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from server.analyses.schema import Analysis, Reading
from server.errors import Conflict
from server.measurements.agreement import agreement
from tests.api.test_analyses import done
from tests.api.test_bad_input import problem

V = 0.5
CATS = "The text is about cats. A story follows."
DOGS = "It barks at strangers. Story a follows."
SHIPS = "Nothing alike here."


def analysis(texts: dict[int, list[str]]) -> Analysis:
    """An analysis of one turn with these readings of each position, of which the first is a sink."""
    return Analysis.model_validate({
        "id": "a", "url": "/a/a", "status": "done", "request": {"text": "x"}, "pair": "p", "fve_variance": V,
        "progress": {"stage": "done"}, "created": "2026-01-01T00:00:00Z",
        "tokens": [
            {"position": n, "id": n, "text": "x", "kind": "prompt", "role": "text", "special": False}
            for n in range(max(texts) + 1)
        ],
        "readings": [
            Reading(position=n, sample=k, text=text, cos=0.5)
            for n, each in texts.items()
            for k, text in enumerate(each)
        ],
    })  # fmt: skip


def made(texts: dict[int, list[str]], vectors: dict[tuple[int, int], list[float]], **given: Any) -> Any:
    found = {key: np.asarray(vector, np.float32) for key, vector in vectors.items()}
    h = np.tile(np.asarray([1, 0], np.float32), (max(texts) + 1, 1))
    return agreement(analysis(texts), h, found, **given)


def test_reconstructions_that_point_alike_agree() -> None:
    texts = {1: [CATS, CATS], 2: [DOGS, SHIPS]}
    found = made(texts, {(1, 0): [1, 0], (1, 1): [2, 0], (2, 0): [1, 0], (2, 1): [0, 3]})
    alike, unlike = found.positions
    assert (alike.cos, alike.cos_other) == (pytest.approx(1), pytest.approx(0.5))
    assert (unlike.cos, unlike.cos_other) == (pytest.approx(0), pytest.approx(0.5))
    assert found.summary.cos == pytest.approx(0.5) and found.summary.cos_interval is None


def test_the_best_of_several_stands_beside_their_mean_and_the_averages_score() -> None:
    found = made({1: [CATS, DOGS]}, {(1, 0): [1, 1], (1, 1): [1, -1]}).positions[0]
    fve = 1 - 2 * (1 - 0.5**0.5) / V
    assert (found.score, found.best.score) == (pytest.approx(fve), pytest.approx(fve))
    assert found.averaged == pytest.approx(1)  # their errors cancel out
    assert found.cos_other is None and found.recurring_other is None


def test_a_claim_recurs_where_half_of_its_words_do() -> None:
    found = made({1: [CATS, DOGS, SHIPS]}, {(1, k): [1, 0] for k in range(3)}).positions[0]
    assert [(claim.text, claim.samples) for claim in found.claims] == [
        ("A story follows.", [0, 1]),
        ("The text is about cats.", [0]),
        ("It barks at strangers.", [1]),
        ("Nothing alike here.", [2]),
    ]
    # Of five claims two are made by one of two others each, the rest by none.
    assert found.recurring == pytest.approx((0.5 + 0.5) / 5)


@pytest.mark.parametrize(
    ("one", "other", "recurring"),
    [
        ("7.", "7!", 1),
        ("7.", "6.", 0),
        ("No.", "no", 1),
        ("It is 7.", "It is 6.", 0),
        ("A cat is there.", "No cat is there.", 0),
        ("It isn't a cat.", "It is a cat.", 0),
        ("The answer is 7.", "So the answer is 7.", 1),
    ],
)
def test_digits_and_short_words_claim_something_too(one: str, other: str, recurring: int) -> None:
    found = made({1: [one, other]}, {(1, k): [1, 0] for k in range(2)}).positions[0]
    assert found.recurring == recurring
    assert len(found.claims) == 2 - recurring


def test_what_every_reading_says_claims_nothing() -> None:
    texts = {n: [f"The final token: {word}."] * 2 for n, word in enumerate(["cats", "dogs", "mice", "owls"])}
    found = made(texts, {(n, k): [1, 0] for n in range(4) for k in range(2)})
    for position in found.positions:
        assert (position.recurring, position.recurring_other) == (1, 0)


def test_one_reading_a_token_has_nothing_to_agree_with() -> None:
    with pytest.raises(Conflict, match="Ask for several samples"):
        made({1: [CATS]}, {(1, 0): [1, 0]})
    with pytest.raises(Conflict, match="Position 2 has"):
        made({1: [CATS, CATS], 2: [CATS]}, {(1, 0): [1, 0], (1, 1): [1, 0], (2, 0): [1, 0]}, position=2)


@pytest.mark.anyio
async def test_over_http_one_position_or_all(app: FastAPI, client: httpx.AsyncClient) -> None:
    request = {"text": "cats purr", "verbalise": {"samples": 3}}
    id = (await done(app, client, request))["id"]
    every = (await client.get(f"/api/analyses/{id}/agreement")).json()
    assert [p["position"] for p in every["positions"]] == list(range(9))
    one = (await client.get(f"/api/analyses/{id}/agreement?position=4")).json()
    assert one["positions"] == [every["positions"][4]]
    assert every["summary"]["n"] == 8  # position 0 is a sink
    single = (await done(app, client, {"text": "cats"}))["id"]
    problem(await client.get(f"/api/analyses/{single}/agreement"), 409)
