"""The tools of notebooks: what an agent keeps is what a person reads."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from mcp import Client

from server.mcp.answers import LIMIT
from tests.api.test_analyses import done
from tests.mcp.asking import call, refusal

pytestmark = pytest.mark.anyio


@pytest.fixture
async def known(app: FastAPI, client: httpx.AsyncClient) -> dict[str, Any]:
    """A finished analysis, by the JSON API."""
    return await done(app, client, {"text": "cats"})


async def test_findings_are_kept_and_read(
    asker: Client, client: httpx.AsyncClient, address: str, known: dict[str, Any]
) -> None:
    token = {"analysis": known["id"], "position": 3, "name": "The s", "note": "It *says* so."}
    first = await call(asker, "keep_finding", finding=token, title="Cats")
    id = first["notebook"]
    assert first["permalink"] == f"{address}/n/{id}#{first['entry']['id']}"
    second = await call(asker, "keep_finding", finding={"note": "No more."}, notebook=id)
    found = await call(asker, "notebook", notebook=id)
    assert found["entries"] == [first["entry"], second["entry"]]
    assert (found["title"], found["total"], found["permalink"]) == ("Cats", 2, f"{address}/n/{id}")
    api = (await client.get(f"/api/notebooks/{id}")).json()
    for entry, same in zip(found["entries"], api["entries"], strict=True):
        assert all(same[name] == value for name, value in entry.items())


async def test_a_long_one_comes_in_pages(asker: Client, client: httpx.AsyncClient) -> None:
    id = (await client.post("/api/notebooks", json={"title": "Long"})).json()["id"]
    for number in range(30):
        await client.post(f"/api/notebooks/{id}/entries", json={"name": str(number), "note": "x" * 1500})
    names: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = await call(asker, "notebook", notebook=id, offset=offset)
        assert len(str(page)) < LIMIT
        names += [entry["name"] for entry in page["entries"]]
        offset = page.get("next")
    assert names == [str(number) for number in range(30)]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"finding": {"note": "x"}}, "one of both"),
        ({"finding": {"note": "x"}, "notebook": "a", "title": "b"}, "one of both"),
        ({"finding": {"note": "x"}, "notebook": "nosuch"}, "no notebook"),
        ({"finding": {}, "title": "Cats"}, "Write something"),
        ({"finding": {"analysis": "nosuch", "position": 1}, "title": "Cats"}, "nosuch"),
        ({"finding": {"note": "x"}, "title": " "}, "title"),
    ],
)
async def test_what_cannot_be_kept_is_refused_and_begins_no_notebook(
    asker: Client, client: httpx.AsyncClient, arguments: dict[str, Any], reason: str
) -> None:
    assert reason in await refusal(asker, "keep_finding", **arguments)
    assert (await client.get("/api/notebooks")).json() == []


async def test_an_unknown_one_is_said(asker: Client) -> None:
    assert "no notebook" in await refusal(asker, "notebook", notebook="nosuch")
