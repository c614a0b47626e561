"""Editing a reading's words in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from frontend import made_soon
from tests.browser.conftest import Watched
from tests.browser.test_fake import ask
from tests.fakes import FakePair

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
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


async def test_a_quick_edit_is_a_draft_until_it_is_run(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_text("Edit the words, patch the model").click()
    await page.fill(WORDS, "It is 6 or 66. And more.")
    await page.get_by_text("Quick edits").click()
    await page.fill("[name=swap]", "6")
    await page.fill("[name=swap_with]", "7")
    await page.get_by_role("button", name="Everywhere").click()
    await expect(page.locator(WORDS)).to_have_value("It is 7 or 77. And more.")
    await expect(page.locator(".edit .word-diff ins").first).to_be_visible()
    await page.get_by_role("button", name="And more.").click()
    await expect(page.locator(WORDS)).to_have_value("It is 7 or 77.")
    await page.reload()
    await expect(page.locator(WORDS)).to_have_value("It is 7 or 77.")
    await page.locator("[name=watch]").press("Enter")  # it runs the edit: a quick edit takes a click
    await expect(page.locator(".earlier [aria-current]")).to_have_text("It is 7 or 77.")


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
    assert watched.paths("/panel?") == []


async def test_an_edit_that_takes_long_shows_its_progress_and_then_itself(
    page: Page, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_soon, "SOON", 0.1)
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_text("Edit the words, patch the model").click()
    await page.fill(WORDS, "Something else.")
    pair.target.hold.clear()
    await page.get_by_role("button", name=SENT).click()
    pending = page.locator(".pending li")
    await expect(pending).to_contain_text("Something else.")
    await expect(pending.locator("progress")).to_be_visible()
    await page.reload()  # whoever comes back finds it
    await expect(pending.get_by_role("status")).to_contain_text("The model goes on")
    pair.target.hold.set()
    await expect(page.locator(".verdict")).to_be_visible()
    await expect(pending).to_have_count(0)
    await expect(page).to_have_url(re.compile(r"\?t=\d+&edit=\w+$"))


async def test_an_edit_that_takes_long_can_be_cancelled(
    page: Page, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_soon, "SOON", 0.1)
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_text("Edit the words, patch the model").click()
    pair.target.hold.clear()
    await page.get_by_role("button", name=SENT).click()
    await page.locator(".pending").get_by_role("button", name="Cancel").click()
    await expect(page.locator(".pending")).to_have_count(0)
    pair.target.hold.set()
    await expect(page.locator(".earlier")).to_have_count(0)


@pytest.mark.parametrize("width", [1280, 390])
async def test_the_patched_text_is_read_beside_the_one_as_it_is(page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await edited(page)
    await expect(page.locator(".replay .strip span").first).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    await page.get_by_role("button", name="Read the patched text").click()
    await expect(page).to_have_url(re.compile(r"/compare\?a=\w+&b=\w+&.*t=\d+&u=\d+$"))
    await expect(page.locator("h1")).to_be_visible()


async def test_a_token_that_has_edits_is_marked(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator(".has-edit")).to_have_count(0)
    await edited(page)
    position = await page.locator("#panel").get_attribute("data-position")
    await expect(page.locator("#text .has-edit")).to_have_id(f"tok-{position}")
    await page.goto(page.url.partition("?")[0] + "?t=0")
    await expect(page.locator("#text .has-edit")).to_have_id(f"tok-{position}")
    await expect(page.locator("#legend")).to_contain_text("its words were edited")
