"""Editing a reading's words in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Watched
from tests.browser.test_fake import ask

pytestmark = pytest.mark.anyio
WORDS, SENT = "[name=text]", "Patch and go on"


async def edited(page: Page, words: str = "Something else.") -> None:
    """Edit the pinned token's reading, and wait for what comes of it."""
    if not await page.locator(WORDS).is_visible():
        await page.get_by_text("Edit the words, patch the model").click()
    await page.fill(WORDS, words)
    await page.get_by_role("button", name=SENT).click()
    await expect(page.locator(".earlier [aria-current]")).to_have_text(words)


async def test_an_edit_stands_in_the_address_and_comes_into_sight(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await edited(page)
    await expect(page).to_have_url(re.compile(r"\?t=\d+&edit=\w+$"))
    await expect(page.locator(".verdict")).to_be_in_viewport()
    before = await page.locator(".edited").inner_text()
    await page.reload()
    await expect(page.locator(".verdict")).to_be_in_viewport()
    assert await page.locator(".edited").inner_text() == before


async def test_back_and_forth_between_edits(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await edited(page, "One thing.")
    first = page.url
    await edited(page, "Another thing.")
    await page.locator(".earlier a").first.click()
    await expect(page.locator(WORDS)).to_have_value("One thing.")
    assert page.url == first
    await page.go_back()
    await expect(page.locator(WORDS)).to_have_value("Another thing.")


async def test_what_is_typed_outlasts_the_readings_that_come(page: Page, pair: object) -> None:
    verbaliser = pair.verbaliser  # type: ignore[attr-defined]
    verbaliser.limit(2)
    await ask(page)
    await page.get_by_text("Edit the words, patch the model").click()
    await page.fill(WORDS, "Half a thought")
    verbaliser.allow()
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator(WORDS)).to_have_value("Half a thought")


async def test_steering_has_settings_of_its_own(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_text("Edit the words, patch the model").click()
    await expect(page.locator("[name=alpha]")).to_be_hidden()
    await page.select_option("[name=mode]", "steer")
    await expect(page.locator("[name=alpha]")).to_be_visible()
    await page.fill("[name=alpha]", "0.5")
    await edited(page)
    await expect(page.locator(".edited")).to_contain_text("α = 0.50")


async def test_keys_that_move_the_pin_are_letters_while_one_types(page: Page, watched: Watched) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_text("Edit the words, patch the model").click()
    place = await page.locator("#panel").get_attribute("data-position")
    await page.focus(WORDS)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#panel")).to_have_attribute("data-position", place or "")
    assert watched.paths("/panel") == []
