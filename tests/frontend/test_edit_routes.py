"""Edits over HTTP, on a fake pair."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI

from tests.frontend.parsed import one, words
from tests.frontend.test_routes import finished, send

pytestmark = pytest.mark.anyio

EDIT = {"text": "Something else.", "mode": "replace", "alpha": "1", "delta": "original", "scope": "position"}
SCRIPTED = {"hx-request": "true"}


async def edit(
    client: httpx.AsyncClient, address: str, scripted: bool = False, **fields: str
) -> httpx.Response:
    headers = {"content-type": "application/x-www-form-urlencoded"} | (SCRIPTED if scripted else {})
    return await client.post(f"{address}/edit?t=3", content=urlencode(EDIT | fields), headers=headers)


@pytest.fixture
async def address(client: httpx.AsyncClient) -> str:
    """A finished analysis."""
    address = (await send(client)).headers["location"]
    await finished(client, address)
    return str(address)


async def test_without_scripts_an_edit_leads_to_its_permalink(
    client: httpx.AsyncClient, address: str
) -> None:
    answer = await edit(client, address)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{address}?t=3&edit=")
    soup = BeautifulSoup((await client.get(answer.headers["location"])).text, "html.parser")
    assert words(one(soup, ".edited .verdict")).startswith("After ")
    assert one(soup, "#words-3").get_text().strip() == "Something else."


async def test_an_example_opens_at_its_edit_and_a_prompt_of_ones_own_does_not(
    client: httpx.AsyncClient,
) -> None:
    first = (await send(client, example="capital")).headers["location"]
    await finished(client, first)
    edited = (await edit(client, first)).headers["location"]
    assert (await send(client, example="capital")).headers["location"] == edited
    asked = (await client.get(f"/api/analyses/{first.removeprefix('/a/')}")).json()["request"]
    assert (await send(client, mode="raw", prompt=asked["text"])).headers["location"] == first


async def test_without_scripts_the_address_keeps_a_draft(client: httpx.AsyncClient, address: str) -> None:
    soup = BeautifulSoup((await client.get(f"{address}?t=3")).text, "html.parser")
    button = one(soup, ".edit noscript button")
    assert (button["formmethod"], button["name"], button["value"]) == ("get", "t", "3")
    fields = EDIT | {"mode": "steer", "alpha": "much", "watch": "Rome", "target-0": " Paris"}
    answer = await client.get(f"{address}/edit", params=fields | {"t": "3"})
    assert answer.status_code == 200
    form = one(BeautifulSoup(answer.text, "html.parser"), ".edits details[open] .edit")
    assert one(form, "#words-3").get_text().strip() == EDIT["text"]
    assert one(form, "[name=mode] [selected]")["value"] == "steer"
    assert (one(form, "[name=alpha]")["value"], one(form, "[name=watch]")["value"]) == ("much", "Rome")
    assert [box["value"] for box in form.select("[name^=target-][checked]")] == [" Paris"]
    assert not form.select(".error")
    assert (await client.get(f"{address}/edit?t=3")).headers["location"] == f"{address}?t=3"


async def test_with_scripts_it_comes_alone_and_the_address_follows(
    client: httpx.AsyncClient, address: str
) -> None:
    answer = await edit(client, address, scripted=True)
    assert answer.status_code == 200
    soup = BeautifulSoup(answer.text, "html.parser")
    assert [section["id"] for section in soup.select("section[id]")] == ["edits-3"]
    assert answer.headers["hx-push-url"] == one(soup, ".earlier [aria-current]")["href"]
    targets = [partial["hx-target"] for partial in soup.select("hx-partial")]
    assert targets == ["#tok-3", r"#stream[hx-sse\:connect]"]  # of a page that listens


@pytest.mark.parametrize("scripted", [True, False])
async def test_what_cannot_be_is_told_and_what_was_typed_stays(
    client: httpx.AsyncClient, address: str, scripted: bool
) -> None:
    answer = await edit(client, address, scripted=scripted, mode="steer", alpha="much", text="My words.")
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    assert words(one(soup, "#edit-alpha-3")) == "Give a number, such as 1 or 0.5."
    assert one(soup, "#words-3").get_text().strip() == "My words."
    assert bool(soup.select("h1")) is not scripted


async def test_what_the_server_refuses_is_told_beside_its_field(
    client: httpx.AsyncClient, address: str
) -> None:
    answer = await edit(client, address, mode="steer", alpha="0")
    assert answer.status_code == 422
    assert words(one(BeautifulSoup(answer.text, "html.parser"), "#edit-alpha-3"))


async def test_a_pair_that_is_not_here_is_told_in_the_form(
    app: FastAPI, client: httpx.AsyncClient, address: str
) -> None:
    app.state.models.names = ["another"]
    answer = await edit(client, address)
    assert answer.status_code == 409
    assert "fake" in words(one(BeautifulSoup(answer.text, "html.parser"), ".edits [role=alert]"))


async def test_going_to_another_token_leaves_the_edit(client: httpx.AsyncClient, address: str) -> None:
    edited = (await edit(client, address)).headers["location"]
    page = {**SCRIPTED, "hx-current-url": f"http://127.0.0.1:8000{edited}"}
    answer = await client.get(f"{address}/panel?t=4", headers=page)
    assert answer.headers["hx-push-url"] == f"{address}?t=4"
    assert BeautifulSoup(answer.text, "html.parser").select(".edited") == []


async def test_an_edit_while_readings_come_has_the_stream_follow_it(
    client: httpx.AsyncClient, address: str, app: FastAPI
) -> None:
    app.state.models.resident().verbaliser.limit(4)
    running = (await send(client, prompt="Another")).headers["location"]
    found = {}
    async for event in app.state.analyses.events(running.removeprefix("/a/")):
        found[event.kind] = event
        if event.kind == "reading" and event.data.cos is not None:
            break
    place = found["reading"].data.position
    headers = {"content-type": "application/x-www-form-urlencoded", **SCRIPTED}
    answer = await client.post(f"{running}/edit?t={place}", content=urlencode(EDIT), headers=headers)
    made = answer.headers["hx-push-url"].rpartition("=")[2]
    assert f"/stream?t={place}&amp;edit={made}" in answer.text
