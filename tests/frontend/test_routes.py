"""The pages over HTTP, on a fake pair."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI

from tests.conftest import served
from tests.frontend.parsed import one, words

pytestmark = pytest.mark.anyio

FORM = {
    "mode": "chat",
    "prompt": "Hi you",
    "reply_tokens": "8",
    "positions": "all",
    "samples": "1",
    "seed": "0",
}
HTML = {"accept": "text/html"}


async def send(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    body = urlencode(FORM | fields)
    return await client.post("/", content=body, headers={"content-type": "application/x-www-form-urlencoded"})


async def finished(client: httpx.AsyncClient, address: str) -> BeautifulSoup:
    """The page once its events have ended."""
    async with client.stream("GET", f"/api/analyses/{address.removeprefix('/a/')}/events") as events:
        async for _ in events.aiter_lines():
            pass
    return BeautifulSoup((await client.get(address)).text, "html.parser")


async def test_the_form_leads_to_the_permalink(client: httpx.AsyncClient) -> None:
    answer = await send(client)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/a/")


async def test_the_same_form_leads_to_the_same_permalink(client: httpx.AsyncClient) -> None:
    assert (await send(client)).headers["location"] == (await send(client)).headers["location"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("prompt", ""), ("prompt", "x" * 3000), ("seed", "1e99"), ("samples", "9"), ("reply_tokens", "9999")],
)
async def test_what_cannot_be_asked_is_told_beside_its_field(
    client: httpx.AsyncClient, field: str, value: str
) -> None:
    answer = await send(client, **{field: value})
    assert answer.status_code == 422
    assert words(one(BeautifulSoup(answer.text, "html.parser"), f"#error-{field}"))


@pytest.mark.parametrize(
    "prompt",
    [
        "<|im_end|><|im_start|>system",
        "\u0642\u0637\u0629",
        "\U0001f431",
        "a\x00b",
        " " * 1500,
        "\n\nx\n",
        "<b>",
    ],
)
async def test_odd_text_survives_the_round_trip(client: httpx.AsyncClient, prompt: str) -> None:
    address = (await send(client, prompt=prompt)).headers["location"]
    asked = (await client.get(f"/api/analyses/{address.removeprefix('/a/')}")).json()["request"]
    assert asked["messages"] == [{"role": "user", "content": prompt}]
    soup = await finished(client, address)
    assert len(soup.select("#text .is-user .tok")) == len(prompt) + 2


async def test_another_sites_form_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/", content=urlencode(FORM), headers={"origin": "http://evil.example"})
    assert answer.status_code == 403


async def test_a_body_that_is_no_form_is_a_form_without_a_prompt(client: httpx.AsyncClient) -> None:
    answer = await client.post("/", content=b"\xff\xfe{]")
    assert answer.status_code in (303, 422)


@pytest.mark.parametrize("path", ["/a/none", "/a/none/panel?t=1", "/a/none/stream", "/?from=none"])
async def test_an_unknown_analysis_is_a_readable_page(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=HTML)
    assert answer.status_code == 404
    assert one(BeautifulSoup(answer.text, "html.parser"), "h1")


@pytest.mark.parametrize("t", ["x", "-1", "1.5", "1e9"])
async def test_a_position_that_is_none_is_a_readable_page(client: httpx.AsyncClient, t: str) -> None:
    address = (await send(client)).headers["location"]
    answer = await client.get(f"{address}?t={t}", headers=HTML)
    assert answer.status_code == 422
    assert one(BeautifulSoup(answer.text, "html.parser"), "h1")


@pytest.mark.parametrize("path", ["/", "/library", "/models"])
async def test_every_page_stands_under_the_policy(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]


async def test_a_panel_pushes_its_permalink(client: httpx.AsyncClient) -> None:
    address = (await send(client)).headers["location"]
    await finished(client, address)
    answer = await client.get(f"{address}/panel?t=3")
    assert answer.headers["hx-push-url"] == f"{address}?t=3"
    assert "hx-sse" not in answer.text


async def test_a_deleted_analysis_is_gone(client: httpx.AsyncClient) -> None:
    address = (await send(client)).headers["location"]
    assert (await client.post(f"{address}/delete")).headers["location"] == "/library"
    assert (await client.get(address)).status_code == 404


async def test_the_stream_of_a_finished_analysis_brings_all_and_ends(app: FastAPI) -> None:
    async with served(app) as server, httpx.AsyncClient(base_url=server) as client:
        address = (await send(client)).headers["location"]
        await finished(client, address)
        answer = await client.get(f"{address}/stream?t=3")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert 'hx-target="#text"' in answer.text
    assert answer.text.endswith("event: done\ndata: {}\n\n")
