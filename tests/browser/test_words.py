"""A word along the text in a real browser, on a desk and on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, ViewportSize, expect

from frontend import made_soon
from frontend.palette import scale
from tests.browser.test_fake import ask
from tests.browser.test_ribbon import SIZES
from tests.fakes import LAYERS, FakePair

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def followed(page: Page, word: str) -> None:
    """A word followed from the lens map of an analysis that is done."""
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_label("Follow a word").fill(word)
    await page.get_by_role("button", name="Follow", exact=True).click()


@pytest.mark.parametrize("size", SIZES, ids=["desk", "phone"])
async def test_a_word_is_followed_from_the_map_and_a_cell_leads_to_its_token(
    page: Page, size: ViewportSize
) -> None:
    await page.set_viewport_size(size)
    await followed(page, "at")
    await expect(page).to_have_url(re.compile(r"/a/\w+/word\?word=at$"))
    await expect(page.locator("h1")).to_have_text("·at along the text")
    assert await page.evaluate("document.documentElement.scrollWidth") == size["width"]
    frame = page.locator("lens-map").get_by_role("application")
    await expect(frame).to_have_attribute("aria-busy", "false")
    await frame.focus()
    await frame.press("ArrowRight")
    cell = page.locator("lens-map .cell")
    await expect(cell).to_contain_text("output after token 1")
    await expect(cell).to_contain_text("all tokens")
    await frame.press("ArrowDown")
    await expect(cell).to_contain_text(f"layer {LAYERS - 2} after token 1")
    await frame.press("Enter")
    await expect(page).to_have_url(re.compile(r"/a/\w+\?t=1$"))
    await expect(page.locator("#panel")).to_have_attribute("data-position", "1")


async def test_the_other_variant_and_the_rank_are_one_press_away(page: Page) -> None:
    await followed(page, "at")
    await page.get_by_role("link", name="without").click()
    await expect(page.locator("h1")).to_have_text("at along the text")
    await page.get_by_role("link", name="rank").click()
    await expect(page).to_have_url(re.compile(r"\?word=at&variant=plain&metric=rank$"))
    async with page.expect_download() as drawing:
        await page.get_by_role("link", name="SVG").click()
    assert (await drawing.value).suggested_filename.endswith("word.svg")


async def test_a_word_that_takes_long_shows_its_progress_and_then_itself(
    page: Page, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    monkeypatch.setattr(made_soon, "SOON", 0.1)
    pair.target.hold.clear()
    await page.get_by_label("Follow a word").fill("at")
    await page.get_by_role("button", name="Follow", exact=True).click()
    await expect(page.locator(".word-pending").get_by_role("status")).to_be_visible()
    pair.target.hold.set()
    await expect(page.locator("lens-map")).to_be_visible()
    await expect(page.locator(".word-pending")).to_have_count(0)


async def test_the_files_colours_are_those_that_the_browser_shows(page: Page) -> None:
    shown = await page.evaluate(
        """() => Array.from({length: 10}, (_, n) => {
          const pen = new OffscreenCanvas(1, 1).getContext("2d");
          pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--s${n}`);
          pen.fillRect(0, 0, 1, 1);
          return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
        })"""
    )
    written = [[int(colour[n : n + 2], 16) for n in (1, 3, 5)] for colour in scale()]
    assert all(
        abs(a - b) <= 1
        for one, other in zip(shown, written, strict=True)
        for a, b in zip(one, other, strict=True)
    )
