"""Notebooks over the API, on either database: what is put into them, changed, moved, refused and taken along."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from server.notebooks import service as notebooks_service
from tests.api.test_analyses import done
from tests.api.test_bad_input import problem
from tests.fakes import FakePair, held

pytestmark = pytest.mark.anyio


@pytest.fixture
async def analysis(app: FastAPI, client: httpx.AsyncClient) -> str:
    """A finished analysis of raw text: four tokens."""
    found: str = (await done(app, client, {"text": "cats"}))["id"]
    return found


@pytest.fixture
async def address(client: httpx.AsyncClient) -> str:
    """An empty notebook."""
    made = await client.post("/api/notebooks", json={"title": "  Cats and dogs "})
    assert made.status_code == 201
    return made.headers["location"]


async def put(client: httpx.AsyncClient, address: str, **entry: Any) -> dict[str, Any]:
    """An entry that was added."""
    made = await client.post(f"{address}/entries", json=entry)
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    assert (await client.get(made.headers["location"])).json() == found
    return found


async def order(client: httpx.AsyncClient, address: str) -> list[str]:
    """The entries' names, in their order."""
    return [entry["name"] for entry in (await client.get(address)).json()["entries"]]


async def edit_of(client: httpx.AsyncClient, analysis: str) -> str:
    made = await client.post(
        f"/api/analyses/{analysis}/interventions", json={"position": 2, "text": "about dogs"}
    )
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def word_of(client: httpx.AsyncClient, analysis: str, kind: str = "word") -> str:
    asked = {"kind": kind} | ({"word": "dog"} if kind == "word" else {})
    made = await client.post(f"/api/analyses/{analysis}/measurements", json=asked)
    id = str(made.json()["id"])
    async with client.stream("GET", f"/api/analyses/{analysis}/measurements/{id}/events") as events:
        async for _ in events.aiter_lines():
            pass
    return id


async def test_it_holds_what_was_put_there_in_order(
    client: httpx.AsyncClient, address: str, analysis: str
) -> None:
    empty = (await client.get(address)).json()
    assert (empty["title"], empty["count"], empty["entries"]) == ("Cats and dogs", 0, [])
    assert empty["url"] == f"/n/{empty['id']}"
    note = await put(client, address, name="First", note="# Why\nIt *says* cats.\x00")
    token = await put(client, address, analysis=analysis, position=3, name="Second")
    edit = await put(client, address, analysis=analysis, edit=await edit_of(client, analysis), name="Third")
    word = await put(client, address, analysis=analysis, measurement=await word_of(client, analysis))
    assert [note["kind"], token["kind"], edit["kind"], word["kind"]] == ["note", "token", "edit", "word"]
    assert note["note"] == "# Why\nIt *says* cats.\x00"
    assert token["url"] == f"{empty['url']}#{token['id']}"
    whole = (await client.get(address)).json()
    assert (whole["count"], whole["entries"]) == (4, [note, token, edit, word])
    assert whole["changed"] == word["changed"] > whole["created"]


async def test_an_entry_is_renamed_rewritten_moved_and_removed(
    client: httpx.AsyncClient, address: str
) -> None:
    a, b, c = [await put(client, address, name=name) for name in "abc"]
    entries = f"{address}/entries"
    changed = await client.patch(f"{entries}/{b['id']}", json={"name": " B ", "note": "new"})
    assert (changed.json()["name"], changed.json()["note"]) == ("B", "new")
    await client.patch(f"{entries}/{c['id']}", json={"place": 0})
    assert await order(client, address) == ["c", "a", "B"]
    await client.patch(f"{entries}/{c['id']}", json={"place": 100})
    assert await order(client, address) == ["a", "B", "c"]
    assert (await client.delete(f"{entries}/{a['id']}")).status_code == 204
    await put(client, address, name="d")
    await client.patch(f"{entries}/{c['id']}", json={"place": 0})
    assert await order(client, address) == ["c", "B", "d"]
    problem(await client.delete(f"{entries}/{a['id']}"), 404)
    problem(await client.patch(f"{entries}/{a['id']}", json={"name": "x"}), 404)


async def test_nobody_overwrites_what_somebody_else_has_just_written(
    client: httpx.AsyncClient, address: str
) -> None:
    entry = await put(client, address, note="mine")
    there = f"{address}/entries/{entry['id']}"
    first = await client.patch(there, json={"note": "hers", "seen": entry["changed"]})
    assert first.status_code == 200
    said = problem(await client.patch(there, json={"note": "his", "seen": entry["changed"]}), 409)
    assert "Somebody has changed this entry" in said["detail"]
    assert (await client.get(there)).json()["note"] == "hers"
    again = await client.patch(there, json={"note": "his", "seen": first.json()["changed"]})
    assert again.json()["note"] == "his"


async def test_the_list_has_those_that_were_changed_last(client: httpx.AsyncClient) -> None:
    made = [(await client.post("/api/notebooks", json={"title": t})).json()["id"] for t in "abc"]
    await put(client, f"/api/notebooks/{made[0]}", note="x")
    await client.patch(f"/api/notebooks/{made[1]}", json={"title": "B"})
    listed = (await client.get("/api/notebooks")).json()
    assert [(each["title"], each["count"]) for each in listed] == [("B", 0), ("a", 1), ("c", 0)]
    assert "entries" not in listed[0]
    page = (await client.get("/api/notebooks", params={"limit": 1, "before": made[1]})).json()
    assert [each["title"] for each in page] == ["a"]
    assert (await client.delete(f"/api/notebooks/{made[1]}")).status_code == 204
    problem(await client.get(f"/api/notebooks/{made[1]}"), 404)
    problem(await client.delete(f"/api/notebooks/{made[1]}"), 404)
    problem(await client.patch(f"/api/notebooks/{made[1]}", json={"title": "x"}), 404)
    problem(await client.post(f"/api/notebooks/{made[1]}/entries", json={"note": "x"}), 404)


@pytest.mark.parametrize(
    ("entry", "field", "reason"),
    [
        ({}, "note", "Write something"),
        ({"note": "  "}, "note", "Write something"),
        ({"analysis": "ID"}, "position", "Say what of the analysis"),
        ({"position": 1}, "analysis", "Say of which analysis"),
        ({"analysis": "ID", "position": 1, "edit": "x"}, "edit", "one thing"),
        ({"analysis": "ID", "study": "x"}, "study", "one thing"),
        ({"analysis": "ID", "position": 4}, "position", "4 tokens"),
        ({"analysis": "ID", "edit": "nosuch"}, "edit", "no edit"),
        ({"analysis": "ID", "measurement": "nosuch"}, "measurement", "no measurement"),
        ({"analysis": "nosuch", "position": 1}, "position", "nosuch"),
        ({"study": "nosuch"}, "study", "no study"),
        ({"note": "x" * 20_001}, "note", "20000"),
        ({"name": "x" * 201}, "name", "200"),
        ({"notes": "x"}, "notes", "not permitted"),
    ],
)
async def test_what_cannot_be_put_there_is_refused(
    client: httpx.AsyncClient, address: str, analysis: str, entry: dict[str, Any], field: str, reason: str
) -> None:
    sent = {name: analysis if value == "ID" else value for name, value in entry.items()}
    said = problem(await client.post(f"{address}/entries", json=sent), 422)
    assert said["errors"][0]["field"] == field
    assert reason in said["errors"][0]["detail"]
    assert await order(client, address) == []


@pytest.mark.parametrize("title", ["", " \n", "x" * 201])
async def test_a_title_says_something(client: httpx.AsyncClient, title: str) -> None:
    said = problem(await client.post("/api/notebooks", json={"title": title}), 422)
    assert said["errors"][0]["field"] == "title"


async def test_causal_scores_are_no_entry(client: httpx.AsyncClient, address: str, analysis: str) -> None:
    id = await word_of(client, analysis, "causal")
    said = problem(
        await client.post(f"{address}/entries", json={"analysis": analysis, "measurement": id}), 422
    )
    assert said["errors"][0]["field"] == "measurement"


async def test_one_that_is_full_takes_no_more(
    client: httpx.AsyncClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks_service, "ENTRIES", 2)
    for _ in range(2):
        await put(client, address, note="x")
    said = problem(await client.post(f"{address}/entries", json={"note": "x"}), 409)
    assert "2 entries" in said["detail"]


async def test_the_numbers_go_with_the_notes(
    client: httpx.AsyncClient, address: str, analysis: str, pair: FakePair
) -> None:
    await put(client, address, note="a note")
    await put(client, address, analysis=analysis, position=3)
    await put(client, address, analysis=analysis, edit=await edit_of(client, analysis))
    await put(client, address, analysis=analysis, measurement=await word_of(client, analysis))
    answer = await client.get(f"{address}/export.json")
    assert "attachment" in answer.headers["content-disposition"]
    found = answer.json()
    assert found["notebook"] == str(client.base_url.join((await client.get(address)).json()["url"]))
    note, token, edit, word = [entry["shows"] for entry in found["entries"]]
    whole = (await client.get(f"/api/analyses/{analysis}")).json()
    assert note is None
    assert token["readings"] == [r for r in whole["readings"] if r["position"] == 3]
    assert (token["token"]["text"], token["text"], token["layer"]) == ("s", "cats", whole["layer"])
    assert edit["before"] and edit["controls"]
    assert word["word"]["layers"]


async def test_an_entry_outlives_what_it_shows(
    client: httpx.AsyncClient, address: str, analysis: str
) -> None:
    await put(client, address, analysis=analysis, position=3, note="It was here.")
    await client.delete(f"/api/analyses/{analysis}")
    entry = (await client.get(address)).json()["entries"][0]
    assert (entry["analysis"], entry["note"]) == (analysis, "It was here.")
    assert (await client.get(f"{address}/export.json")).json()["entries"][0]["shows"] is None


async def test_an_edit_that_is_being_made_can_be_put_there(
    client: httpx.AsyncClient, address: str, analysis: str, pair: FakePair
) -> None:
    with held(pair.target.hold):
        begun = await client.post(
            f"/api/analyses/{analysis}/interventions",
            json={"position": 2, "text": "about dogs"},
            headers={"prefer": "respond-async"},
        )
        entry = await put(client, address, analysis=analysis, edit=begun.json()["id"])
        assert entry["kind"] == "edit"
        assert (await client.get(f"{address}/export.json")).json()["entries"][0]["shows"] is None
