"""The whole thing, as a newcomer meets it: the real demo pair in a real browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, ViewportSize, expect

from frontend.formatting import small
from server.app import create_app
from server.settings import Settings
from tests.browser.conftest import LINES, Watched, answering
from tests.browser.test_ribbon import SIZES

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


@pytest.mark.parametrize("size", SIZES, ids=["desk", "phone"])
async def test_it_says_whether_a_word_was_expected_before_it_was_written(
    context: BrowserContext, watched: Watched, settings: Settings, size: ViewportSize
) -> None:
    """A newcomer's question, in two actions from the analysis's page: did it know Paris before it wrote it?"""
    page = await context.new_page()
    await page.set_viewport_size(size)
    async with server(settings) as address:
        listed = await (await page.request.get(f"{address}/api/analyses")).json()
        (id,) = [found["id"] for found in listed if found["title"] == "The capital of France is"]
        analysis = await (await page.request.get(f"{address}/api/analyses/{id}")).json()
        await page.goto(f"{address}/a/{id}")
        await expect(page.locator("#models")).to_contain_text("resident", timeout=LOADING)
        await page.get_by_label("Follow a word").fill("Paris")
        await page.get_by_label("Follow a word").press("Enter")
        await expect(page.locator("h1")).to_have_text("·Paris along the text")
        position = next(t["position"] for t in analysis["tokens"] if t["text"] == " Paris") - 1
        by_the_lens = small(analysis["lens"]["prob"][-1][position])  # of the token that came next
        said = page.locator(".word-facts li", has_text="Right before it")
        await expect(said).to_contain_text(f"the model's output gives it {by_the_lens}.", use_inner_text=True)
        row = page.locator(".word-table tr", has=page.locator(f"#tok-{position}"))
        await expect(row).to_contain_text(by_the_lens)
        frame = page.locator("lens-map").get_by_role("application")
        await frame.scroll_into_view_if_needed()
        await expect(frame).to_have_attribute("aria-busy", "false")
        assert await page.evaluate("document.documentElement.scrollWidth") == size["width"]
        assert watched.elsewhere(address) == []
    assert watched.complaints == []
