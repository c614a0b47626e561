from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from server.api import guesses, sessions
from server.api.guard import COOKIE, host_name
from server.errors import SettingsError
from server.settings import Settings, is_loopback
from server.store.database import Store
from tests.api.test_bad_input import problem
from tests.conftest import client_of, running
from tests.fakes import FakeSource

pytestmark = pytest.mark.anyio
TOKEN = "correct horse battery"
PAGE = {"Accept": "text/html"}


def session_of(token: str) -> str:
    """The cookie of a session at a server of this token."""
    return sessions.Sessions(Store("sqlite://"), SecretStr(token)).begin()


@pytest.fixture
async def guarded(settings: Settings) -> AsyncIterator[FastAPI]:
    """A server that demands a token, as one that is reached from outside does."""
    outside = settings.model_copy(update={"host": "0.0.0.0", "token": SecretStr(TOKEN)})
    async with running(outside, FakeSource()) as app:
        yield app


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("localhost.evil.example", False),
        ("example.org", False),
    ],
)
def test_what_is_loopback(settings: Settings, host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    here = settings.model_copy(update={"host": host})
    if loopback:
        here.check()
    else:
        with pytest.raises(SettingsError, match="NLA_TOKEN"):
            here.check()
        here.model_copy(update={"token": SecretStr(TOKEN)}).check()


@pytest.mark.parametrize("token", ["x", "correct horse 1", "0" * 40, "abcde" * 8])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_token_that_could_be_guessed_is_refused(settings: Settings, host: str, token: str) -> None:
    with pytest.raises(SettingsError, match="at least 16 letters"):
        settings.model_copy(update={"host": host, "token": SecretStr(token)}).check()


def test_an_empty_token_is_none(settings: Settings) -> None:
    with pytest.raises(SettingsError):
        settings.model_copy(update={"host": "0.0.0.0", "token": SecretStr("")}).check()


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:8000", "localhost"),
        ("LOCALHOST", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:8000", "::1"),
        ("", ""),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:9", "[::1]:8000", "LocalHost"])
async def test_loopback_names_are_ours(app: FastAPI, host: str) -> None:
    async with client_of(app, Host=host) as client:
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8000", "192.168.0.1", "a b"])
async def test_another_name_is_refused(app: FastAPI, host: str) -> None:
    async with client_of(app, Host=host) as client:
        problem(await client.get("/healthz"), 403)


async def test_a_name_that_was_allowed(settings: Settings) -> None:
    proxied = settings.model_copy(update={"allowed_hosts": "nla.example, other.example"})
    async with running(proxied, FakeSource()) as app, client_of(app, Host="NLA.example:443") as client:
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
async def test_another_sites_page_cannot_change_anything(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    problem(await client.post("/api/analyses", json={"text": "a"}, headers=headers), 403)
    assert (await client.get("/healthz", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://127.0.0.1:8000"}],
)
async def test_our_own_page_and_scripts_can(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.post("/api/analyses", json={"text": "a"}, headers=headers)).status_code == 202


async def test_without_a_token_nothing_is_shown_but_life_and_the_login(guarded: FastAPI) -> None:
    async with client_of(guarded, Host="gpu.example") as client:
        for path in (
            "/api/analyses",
            "/api/pairs",
            "/metrics",
            "/docs",
            "/openapi.json",
            "/healthz/../metrics",
        ):
            answer = await client.get(path)
            problem(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/healthz", "/readyz", "/login"):
            assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["Bearer wrong", "Bearer", "Basic " + TOKEN, "Bearer \xe4", TOKEN, "Bearer " + session_of(TOKEN)],
)
async def test_a_wrong_token_is_refused(guarded: FastAPI, authorization: str) -> None:
    async with client_of(guarded) as client:
        answer = await client.get("/api/pairs", headers={b"Authorization": authorization.encode("latin-1")})
        problem(answer, 401)


async def test_the_bearer_token_opens(guarded: FastAPI) -> None:
    async with client_of(guarded, Authorization=f"bearer {TOKEN}") as client:
        assert (await client.get("/api/pairs")).status_code == 200


async def test_the_login_page_leads_back_to_where_one_was_going(guarded: FastAPI) -> None:
    async with client_of(guarded) as client:
        sent = await client.get("/a/x?t=3", headers=PAGE)
        assert sent.status_code == 303
        assert sent.headers["location"] == "/login?next=%2Fa%2Fx%3Ft%3D3"
        assert (await client.get(sent.headers["location"], headers=PAGE)).status_code == 200
        into = await client.post("/login", data={"token": TOKEN, "next": "/a/x?t=3"})
        assert (into.status_code, into.headers["location"]) == (303, "/a/x?t=3")
        cookie = into.headers["set-cookie"]
        assert TOKEN not in cookie
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        assert (await client.get("/api/pairs")).status_code == 200


async def test_a_session_that_was_ended_opens_nothing_anywhere(settings: Settings) -> None:
    outside = settings.model_copy(update={"host": "0.0.0.0", "token": SecretStr(TOKEN)})
    async with running(outside, FakeSource()) as app:
        async with client_of(app) as here, client_of(app) as elsewhere:
            for client in (here, elsewhere):
                await client.post("/login", data={"token": TOKEN})
            ended = {"Cookie": f"{COOKIE}={here.cookies[COOKIE]}"}
            left = await here.post("/logout")
            assert (left.status_code, left.headers["location"]) == (303, "/login")
            assert COOKIE not in here.cookies
            assert (await elsewhere.get("/api/pairs")).status_code == 200
        async with client_of(app, **ended) as copied:
            problem(await copied.get("/api/pairs"), 401)
    async with running(outside, FakeSource()) as later, client_of(later, **ended) as copied:
        problem(await copied.get("/api/pairs"), 401)


async def test_whoever_had_to_log_in_can_log_out(guarded: FastAPI) -> None:
    async with client_of(guarded, Authorization=f"Bearer {TOKEN}") as visitor:
        assert 'action="/logout"' in (await visitor.get("/", headers=PAGE)).text


async def test_where_nobody_logs_in_nobody_logs_out(client: httpx.AsyncClient) -> None:
    assert "/logout" not in (await client.get("/", headers=PAGE)).text


async def test_a_session_expires(guarded: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_of(guarded) as client:
        await client.post("/login", data={"token": TOKEN})
        moment = datetime.now(UTC)
        for days, status in ((29, 200), (31, 401)):
            later = moment + timedelta(days=days)
            monkeypatch.setattr(sessions, "_now", lambda later=later: later)
            assert (await client.get("/api/pairs")).status_code == status


@pytest.mark.parametrize(
    "changed", ["other.{1}.{2}", "{0}.99999999999.{2}", "{0}.{1}.{2}0", "{0}.{1}", "{0}"]
)
async def test_a_cookie_that_was_changed_opens_nothing(guarded: FastAPI, changed: str) -> None:
    cookie = changed.format(*guarded.state.sessions.begin().split("."))
    async with client_of(guarded) as client:
        problem(await client.get("/api/pairs", headers={"Cookie": f"{COOKIE}={cookie}"}), 401)


async def test_the_cookie_is_for_https_alone_where_there_is_https(guarded: FastAPI) -> None:
    transport = httpx.ASGITransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url="https://gpu.example") as client:
        assert "Secure" in (await client.post("/login", data={"token": TOKEN})).headers["set-cookie"]


async def test_a_wrong_token_at_the_login(guarded: FastAPI) -> None:
    async with client_of(guarded) as client:
        answer = await client.post("/login", data={"token": "guess", "next": "/"})
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert "not the token" in answer.text


@pytest.mark.parametrize("cookie", ["", "x", TOKEN, '"', session_of("other"), "\xe4"])
async def test_a_made_up_cookie_opens_nothing(guarded: FastAPI, cookie: str) -> None:
    async with client_of(guarded) as client:
        header = f"{COOKIE}={cookie}".encode("latin-1")
        problem(await client.get("/api/pairs", headers={b"Cookie": header}), 401)


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "//[",
        "/\\[",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/a\r\nX: y",
        "",
    ],
)
async def test_the_login_leads_nowhere_else(guarded: FastAPI, target: str) -> None:
    async with client_of(guarded) as client:
        answer = await client.post("/login", data={"token": TOKEN, "next": target})
        assert answer.headers["location"] == "/"


@pytest.mark.parametrize("host", ["[", "[::1", "gpu]"])
async def test_a_host_header_that_is_no_name_is_refused(guarded: FastAPI, host: str) -> None:
    async with client_of(guarded, Host=host) as client:
        problem(await client.get("/healthz"), 403)
        problem(await client.post("/login", data={"token": TOKEN}), 403)


@pytest.mark.parametrize("target", ["//[", "//%5B"])
async def test_the_login_page_opens_whatever_is_to_follow_it(guarded: FastAPI, target: str) -> None:
    async with client_of(guarded) as client:
        answer = await client.get("/login", params={"next": target}, headers=PAGE)
        assert answer.status_code == 200
        assert 'name="next" value="/"' in answer.text


@pytest.mark.parametrize("way", ["bearer", "cookie", "login"])
async def test_wrong_tokens_wait_for_each_other_and_right_ones_for_nobody(
    guarded: FastAPI, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(guesses, "PAUSE", 1000)
    monkeypatch.setattr(guesses, "WAITING", 3)
    right = {"Authorization": f"Bearer {TOKEN}"}

    async def guess(client: httpx.AsyncClient) -> httpx.Response:
        if way == "login":
            return await client.post("/login", data={"token": "guess"})
        wrong = {"Authorization": "Bearer x"} if way == "bearer" else {"Cookie": f"{COOKIE}=x"}
        return await client.get("/api/pairs", headers=wrong)

    async with client_of(guarded) as client, asyncio.TaskGroup() as group:
        waiting = [group.create_task(guess(client)) for _ in range(3)]
        while guarded.state.guesses._waiting < 3:  # noqa: ASYNC110 - they are on their way
            await asyncio.sleep(0)
        refused = await guess(client)
        assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)
        assert (await client.get("/api/pairs", headers=right)).status_code == 200
        assert (await client.post("/login", data={"token": TOKEN})).status_code == 303
        client.cookies.clear()
        assert (await client.get("/api/pairs")).status_code == 401  # no guess
        for task in waiting:
            task.cancel()
    assert guarded.state.guesses._waiting == 0


async def test_a_server_without_a_token_needs_no_login(client: httpx.AsyncClient) -> None:
    answer = await client.post("/login", data={"token": "anything"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((path, 200) for path in ("/", "/healthz", "/metrics", "/docs", "/openapi.json", "/api/pairs")),
        *((path, 200) for path in ("/static/icon.svg", "/library", "/api/analyses")),
        *((path, 404) for path in ("/api/analyses/nobody", "/nothing", "/static/nothing.css")),
        ("/api/analyses?limit=x", 422),
    ],
)
async def test_every_answer_is_what_it_says_it_is(client: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers.get_list("x-content-type-options")) == (status, ["nosniff"])


async def test_so_is_a_refusal(app: FastAPI) -> None:
    async with client_of(app, Host="evil.example") as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.headers.get_list("x-content-type-options")) == (403, ["nosniff"])
