from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI

from server.api.problems import MOST
from server.errors import NlaError
from tests.conftest import client_of

pytestmark = pytest.mark.anyio


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document; checks its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "errors"}
    assert body["status"] == status
    assert body["detail"]
    assert "Traceback" not in answer.text
    return body


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 422, ""),
        (b"", 422, ""),
        (b"nonsense", 422, ""),
        (b"[]", 422, ""),
        (b"null", 422, ""),
        (b'{"text": "\xff"}', 400, None),
        (b'{"text": ' + b"[" * 100_000, 400, None),
        (b'{"text": "a", "generate": {"seed": ' + b"9" * 10_000 + b"}}", 400, None),
        (b'{"text": "a", "generate": {"temperature": NaN}}', 422, "generate.temperature"),
        (b'{"text": "a", "generate": {"temperature": 1e999}}', 422, "generate.temperature"),
        (b'{"text": "a", "generate": {"temperature": -Infinity}}', 422, "generate.temperature"),
        (b'{"text": "a", "verbalise": {"seed": 99999999999999999999}}', 422, "verbalise.seed"),
        (b'{"text": "half a pair \\ud800"}', 422, "text"),
        (b'{"text": ""}', 422, "text"),
        (b'{"text": "a", "positions": [0, 7]}', 422, "positions.1"),
        (b'{"text": "a", "positions": [0, -7]}', 422, "positions.1"),
        (b'{"text": "a", "positions": [99999999999999999999]}', 422, "positions.0"),
        (b'{"text": "a", "positions": "none"}', 422, "positions"),
        (b'{"text": "a", "positions": [true]}', 422, "positions.0"),
        (b'{"text": "a", "positions": ["0"]}', 422, "positions.0"),
        (
            b'{"text": "a", "generate": {"max_new_tokens": 4, "temperature": true}}',
            422,
            "generate.temperature",
        ),
        (
            b'{"text": "a", "generate": {"max_new_tokens": 4, "temperature": "1.5"}}',
            422,
            "generate.temperature",
        ),
        (b'{"text": "a", "verbalise": {"samples": 1.5}}', 422, "verbalise.samples"),
        (b'{"text": "a", "raw": "yes"}', 422, "raw"),
        (b'{"text": "a", "pair": "nobody"}', 422, "pair"),
        (b'{"text": "a", "pair": "\\u0000"}', 422, "pair"),
        (b'{"messages": [{"role": "wizard", "content": "a"}]}', 422, "messages.0.role"),
        (b'{"messages": []}', 422, "messages"),
        (b'{"messages": [{"role": "user", "content": ""}]}', 422, "messages.0.content"),
        (b'{"messages": [{"role": "user", "content": [1]}]}', 422, "messages.0.content"),
        (json.dumps({"text": "x" * 2001}).encode(), 422, "text"),
    ],
)
async def test_a_bad_request_is_a_problem_with_the_fields_name(
    client: httpx.AsyncClient, body: bytes, status: int, field: str | None
) -> None:
    answer = await client.post("/api/analyses", content=body, headers={"Content-Type": "application/json"})
    errors = problem(answer, status)["errors"]
    assert [error["field"] for error in errors] == ([] if field is None else [field])


async def test_a_body_that_is_not_json_by_its_header_is_a_problem(client: httpx.AsyncClient) -> None:
    problem(
        await client.post("/api/analyses", content=b'{"text": "a"}', headers={"Content-Type": "text/plain"}),
        422,
    )


async def test_a_problem_does_not_repeat_what_was_sent(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/analyses", json={"text": "a", "positions": ["<secret>"]})
    assert "secret" not in json.dumps(problem(answer, 422))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/analyses/nobody", 404),
        ("GET", "/api/analyses/%00", 404),
        ("GET", "/api/analyses/%ff%fe", 404),
        ("GET", "/api/analyses/nobody/events", 404),
        ("POST", "/api/analyses/nobody/cancel", 404),
        ("DELETE", "/api/analyses/nobody", 404),
        ("GET", "/api/nothing", 404),
        ("GET", "/nothing", 404),
        ("PUT", "/api/analyses", 405),
        ("GET", "/api/analyses?limit=many", 422),
        ("GET", "/static/../server/app.py", 404),
    ],
)
async def test_addresses_that_lead_nowhere(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    problem(await client.request(method, path), status)


async def test_a_browser_gets_a_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/a/nobody", headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    page = BeautifulSoup(answer.text, "html.parser")
    assert page.h1 is not None
    assert "nobody" in page.get_text()


async def test_a_page_shows_what_was_asked_as_text(client: httpx.AsyncClient) -> None:
    answer = await client.get("/a/%3Cscript%3Ealert(1)%3C%2Fscript%3E", headers={"Accept": "text/html"})
    page = BeautifulSoup(answer.text, "html.parser")
    assert all("alert" not in script.get_text() for script in page.find_all("script"))


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
async def test_an_unforeseen_error_tells_nothing_of_the_inside(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    async def recent(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(app.state.analyses, "recent", recent)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/api/analyses", headers={"Accept": accept})
    assert "secret" not in answer.text
    problem(answer, 500)


async def test_our_own_errors_say_what_they_are(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    async def recent(*_: object, **__: object) -> None:
        raise NlaError("the disk is full")

    monkeypatch.setattr(app.state.analyses, "recent", recent)
    async with client_of(app) as client:
        assert problem(await client.get("/api/analyses"), 500)["detail"] == "the disk is full"


@pytest.mark.parametrize("values", [[-1] * 20_000, ["x"] * 20_000])
async def test_many_wrong_values_are_answered_shortly(client: httpx.AsyncClient, values: list[Any]) -> None:
    answer = await client.post("/api/analyses", json={"text": "a", "positions": values})
    body = problem(answer, 422)
    assert [error["field"] for error in body["errors"]] == [f"positions.{n}" for n in range(MOST)]
    assert body["detail"].endswith("; and 19,997 more") and len(answer.content) < 4000


async def test_a_body_that_cannot_be_parsed_is_told_why(client: httpx.AsyncClient) -> None:
    deep = b"[" * 5000 + b"]" * 5000
    answer = await client.post("/api/analyses", content=deep, headers={"Content-Type": "application/json"})
    assert "nested too deeply" in problem(answer, 400)["detail"]
