from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.api.test_analyses import done
from tests.api.test_bad_input import problem

pytestmark = pytest.mark.anyio
EDIT = {"position": 2, "text": "about dogs"}


@pytest.fixture
async def address(app: FastAPI, client: httpx.AsyncClient) -> str:
    """The interventions of a finished analysis."""
    return f"/api/analyses/{(await done(app, client, {'text': 'cats'}))['id']}/interventions"


async def made(client: httpx.AsyncClient, address: str, **more: Any) -> dict[str, Any]:
    answer = await client.post(address, json={**EDIT, **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_it_is_201_with_its_address_and_200_the_second_time(
    client: httpx.AsyncClient, address: str
) -> None:
    first = await client.post(address, json=EDIT)
    again = await client.post(address, json=EDIT)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.headers["location"] == again.headers["location"] == f"{address}/{first.json()['id']}"
    kept = await client.get(first.headers["location"])
    assert first.json() == again.json() == kept.json()


async def test_the_promised_fields_are_there(client: httpx.AsyncClient, address: str) -> None:
    found = await made(client, address, targets=[" dog"])
    assert {"id", "url", "kl", "cos_original", "before", "after", "controls", "versions"} <= set(found)
    for said in (found["before"], found["after"]):
        assert set(said) == {"top", "targets", "text", "ended", "tokens"}
        assert [type(part) for part in said["top"][0]] == [int, str, float]
        assert "".join(text for _, text in said["tokens"]) == said["text"]
        named = {"text", "id", "token", "parts", "ids", "count", "variant"}
        assert set(said["targets"][0]) == named | {"prob", "rank"}
    assert [control["kind"] for control in found["controls"]] == ["random", "unedited", "other"]
    assert {"n", "kl", "interval", "kept", "above", "probs"} <= set(found["controls"][0])


async def test_they_are_listed_and_narrowed_to_a_position(client: httpx.AsyncClient, address: str) -> None:
    assert (await client.get(address)).json() == []
    found = [await made(client, address, position=position) for position in (2, 1)]
    assert (await client.get(address)).json() == found
    assert (await client.get(address, params={"position": 1})).json() == found[1:]
    assert (await client.get(address, params={"position": 0})).json() == []


async def test_one_can_be_removed(client: httpx.AsyncClient, address: str) -> None:
    place = f"{address}/{(await made(client, address))['id']}"
    assert (await client.delete(place)).status_code == 204
    problem(await client.get(place), 404)
    problem(await client.delete(place), 404)
    await made(client, address)


@pytest.mark.parametrize("id", ["nobody", "%00", "%ff%fe", "%ed%a0%80"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_addresses_that_lead_nowhere(
    client: httpx.AsyncClient, address: str, method: str, id: str
) -> None:
    problem(await client.request(method, f"{address}/{id}"), 404)
    problem(await client.request(method, f"/api/analyses/{id}/interventions/{id}"), 404)


async def test_nothing_can_be_asked_of_an_unknown_analysis(client: httpx.AsyncClient) -> None:
    problem(await client.post("/api/analyses/nobody/interventions", json=EDIT), 404)
    problem(await client.get("/api/analyses/nobody/interventions"), 404)


@pytest.mark.parametrize("position", ["-1", "x", "1.5", "9" * 20])
async def test_a_position_to_list_is_a_number(client: httpx.AsyncClient, address: str, position: str) -> None:
    answer = await client.get(address, params={"position": position})
    assert problem(answer, 422)["errors"][0]["field"] == "position"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ('"position": -1', "position"),
        ('"position": 4', "position"),
        ('"position": 99999999999999999999', "position"),
        ('"position": null', "position"),
        ('"text": ""', "text"),
        ('"text": 7', "text"),
        ('"text": "half a pair \\ud800"', "text"),
        ('"text": "' + "x" * 20_001 + '"', "text"),
        ('"mode": "erase"', "mode"),
        ('"mode": "steer", "alpha": NaN', "alpha"),
        ('"mode": "steer", "alpha": 1e999', "alpha"),
        ('"mode": "steer", "alpha": 0', "alpha"),
        ('"mode": "steer", "delta": "up"', "delta"),
        ('"mode": "steer", "sample": 1', "delta"),
        ('"scope": "backwards"', "scope"),
        ('"targets": ["a", ""]', "targets.1"),
        ('"targets": ["\\udc00"]', "targets.0"),
        ('"targets": ["a", "b", "c", "d", "e", "f", "g"]', "targets"),
        ('"until": 1', "until"),
        ('"until": 4', "until"),
        ('"generate": {"max_new_tokens": 0}', "generate.max_new_tokens"),
        ('"generate": {"max_new_tokens": 99999}', "generate.max_new_tokens"),
        ('"seed": -1', "seed"),
        ('"gold": {"analysis": "nobody", "position": 0}', "gold.analysis"),
        ('"gold": {"analysis": "\\u0000", "position": 0}', "gold.analysis"),
        ('"gold": {"analysis": "nobody"}', "gold.position"),
        ('"alhpa": 1', "alhpa"),
    ],
)
async def test_what_is_not_taken_is_named(
    client: httpx.AsyncClient, address: str, more: str, field: str
) -> None:
    body = json.dumps(EDIT)[:-1] + f", {more}}}"  # of a name that comes twice the later one counts
    answer = await client.post(address, content=body, headers={"Content-Type": "application/json"})
    assert [error["field"] for error in problem(answer, 422)["errors"]] == [field]
