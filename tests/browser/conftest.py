"""A real Chromium, the system's own. Without it tests are skipped, or fail under NLA_REQUIRE_BROWSER=1."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)

from tests.conftest import served

CHROMIUM = Path("/usr/bin/chromium")
INSTALLED = CHROMIUM.exists()
MISSING = (
    f"{CHROMIUM} is not there. The browser tests need it: `apt-get install chromium` (Debian), "
    "or a link of that name to another Chromium."
)
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
LINES = "layer-curve g[aria-label=line] path"
"""The lines that Plot draws in the panel."""
PATIENCE = 30_000  # ms: how long an expected state may take to come

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for the browser and for all its tests."""
    return "asyncio"


@pytest.fixture(scope="session")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    """One browser for all tests; each has a context of its own."""
    if not INSTALLED:
        if os.environ.get("NLA_REQUIRE_BROWSER") == "1":
            pytest.fail(MISSING, pytrace=False)
        pytest.skip(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        await browser.close()


class Watched:
    """What the browser did behind a page: every request, and every complaint in its console."""

    def __init__(self, context: BrowserContext) -> None:
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        context.on("request", self._asked)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _asked(self, request: Request) -> None:
        self.requests.append(request)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def elsewhere(self, address: str) -> list[str]:
        """Requests that left the server."""
        return [r.url for r in self.requests if not r.url.startswith((address, "data:", "about:"))]

    def paths(self, part: str) -> list[str]:
        """The addresses asked for that hold `part`."""
        return [r.url for r in self.requests if part in r.url]


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser without a past."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    yield context
    await context.close()


@pytest.fixture
async def watched(context: BrowserContext) -> Watched:
    """The context's requests and complaints."""
    return Watched(context)


@asynccontextmanager
async def answering(app: FastAPI) -> AsyncIterator[str]:
    """The app (already started) at an address that answers: a browser does not ask twice where it is refused."""
    patient = httpx.AsyncHTTPTransport(retries=8)
    async with served(app) as address, httpx.AsyncClient(transport=patient) as client:
        await client.get(f"{address}/healthz")
        yield address


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    """Where the app on its fake pair is served."""
    async with answering(app) as address:
        yield address


@pytest.fixture
async def page(context: BrowserContext, watched: Watched, address: str) -> AsyncIterator[Page]:
    """A page on the start page. After the test: no script failed, no policy was broken, nobody else asked."""
    page = await context.new_page()
    await page.goto(address)
    yield page
    assert watched.complaints == []
    assert watched.elsewhere(address) == []
