"""Notebooks in a browser, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import Watched
from tests.browser.test_fake import ask

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_finding_is_named_noted_and_published(
    page: Page, width: int, browser: Browser, tmp_path: Path
) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    analysis = page.url
    await page.locator("#panel").get_by_role("link", name="Put into a notebook").click()
    await page.get_by_label("Title of the new notebook").fill("Cats")
    await page.get_by_label("Name").fill("It starts here")
    await page.get_by_label("Note, in Markdown").fill("It *says* so.")
    await page.get_by_role("button", name="Put it there").click()
    entry = page.locator("article.entry")
    await expect(entry.get_by_role("heading", name="It starts here")).to_be_visible()
    await expect(entry.locator(".note em")).to_have_text("says")
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    await page.goto(analysis)
    await page.locator("#panel").get_by_role("link", name="Put into a notebook").click()
    await expect(page.get_by_label("Title of the new notebook")).to_be_hidden()
    await page.get_by_role("button", name="Put it there").click()
    await expect(entry).to_have_count(2)
    async with page.expect_download() as begun:
        await page.get_by_text("Export").click()
        await page.get_by_role("link", name="HTML").click()
    file = tmp_path / "notebook.html"
    await (await begun.value).save_as(file)
    alone = await browser.new_context(accept_downloads=True)
    there = await alone.new_page()
    await there.goto(file.as_uri())
    await expect(there.locator("article.entry")).to_have_count(2)
    await expect(there.get_by_role("heading", name="It starts here")).to_be_visible()
    async with there.expect_download() as numbers:
        await there.get_by_role("link", name="as JSON").click()
    kept = tmp_path / "notebook.json"
    await (await numbers.value).save_as(kept)
    assert "It *says* so." in kept.read_text()
    await alone.close()


async def test_what_two_have_typed_is_not_lost(
    page: Page, context: BrowserContext, address: str, watched: Watched
) -> None:
    await page.goto(f"{address}/notebooks")
    await page.get_by_label("Title of a new notebook").fill("Cats")
    await page.get_by_role("button", name="Begin").click()
    await page.get_by_label("Note, in Markdown").fill("first")
    await page.get_by_role("button", name="Add").click()
    hers = await context.new_page()
    await hers.goto(page.url)
    for each, words in ((hers, "hers"), (page, "mine")):
        await each.get_by_text("Change this entry").click()
        await each.locator("article.entry textarea").fill(words)
        await each.get_by_role("button", name="Save").click()
    await expect(page.locator("article.entry .error")).to_contain_text("Somebody has changed this entry")
    await expect(page.locator("article.entry textarea")).to_have_value("mine")
    await expect(page.locator("article.entry .note")).to_have_text("hers")
    watched.complaints.clear()  # of a 409, which is meant
