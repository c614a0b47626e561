"""The whole thing, as a newcomer meets it: the real demo pair in a real browser."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect

from server.app import create_app
from server.settings import Settings
from tests.browser.conftest import LINES, Watched, answering

pytestmark = [pytest.mark.anyio, pytest.mark.demo]

LOADING = 300_000  # ms: the first start builds the pair's folders
READING = 240_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The demo pair, with its checkpoints where they always are."""
    return Settings(data_dir=tmp_path / "data")


@asynccontextmanager
async def server(settings: Settings) -> AsyncIterator[str]:
    """A server from its start to its end."""
    app = create_app(settings)
    async with app.router.lifespan_context(app), answering(app) as address:
        yield address


async def shoot(page: Page) -> None:
    """The README's picture, when NLA_SCREENSHOT names a file for it."""
    if path := os.environ.get("NLA_SCREENSHOT"):
        await page.get_by_role("button", name="Got it").click()
        await page.set_viewport_size({"width": 1280, "height": 1080})
        await page.mouse.move(0, 0)
        await page.evaluate("document.activeElement.blur()")
        await expect(page.locator(LINES)).to_be_visible()
        await page.screenshot(path=path)


async def test_from_a_prompt_to_a_permalink_that_lasts(
    context: BrowserContext, watched: Watched, settings: Settings
) -> None:
    page = await context.new_page()
    async with server(settings) as address:
        await page.goto(address)
        await expect(page.locator("#models")).to_contain_text("resident", timeout=LOADING)
        await page.fill("#prompt", "Why do cats purr when they sleep?")
        await page.get_by_role("button", name="Analyse").click()
        await page.wait_for_url("**/a/*")

        await expect(page.locator("#text .is-generated .tok").first).to_be_visible(timeout=READING)
        await expect(page.locator(LINES)).to_be_visible(timeout=READING)
        await expect(page.locator("#panel blockquote")).not_to_be_empty(timeout=READING)
        await expect(page.locator(".tok.scored").first).to_be_visible(timeout=READING)
        await expect(page.locator("#status.is-done")).to_be_visible(timeout=READING)
        await expect(page.locator(".tok.failed")).to_have_count(0)

        token = page.locator("#text .is-user .tok", has_text="sleep")
        await token.click()
        position = (await token.get_attribute("id") or "").removeprefix("tok-")
        await expect(page.locator("#panel")).to_have_attribute("data-position", position)
        await expect(page).to_have_url(re.compile(rf"\?t={position}$"))
        await expect(page.locator(".headline")).to_contain_text("of the activation")
        await expect(page.locator("#panel .layers .q").first).to_have_text("?")
        reading = await page.locator("#panel blockquote").inner_text()
        assert "sleep" in reading
        await shoot(page)

        await page.reload()
        await expect(page.locator("#panel blockquote")).to_have_text(re.compile(r"\S"))
        assert await page.locator("#panel blockquote").inner_text() == reading
        assert watched.elsewhere(address) == []
        path = page.url.removeprefix(address)

    async with server(settings) as address:  # another server on the same data, before its models are loaded
        await page.goto(address + path)
        assert await page.locator("#panel blockquote").inner_text() == reading
        assert await page.locator("#status.is-done").count() == 1
    assert watched.complaints == []
