"""A range of tokens in a browser: dragged over with the mouse, or taken with Shift."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.test_fake import FOCUS, ask

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def drag(page: Page, first: int, last: int) -> None:
    await page.locator(f"#tok-{first}").hover()
    await page.mouse.down()
    await page.locator(f"#tok-{last}").hover()
    await page.mouse.up()


async def test_dragging_over_tokens_shows_what_they_hold_and_pins_none(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await drag(page, 2, 5)
    shown = page.locator("#range")
    await expect(shown.get_by_role("heading")).to_have_text("4 tokens, 2 to 5")
    await expect(page.locator(".tok.in-range")).to_have_count(4)
    await expect(page.locator("#panel")).to_have_attribute("data-position", str(FOCUS))
    await drag(page, 5, 4)
    await expect(shown.get_by_role("heading")).to_have_text("2 tokens, 4 to 5")
    await page.locator("#tok-3").click()
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await page.locator("#tok-7").click(modifiers=["Shift"])
    await expect(shown.get_by_role("heading")).to_have_text("5 tokens, 3 to 7")
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await page.keyboard.press("Escape")
    await expect(shown).to_be_hidden()
    await expect(page.locator(".tok.in-range")).to_have_count(0)
    await page.locator("#tok-4").click()
    await expect(page.locator("#panel")).to_have_attribute("data-position", "4")


async def test_its_mean_becomes_a_vector(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await drag(page, 2, 5)
    await page.get_by_role("button", name="Keep their mean as a vector").click()
    await expect(page.locator(".sources tbody tr")).to_have_count(4)
