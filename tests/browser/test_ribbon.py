"""Reading along the text: the ribbon and its table in a real browser, on a desk and on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.browser.conftest import Watched
from tests.browser.test_fake import COUNT, FOCUS, ask
from tests.fakes import FakePair

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

SIZES = [ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)]


async def read_along(page: Page) -> None:
    """An analysis that is done, with its ribbon open."""
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_role("link", name="Show a line a token").click()
    await expect(page.locator(f"#line-{FOCUS}")).to_be_visible()


@pytest.mark.parametrize("size", SIZES, ids=["desk", "phone"])
async def test_a_line_pins_its_token_where_one_reads(page: Page, size: ViewportSize) -> None:
    await page.set_viewport_size(size)
    await read_along(page)
    await page.locator("#line-3").evaluate(
        "line => scrollTo({top: line.getBoundingClientRect().top + scrollY - 200, behavior: 'instant'})"
    )
    before = await page.evaluate("scrollY")
    await page.locator("#line-3").click()
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await expect(page.locator("#ribbon [aria-current]:not(.choices a)")).to_have_id("line-3")
    await expect(page.locator("#text [aria-current]")).to_have_id("tok-3")
    await expect(page).to_have_url(re.compile(r"\?t=3&ribbon=on$"))
    assert await page.evaluate("scrollY") == before
    assert await page.evaluate("document.documentElement.scrollWidth") == size["width"]


async def test_the_token_under_the_pointer_is_marked_everywhere(page: Page) -> None:
    await read_along(page)
    await page.hover("#line-4")
    await expect(page.locator("#tok-4")).to_have_class(re.compile("is-tied"))
    await expect(page.locator("lens-map")).to_have_attribute("tied", "4")
    await page.hover("#tok-5")
    await expect(page.locator("#line-5")).to_have_class(re.compile("is-tied"))
    await expect(page.locator("#line-4, #tok-4").first).not_to_have_class(re.compile("is-tied"))
    await page.hover(f"#tok-{FOCUS}")
    await expect(page.locator("#panel")).to_have_class(re.compile("is-tied"))
    await page.hover("h1")
    await expect(page.locator(".is-tied")).to_have_count(0)


async def test_the_map_marks_the_line_of_its_column(page: Page) -> None:
    await read_along(page)
    frame = page.locator("lens-map").get_by_role("application")
    await frame.scroll_into_view_if_needed()
    await expect(frame).to_have_attribute("aria-busy", "false")
    await frame.focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator(f"#line-{FOCUS + 1}")).to_have_class(re.compile("is-tied"))


async def test_the_ribbon_comes_and_goes_with_its_address(page: Page) -> None:
    await read_along(page)
    await page.click("#tok-3")
    await expect(page.locator("#line-3")).to_have_attribute("aria-current", "true")
    await page.reload()
    await expect(page.locator("#line-3")).to_have_attribute("aria-current", "true")
    await page.get_by_role("link", name="Hide a line a token").click()
    await expect(page.locator("#ribbon .gloss")).to_have_count(0)
    await expect(page).to_have_url(re.compile(r"\?t=3$"))


async def test_the_lines_come_while_one_watches(page: Page, pair: FakePair, watched: Watched) -> None:
    pair.verbaliser.limit(2)
    await ask(page)
    await expect(page.locator(".tok.scored")).to_have_count(2)
    await page.get_by_role("link", name="Show a line a token").click()
    await expect(page.locator("#ribbon em", has_text="not yet read").first).to_be_visible()
    pair.verbaliser.allow()
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator("#ribbon em")).to_have_count(0)
    await expect(page.locator("#ribbon a.gloss")).to_have_count(COUNT)
    assert "ribbon=on" in watched.paths("/stream")[-1]


@pytest.mark.parametrize("scripts", [True, False])
async def test_the_table_is_sorted_and_filtered(browser: Browser, page: Page, scripts: bool) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    context = await browser.new_context(java_script_enabled=scripts)
    other = await context.new_page()
    await other.goto(page.url.partition("?")[0] + "?ribbon=on")
    await expect(other.locator("#ribbon .gloss").first).to_be_attached()
    await other.locator("#ribbon-head").get_by_role("link", name="As a table").click()
    await expect(other.locator("tbody tr")).not_to_have_count(COUNT)
    await other.get_by_label("with the template's tokens").check()
    await other.get_by_role("button", name="Filter").click()
    await expect(other.locator("tbody tr")).to_have_count(COUNT)
    await other.get_by_role("link", name="position").click()
    await expect(other.locator("tbody tr").first).to_contain_text(str(COUNT - 1))
    await other.get_by_label("Words").fill("nothing of the kind")
    await other.get_by_role("button", name="Filter").click()
    await expect(other.locator("tbody tr")).to_have_count(0)
    await context.close()


async def test_a_line_is_a_link_without_scripts(browser: Browser, page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    context = await browser.new_context(java_script_enabled=False)
    other = await context.new_page()
    await other.goto(page.url.partition("?")[0])
    await other.get_by_role("link", name="Show a line a token").click()
    await other.locator("#line-3").click()
    await expect(other.locator("#panel")).to_have_attribute("data-position", "3")
    await expect(other.locator("#line-3")).to_have_attribute("aria-current", "true")
    await context.close()
