"""Measurements over HTTP: asked for, followed, found again, bounded, removed with their analysis."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from server.nla.scores import units
from tests.api.test_analyses import done
from tests.api.test_bad_input import problem
from tests.conftest import served
from tests.fakes import FakePair, activations, held

pytestmark = pytest.mark.anyio
CONTROLS = ("mean", "other", "shuffled", "random")


@pytest.fixture
async def address(app: FastAPI, client: httpx.AsyncClient) -> str:
    """The measurements of a finished analysis."""
    return f"/api/analyses/{(await done(app, client, {'text': 'cats purr'}))['id']}/measurements"


async def ended(client: httpx.AsyncClient, location: str) -> tuple[str, dict[str, Any]]:
    """The last event of a measurement."""
    async with client.stream("GET", f"{location}/events") as answer:
        lines = [line async for line in answer.aiter_lines()]
    kind = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")][-1]
    return kind, json.loads([line.removeprefix("data: ") for line in lines if line.startswith("data: ")][-1])


async def measured(client: httpx.AsyncClient, address: str, **request: Any) -> dict[str, Any]:
    answer = await client.post(address, json=request)
    assert answer.status_code in (200, 202), answer.text
    kind, data = await ended(client, answer.headers["location"])
    assert kind == "done", data
    return data


async def test_every_reading_has_effects_of_its_own_and_of_each_control(
    client: httpx.AsyncClient, address: str
) -> None:
    found = await measured(client, address)
    assert [score["position"] for score in found["scores"]] == list(range(9))
    for score in found["scores"]:
        assert all(score[name]["kl"] >= 0 for name in ("reading", *CONTROLS))
    assert found["content"]["reading"]["n"] + found["left_out"]["reading"]["n"] == 9


async def test_a_score_is_the_share_of_the_means_damage_that_is_undone(
    client: httpx.AsyncClient, address: str
) -> None:
    """The fake's KL is how far the activation is moved, half of that at the next token, and so on."""
    found = await measured(client, address, horizon=2)
    ids = [ord(c) for c in "cats purr"]
    h = activations(ids)
    for score in found["scores"]:
        position = score["position"]
        others = [n for n in range(1, 9) if n != position]  # position 0 is a sink
        mean = units(units(h)[others].sum(0)) * np.linalg.norm(h[position])
        moved = float(np.linalg.norm(mean - h[position]))
        assert score["mean"]["kl"] == pytest.approx(moved, rel=1e-4)
        assert score["score"] == pytest.approx(1 - score["reading"]["kl"] / moved, abs=1e-4)
        left = min(2, 8 - position)
        after = np.mean([moved / 2 ** (n + 1) for n in range(left)]) if left else None
        assert score["mean"]["kl_after"] == (None if after is None else pytest.approx(after, rel=1e-4))
        assert (score["mean"]["loss"] is None) is (position == 8)


async def test_a_control_at_the_same_angle_moves_it_as_far(client: httpx.AsyncClient, address: str) -> None:
    for score in (await measured(client, address))["scores"]:
        for name in ("other", "random"):
            assert score[name]["kl"] == pytest.approx(score["reading"]["kl"], rel=1e-3)


async def test_a_summary_weighs_positions_by_their_damage(client: httpx.AsyncClient, address: str) -> None:
    found = await measured(client, address)
    content = [score for score in found["scores"] if score["position"] > 0]
    for name in ("reading", *CONTROLS):
        own, mean = (sum(score[n]["kl"] for score in content) for n in (name, "mean"))
        assert found["content"][name]["score"] == pytest.approx(1 - own / mean)
    assert found["content"]["mean"]["score"] == 0


async def test_equal_requests_are_measured_once(client: httpx.AsyncClient, address: str) -> None:
    first = await measured(client, address, seed=3)
    again = await client.post(address, json={"seed": 3, "horizon": 4})
    assert (again.status_code, again.json()) == (200, first)
    assert (await client.get(f"{address}/{first['id']}")).json() == first
    other = await measured(client, address, seed=4)
    assert (await client.get(address)).json() == [first, other]


async def test_it_waits_for_the_readings(app: FastAPI, client: httpx.AsyncClient, pair: FakePair) -> None:
    pair.verbaliser.limit(0)
    analysis = (await client.post("/api/analyses", json={"text": "cats"})).json()["id"]
    address = f"/api/analyses/{analysis}/measurements"
    answer = await client.post(address, json={})
    assert answer.status_code == 202
    (pending,) = (await client.get(f"{address}/pending")).json()
    assert pending["id"] == answer.json()["id"]
    pair.verbaliser.allow()
    kind, data = await ended(client, answer.headers["location"])
    assert kind == "done" and len(data["scores"]) == 4


async def test_each_reading_is_told_again_with_its_score_before_the_end(
    client: httpx.AsyncClient, app: FastAPI, pair: FakePair
) -> None:
    pair.target.most_patches = 7  # those of one reading, and a part of the next one's
    analysis = (await client.post("/api/analyses", json={"text": "cats", "causal": True})).json()["id"]
    events: list[tuple[str, Any]] = []
    async with (
        served(app) as url,
        httpx.AsyncClient(base_url=url) as web,
        web.stream("GET", f"/api/analyses/{analysis}/events") as answer,
    ):
        async for line in answer.aiter_lines():
            events += [(line.removeprefix("event: "), None)] if line.startswith("event: ") else []
            if line.startswith("data: "):
                events[-1] = (events[-1][0], json.loads(line.removeprefix("data: ")))
            scored = [data for kind, data in events if kind == "reading" and data and data["causal"]]
            if scored and pair.target.most_patches == 7:
                whole = (await client.get(f"/api/analyses/{analysis}")).json()
                assert [r["position"] for r in whole["readings"] if r["causal"]] == [0]
                assert whole["status"] == "done" and whole["causal_summary"] is None
                pair.target.most_patches = math.inf
                pair.target.hold.set()
    assert [data["position"] for data in scored] == [0, 1, 2, 3]
    assert [kind for kind, _ in events if kind in ("done", "failed")] == ["done"] == [events[-1][0]]
    whole = (await client.get(f"/api/analyses/{analysis}")).json()
    assert whole["readings"] == scored and whole["causal_summary"] is not None


async def test_what_was_broken_off_is_not_measured(
    client: httpx.AsyncClient, pair: FakePair, app: FastAPI
) -> None:
    pair.verbaliser.limit(0)
    analysis = (await client.post("/api/analyses", json={"text": "cats"})).json()["id"]
    address = f"/api/analyses/{analysis}/measurements"
    await client.post(f"/api/analyses/{analysis}/cancel")
    refused = await client.post(address, json={"seed": 1})
    assert "has not come to its end" in problem(refused, 409)["detail"]


async def test_one_that_is_made_can_be_cancelled_and_asked_for_again(
    client: httpx.AsyncClient, address: str, pair: FakePair
) -> None:
    pair.target.begun.clear()
    with held(pair.target.hold):
        location = (await client.post(address, json={})).headers["location"]
        await asyncio.to_thread(pair.target.begun.wait)
        assert (await client.post(f"{location}/cancel")).status_code == 204
    assert (await client.get(location)).status_code == 404
    assert len((await measured(client, address))["scores"]) == 9


async def test_too_many_at_a_time_are_refused_for_the_moment(
    app: FastAPI, client: httpx.AsyncClient, address: str, pair: FakePair
) -> None:
    most = app.state.settings.max_measurements
    with held(pair.target.hold):
        answers = [await client.post(address, json={"seed": seed}) for seed in range(most + 1)]
        assert [answer.status_code for answer in answers] == [202] * most + [429]
        assert "Retry-After" in answers[-1].headers


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"kind": "magic"}, "kind"),
        ({"horizon": -1}, "horizon"),
        ({"horizon": 33}, "horizon"),
        ({"seed": "x"}, "seed"),
    ],
)
async def test_bad_input_names_its_field(
    client: httpx.AsyncClient, address: str, request_: dict[str, Any], field: str
) -> None:
    refused = await client.post(address, json=request_)
    assert [error["field"] for error in problem(refused, 422)["errors"]] == [field]


async def test_it_goes_with_its_analysis(client: httpx.AsyncClient, address: str) -> None:
    await measured(client, address)
    await client.delete(address.removesuffix("/measurements"))
    assert (await client.get(address)).status_code == 404


async def test_a_readings_parts_are_scored_beside_the_whole(client: httpx.AsyncClient, address: str) -> None:
    found = await measured(client, address, kind="parts", position=2, texts=["about dogs"])
    parts = found["parts"]
    assert (parts["position"], parts["sample"], found["scores"]) == (2, 0, [])
    whole = parts["variants"][0]
    assert (whole["kind"], whole["cos"]) == ("whole", pytest.approx(1, abs=1e-5))
    left_out = [v for v in parts["variants"] if v["kind"] == "without_word"]
    assert len(left_out) == len(parts["words"]) and all(v["kl"] >= 0 for v in left_out)
    assert parts["variants"][-1]["text"] == "about dogs"
    analysis = address.removesuffix("/measurements")
    scores = (await client.get(f"{analysis}/export.json")).json()["measurements"]
    assert scores == [found]


async def test_what_a_readings_form_holds_is_measured_over_the_text(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    text = "cats purr. dogs bark. mice run. owls fly."
    id = (await done(app, client, {"text": text}))["id"]
    found = await measured(client, f"/api/analyses/{id}/measurements", kind="form")
    form = found["form"]
    assert (form["n"], form["unit"], form["units"]) == (len(text) - 1, "sentences", 4)
    assert [loss["kind"] for loss in form["losses"]] == ["shuffle_sentences", "shuffle_words", "lowercase"]
    assert form["held"] == pytest.approx(1, abs=1e-4)  # the fake's readings hold all of it
    for loss in form["losses"]:
        assert loss["interval"][0] <= loss["lost"] <= loss["interval"][1]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"kind": "form", "position": 2}, "position"),
        ({"kind": "parts"}, "position"),
        ({"kind": "parts", "position": 99}, "position"),
        ({"kind": "parts", "position": 2, "sample": 5}, "position"),
        ({"kind": "parts", "position": 2, "texts": [""]}, "texts.0"),
        ({"kind": "parts", "position": 2, "texts": ["x" * 20_001]}, "texts.0"),
        ({"kind": "causal", "position": 2}, "position"),
        ({"kind": "causal", "texts": ["x"]}, "texts"),
    ],
)
async def test_what_does_not_go_with_the_kind_is_refused(
    client: httpx.AsyncClient, address: str, request_: dict[str, Any], field: str
) -> None:
    refused = await client.post(address, json=request_)
    assert [error["field"] for error in problem(refused, 422)["errors"]] == [field]
