"""What keeps an open page true: its scripts come late, its server stops, a click gets no answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Browser, BrowserContext, Page, expect
from starlette.types import ASGIApp, Receive, Scope, Send

from frontend import event_stream, shared_streams, templating
from tests.browser.conftest import Watched
from tests.fakes import FakePair

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

COUNT = 20  # tokens of the analysis below
ASKED = {"messages": [{"role": "user", "content": "Hi you"}], "generate": {"max_new_tokens": 48}}
SCRIPTS = sorted(
    {
        name
        for page in ("layout.html", "analysis/analysis.html")
        for name in re.findall(r"'([\w./-]+\.js)'", (templating.TEMPLATES / page).read_text())
    }
)


class Delayed:
    """The app, with what a request's own header names held back for as long as it says.

    The browser's own interception now and then swallows an event stream, so the delay is the server's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wish = dict(scope.get("headers", [])).get(b"x-delay", b"").decode()
        name, _, seconds = wish.partition("=")
        if name and scope["path"].endswith(f"/{name}"):
            await asyncio.sleep(float(seconds))
        await self.app(scope, receive, send)


class Served:
    """An app behind a real socket that can be closed for good, its connections with it, and opened again."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.port = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        config = uvicorn.Config(
            Delayed(self.app), host="127.0.0.1", port=self.port, lifespan="off", log_level="critical"
        )
        self.server = uvicorn.Server(config)
        sockets = [config.bind_socket()]
        sockets[0].listen()
        self.port = sockets[0].getsockname()[1]
        self.task = asyncio.create_task(self.server.serve(sockets=sockets))

    async def stop(self) -> None:
        """Cut every connection, as a killed process would."""
        for connection in list(self.server.server_state.connections):
            connection.transport.abort()
        self.server.force_exit = self.server.should_exit = True
        await self.task


@pytest.fixture
async def page(context: BrowserContext, watched: Watched) -> Page:
    """A new page; its console may say that the server did not answer, and nothing else."""
    return await context.new_page()


@pytest.fixture
async def served(app: FastAPI) -> AsyncIterator[Served]:
    """The app at an address whose server the test may stop and start."""
    there = Served(app)
    await there.start()
    yield there
    app.state.analyses.stop_streams()
    if not there.task.done():
        await there.stop()


async def begun(context: BrowserContext, address: str) -> str:
    """The path of an analysis that is at work."""
    answer = await context.request.post(f"{address}/api/analyses", data=ASKED)
    return f"{address}/a/{(await answer.json())['id']}"


@pytest.mark.parametrize("seconds", [0.1, 0.6, 3])
async def test_a_page_is_live_whichever_script_comes_late(
    browser: Browser, served: Served, pair: FakePair, seconds: float
) -> None:
    pair.verbaliser.limit(0)
    some = asyncio.Semaphore(3)  # two cores would open them all at once too slowly for the browser's patience
    async with AsyncExitStack() as contexts:

        async def opened(name: str) -> Page:
            context = await contexts.enter_async_context(
                await browser.new_context(extra_http_headers={"X-Delay": f"{name}={seconds}"})
            )
            async with some:
                page = await context.new_page()
                await page.goto(await begun(context, served.address))
            return page

        pages = await asyncio.gather(*(opened(name) for name in SCRIPTS))
        pair.verbaliser.allow()
        await asyncio.gather(*(expect(page.locator("#status.is-done")).to_be_visible() for page in pages))


async def test_a_lost_connection_is_said_and_taken_up_again(
    page: Page, served: Served, pair: FakePair
) -> None:
    pair.verbaliser.limit(3)
    await page.goto(await begun(page.context, served.address))
    await expect(page.locator(".tok.scored")).to_have_count(3)
    await served.stop()
    await expect(page.get_by_role("alert")).to_contain_text("The connection to the server is lost")
    pair.verbaliser.allow()
    await served.start()
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator(".tok.scored")).to_have_count(COUNT)
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_what_comes_late_does_not_take_a_chosen_token_back(
    page: Page, served: Served, pair: FakePair
) -> None:
    pair.verbaliser.limit(1)
    address = await begun(page.context, served.address)
    await page.goto(address)
    await expect(page.locator(".tok.scored")).to_have_count(1)
    await page.context.set_extra_http_headers({"X-Delay": "stream=2"})
    await page.reload()  # its stream opens after the analysis has ended
    pair.verbaliser.allow()
    async for _ in served.app.state.analyses.watch(address.rsplit("/", 1)[-1]):
        pass
    await page.click("#tok-3")
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")


async def test_a_silent_stream_is_said_and_opened_again(
    page: Page, served: Served, pair: FakePair, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_streams, "PING_EVERY", 3600.0)
    pair.verbaliser.limit(3)
    await page.clock.install()
    await page.goto(await begun(page.context, served.address))
    await expect(page.locator(".tok.scored")).to_have_count(3)
    asked = len(watched.paths("/stream"))
    await page.clock.fast_forward(11_000)
    await expect(page.get_by_role("alert")).to_be_hidden()  # it was heard again
    assert len(watched.paths("/stream")) > asked


async def test_a_quiet_stream_pings_more_often_than_the_page_worries() -> None:
    script = (templating.STATIC / "connection.js").read_text()
    quiet = re.search(r"QUIET = ([\d_]+)", script)
    assert quiet
    assert int(quiet[1]) / 1000 > 2 * event_stream.PING_EVERY


async def test_a_click_without_an_answer_is_not_shown_as_if_it_had_one(page: Page, served: Served) -> None:
    await page.goto(await begun(page.context, served.address))
    await expect(page.locator("#status.is-done")).to_be_visible()
    before = await page.locator("#panel").get_attribute("data-position")
    await served.stop()
    await page.click("#tok-3")
    await expect(page.get_by_role("alert")).to_contain_text("No answer from the server")
    await expect(page.locator("#text [aria-current]")).to_have_id(f"tok-{before}")
    await expect(page.locator("#text [aria-busy]")).to_have_count(0)
    await expect(page.locator("#panel")).to_have_attribute("data-position", str(before))
    await served.start()
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await expect(page.locator("#text [aria-current]")).to_have_id("tok-3")
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_click_that_waits_long_for_its_answer_says_so(page: Page, served: Served) -> None:
    await page.clock.install()
    await page.goto(await begun(page.context, served.address))
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.context.set_extra_http_headers({"X-Delay": "panel=2"})
    async with page.expect_request("**/panel*"):
        await page.click("#tok-3")
    await expect(page.locator("#text [aria-busy]")).to_have_id("tok-3")
    await expect(page.locator("#text [aria-current]")).not_to_have_id("tok-3")
    await page.clock.fast_forward(6_000)
    await expect(page.get_by_role("alert")).to_contain_text("The server has not answered yet.")
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_problem_is_told_and_put_in_place_of_nothing(
    page: Page, served: Served, app: FastAPI
) -> None:
    address = await begun(page.context, served.address)
    await page.goto(address)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await app.state.analyses.delete(address.rpartition("/")[2])
    await page.click("#tok-3")
    await expect(page.get_by_role("alert")).to_contain_text("There is nothing here")
    await expect(page.locator("#panel blockquote")).to_be_visible()
    await expect(page.locator("#text [aria-current]")).not_to_have_id("tok-3")
