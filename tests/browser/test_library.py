"""The library and exported files in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Watched
from tests.browser.test_fake import ask

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def analysed(page: Page, address: str, *prompts: str) -> None:
    for prompt in prompts:
        await page.goto(address)
        await ask(page, prompt)
        await expect(page.locator("#status.is-done")).to_be_visible()


async def test_a_deleted_line_is_gone_at_once_and_undone_in_its_place(page: Page, address: str) -> None:
    await analysed(page, address, "cats", "dogs")
    await page.goto(f"{address}/library")
    await page.get_by_role("button", name="Delete “dogs”").click()
    undo = page.get_by_role("button", name="Undo")
    await expect(undo).to_be_focused()
    await expect(page.locator(".listing li a")).to_have_text(["cats"])
    await undo.press("Enter")
    await expect(page.locator(".listing li a")).to_have_text(["dogs", "cats"])


async def test_the_list_follows_what_is_typed_and_chosen(page: Page, address: str) -> None:
    await analysed(page, address, "cats", "dogs")
    await page.goto(f"{address}/library")
    await page.fill("#q", "ogs")
    await expect(page.locator(".listing li a")).to_have_text(["dogs"])
    await expect(page).to_have_url(re.compile(r"[?&]q=ogs"))
    await page.select_option("select[name=status]", "failed")
    await expect(page.locator("#results")).to_contain_text("Nothing fits.")


@pytest.fixture
async def exported(page: Page, address: str, tmp_path: Path) -> Path:
    """A file that was exported by its link."""
    await analysed(page, address, "Hi you")
    await page.get_by_text("Export", exact=True).click()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="HTML").click()
    file = await download.value
    assert re.fullmatch(r"fake_hi-you_[a-z2-7]{16}\.html", file.suggested_filename)
    await file.save_as(tmp_path / "analysis.html")
    return tmp_path / "analysis.html"


async def test_an_exported_file_works_without_a_server(browser: Browser, exported: Path) -> None:
    context = await browser.new_context(offline=True, reduced_motion="reduce")
    page, watched = await context.new_page(), Watched(context)
    await page.goto(exported.as_uri())
    await page.click("#tok-3")
    await expect(page.locator("#reading-3")).to_contain_text("Holds 100\u202f% of the activation")
    await expect(page.locator(".panel:visible")).to_have_count(1)
    await expect(page.locator("#text [aria-current]")).to_have_id("tok-3")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#reading-4")).to_be_visible()
    await page.click("#line-5")
    await expect(page.locator("#reading-5")).to_be_in_viewport()
    await expect(page.locator(".gloss[aria-current]")).to_have_id("line-5")
    fonts = await page.evaluate(
        "document.fonts.ready.then(() => document.fonts.check('1rem \"Source Serif\"'))"
    )
    assert fonts
    assert watched.elsewhere("file:") == []
    assert watched.complaints == []
    await context.close()


async def test_an_exported_file_works_without_scripts(browser: Browser, exported: Path) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(exported.as_uri())
    await expect(page.locator(".panel:visible")).to_have_count(1)
    await page.click("#tok-3")
    await expect(page.locator("#reading-3")).to_be_visible()
    await expect(page.locator(".panel:visible")).to_have_count(1)
    await context.close()
