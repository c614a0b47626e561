"""GET /api/analyses/{id}/ribbon: one line a token, spans and turns."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from tests.api.test_analyses import done

pytestmark = pytest.mark.anyio


async def test_the_ribbon_of_an_analysis(app: FastAPI, client: httpx.AsyncClient) -> None:
    found = await done(app, client, {"messages": [{"role": "user", "content": "cats"}]})
    answer = await client.get(f"/api/analyses/{found['id']}/ribbon")
    assert answer.status_code == 200
    ribbon = answer.json()
    assert (ribbon["analysis"], ribbon["url"], ribbon["pair"]) == (found["id"], found["url"], "fake")
    assert [line["position"] for line in ribbon["lines"]] == [t["position"] for t in found["tokens"]]
    assert all(line["state"] == "read" and line["text"] for line in ribbon["lines"])
    assert all(line["held"]["n"] == 1 for line in ribbon["lines"])
    assert [line["token"] for line in ribbon["lines"] if not line["template"]] == list("cats")
    assert [(turn["role"], turn["kind"]) for turn in ribbon["turns"]] == [("user", "prompt")]


async def test_there_is_no_ribbon_of_what_is_not_there(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/analyses/nothing/ribbon")).status_code == 404


async def test_the_pages_of_the_ribbon_are_there(app: FastAPI, client: httpx.AsyncClient) -> None:
    id = (await done(app, client, {"text": "cats"}))["id"]
    shown = await client.get(f"/a/{id}/ribbon?show=on", headers={"HX-Current-URL": f"http://here/a/{id}?t=2"})
    assert 'id="line-2"' in shown.text
    assert shown.headers["HX-Replace-Url"] == f"/a/{id}?t=2&ribbon=on"
    hidden = await client.get(
        f"/a/{id}/ribbon?show=off", headers={"HX-Current-URL": f"http://here/a/{id}?t=2&ribbon=on"}
    )
    assert "line-2" not in hidden.text
    assert hidden.headers["HX-Replace-Url"] == f"/a/{id}?t=2"
    assert "<tbody>" in (await client.get(f"/a/{id}/readings?q=sample")).text
    assert (await client.get("/a/nothing/readings")).status_code == 404
