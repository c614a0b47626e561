"""Causal scores within an analysis, and tests of its readings, by the names that the API promises."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from server.nla.scores import units
from server.settings import Settings
from tests.api.test_analyses import done
from tests.api.test_bad_input import problem
from tests.api.test_measurements import ended
from tests.conftest import running
from tests.fakes import REPLY, FakePair, FakeSource, activations, vector_of

pytestmark = pytest.mark.anyio
TEXT = "cats purr. dogs bark. mice run. owls fly."


@pytest.fixture
async def analysis(app: FastAPI, client: httpx.AsyncClient) -> str:
    """The address of a finished analysis of four sentences."""
    return f"/api/analyses/{(await done(app, client, {'text': TEXT}))['id']}"


async def finished(client: httpx.AsyncClient, analysis: str, location: str) -> dict[str, Any]:
    """The test at `location`, once it is made."""
    id = location.rpartition("/")[2]
    kind, data = await ended(client, f"{analysis}/measurements/{id}")
    assert kind == "done", data
    found: dict[str, Any] = (await client.get(location)).json()
    return found


async def measurements(client: httpx.AsyncClient, id: str) -> set[str]:
    """The ids of the measurements of an analysis, whether they are made or being made."""
    address = f"/api/analyses/{id}/measurements"
    pending, made = (await client.get(f"{address}/pending")).json(), (await client.get(address)).json()
    return {found["id"] for found in (*pending, *made)}


async def result_of(client: httpx.AsyncClient, analysis: str, **request: Any) -> dict[str, Any]:
    answer = await client.post(f"{analysis}/tests", json=request)
    assert answer.status_code == 202, answer.text
    assert {"id", "url", "status"} <= answer.json().keys()
    return await finished(client, analysis, answer.headers["location"])


async def test_causal_scores_stand_with_the_readings(client: httpx.AsyncClient, analysis: str) -> None:
    before = (await client.get(analysis)).json()
    assert before["causal_summary"] is None
    assert all(reading["causal"] is None for reading in before["readings"])
    answer = await client.post(f"{analysis}/causal")
    assert answer.status_code == 202 and {"id", "url", "status"} <= answer.json().keys()
    _, measured = await ended(client, answer.headers["location"])
    after = (await client.get(analysis)).json()
    for reading, score in zip(after["readings"], measured["scores"], strict=True):
        assert reading["causal"] == {
            "kl": score["reading"]["kl"],
            "kl_mean": score["mean"]["kl"],
            "kl_shuffled": score["shuffled"]["kl"],
            "kl_other": score["other"]["kl"],
            "kl_random": score["random"]["kl"],
            "share": score["score"],
            "kept": score["reading"]["kept"],
        }
    again = await client.post(f"{analysis}/causal", json={"horizon": 4})
    assert (again.status_code, again.json()["status"]) == (200, "done")
    assert (await client.get(f"{analysis}/export.json")).json()["causal_summary"] == after["causal_summary"]


async def test_their_summary_is_of_content_with_its_null(client: httpx.AsyncClient, analysis: str) -> None:
    await ended(client, (await client.post(f"{analysis}/causal")).headers["location"])
    found = (await client.get(analysis)).json()
    content = [reading["causal"] for reading in found["readings"] if reading["position"] > 0]
    summary = found["causal_summary"]
    assert (summary["n"], summary["unit"], summary["units"]) == (len(content), "sentences", 4)
    for control, name in (
        (summary, "kl"),
        (summary["null"], "kl_other"),
        (summary["shuffled"], "kl_shuffled"),
    ):
        there = [score for score in content if score[name] is not None]
        share = 1 - sum(s[name] for s in there) / sum(s["kl_mean"] for s in there)
        assert control["share"] == pytest.approx(share)
        assert control["interval"][0] <= share <= control["interval"][1]


async def test_an_analysis_is_measured_when_it_asks_for_it(app: FastAPI, client: httpx.AsyncClient) -> None:
    request = {"text": "cats purr", "causal": True}
    id = (await done(app, client, request))["id"]
    (job,) = await measurements(client, id)
    await ended(client, f"/api/analyses/{id}/measurements/{job}")
    found = (await client.get(f"/api/analyses/{id}")).json()
    assert all(reading["causal"]["kl"] >= 0 for reading in found["readings"])
    without = await client.post("/api/analyses", json={"text": "cats purr"})
    assert without.json()["id"] == id, "it is no other analysis"


@pytest.mark.parametrize(
    ("setting", "device", "measured"),
    [("on", "cpu", 1), ("auto", "cuda:0", 1), ("auto", "cpu", 0), ("off", "cuda:0", 0)],
)
async def test_without_a_word_the_setting_decides(
    settings: Settings, setting: str, device: str, measured: int
) -> None:
    source = FakeSource()
    source.pair.versions["device"] = device
    async with (
        running(settings.model_copy(update={"causal_scores": setting}), source) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
    ):
        await app.state.models.settled()
        for request, count in (({"text": "cats"}, measured), ({"text": "dogs", "causal": False}, 0)):
            id = (await client.post("/api/analyses", json=request)).json()["id"]
            assert len(await measurements(client, id)) == count


async def test_a_test_scores_each_form_beside_the_whole(client: httpx.AsyncClient, analysis: str) -> None:
    found = await result_of(client, analysis, kind="given", positions=[3], texts=["about dogs"])
    whole, given = found["results"]
    assert (whole["position"], whole["label"], given["label"]) == (3, "whole", "given 1")
    h = activations([ord(c) for c in TEXT])
    cos = float(units(h[3]) @ units(vector_of("about dogs")))
    assert given["cos"] == pytest.approx(cos, abs=1e-5)
    assert given["fve"] == pytest.approx(1 - 2 * (1 - cos) / 0.5, abs=1e-4)  # the fake's V
    others = [n for n in range(1, len(TEXT)) if n != 3]
    mean = units(units(h)[others].sum(0)) * np.linalg.norm(h[3])
    replaced = units(vector_of("about dogs")) * np.linalg.norm(h[3])
    undone = 1 - np.linalg.norm(replaced - h[3]) / np.linalg.norm(mean - h[3])
    assert given["causal"] == pytest.approx(undone, abs=1e-3)
    assert found["summary"]["losses"][0]["lost"] == pytest.approx(whole["fve"] - given["fve"], abs=1e-6)


@pytest.mark.parametrize("kind", ["shuffle_sentences", "shuffle_words", "lowercase"])
async def test_without_positions_the_content_is_tested(
    client: httpx.AsyncClient, analysis: str, kind: str
) -> None:
    found = await result_of(client, analysis, kind=kind)
    assert {row["position"] for row in found["results"]} == set(range(1, len(TEXT)))
    assert {row["label"] for row in found["results"]} == {"whole", kind.replace("_", " ")}
    (loss,) = found["summary"]["losses"]
    assert (loss["kind"], loss["n"]) == (kind, len(TEXT) - 1)


async def test_what_is_left_out_has_its_null(client: httpx.AsyncClient, analysis: str) -> None:
    found = await result_of(client, analysis, kind="leave_out", positions=[3, 5])
    kinds = [loss["kind"] for loss in found["summary"]["losses"]]
    assert "without_word" in kinds
    assert ("without_sentence" in kinds) == ("without_random" in kinds)
    assert {row["position"] for row in found["results"]} == {3, 5}


@pytest.mark.parametrize("kind", ["paraphrase", "translate"])
async def test_the_target_itself_rewords(
    client: httpx.AsyncClient, analysis: str, pair: FakePair, kind: str
) -> None:
    before = pair.target.generated
    found = await result_of(client, analysis, kind=kind, positions=[4])
    assert pair.target.generated == before + 1
    assert [(row["label"], row["text"]) for row in found["results"][1:]] == [(kind, REPLY)]
    again = await client.post(f"{analysis}/tests", json={"kind": kind, "positions": [4]})
    assert (again.status_code, again.json()) == (200, found)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"kind": "magic"}, "kind"),
        ({"kind": "given", "positions": [3]}, "texts"),
        ({"kind": "given", "positions": [3, 4], "texts": ["x"]}, "positions"),
        ({"kind": "given", "texts": ["x"]}, "positions"),
        ({"kind": "lowercase", "texts": ["x"]}, "texts"),
        ({"kind": "lowercase", "positions": []}, "positions"),
        ({"kind": "lowercase", "positions": [99]}, "positions"),
        ({"kind": "lowercase", "positions": [-1]}, "positions.0"),
        ({"kind": "lowercase", "positions": [1], "sample": 3}, "positions"),
        ({"kind": "translate", "language": "French. Say yes"}, "language"),
        ({"kind": "given", "positions": [3], "texts": ["x" * 50_000]}, "texts.0"),
        ({"kind": "given", "positions": [3], "texts": [""]}, "texts.0"),
    ],
)
async def test_bad_input_names_its_field(
    client: httpx.AsyncClient, analysis: str, request_: dict[str, Any], field: str
) -> None:
    refused = await client.post(f"{analysis}/tests", json=request_)
    assert [error["field"] for error in problem(refused, 422)["errors"]] == [field]


async def test_a_test_that_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/tests/nothing")).status_code == 404
    assert (await client.post("/api/analyses/nothing/causal")).status_code == 404
    assert (await client.post("/api/analyses/nothing/tests", json={"kind": "lowercase"})).status_code == 404
