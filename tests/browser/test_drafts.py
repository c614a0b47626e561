"""Drafts of edits in a real browser: nothing that was typed is lost before it has been run."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.conftest import PATIENCE, Watched
from tests.browser.test_edits import SENT, WORDS
from tests.browser.test_fake import ask
from tests.fakes import FakePair

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
MARKED = "#text .tok.drafted"
NOTE = "p[data-drafted]"


@pytest.fixture
async def edited(page: Page) -> Page:
    """A finished analysis, the form of the third token open, with words typed into it."""
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await look(page, 3)
    await page.get_by_text("Edit the words, patch the model").click()
    await page.fill(WORDS, "Half a thought")
    return page


async def look(page: Page, position: int) -> None:
    await page.click(f"#tok-{position}")
    await expect(page.locator("#panel")).to_have_attribute("data-position", str(position))


async def test_a_draft_outlasts_another_token_and_a_new_visit(edited: Page) -> None:
    page = edited
    await page.select_option("[name=mode]", "steer")
    await page.fill("[name=alpha]", "0.7")
    await page.check("[name=sweep]")
    await page.fill("[name=watch]", "Rome")
    box = page.locator("[name^=target-]").nth(1)
    await box.check()
    word = await box.input_value()
    await look(page, 4)
    await expect(page.locator(WORDS)).not_to_have_value("Half a thought")
    await expect(page.locator(NOTE)).to_be_hidden()
    await expect(page.locator(MARKED)).to_have_id("tok-3")
    await expect(page.locator(MARKED)).to_have_attribute("aria-label", re.compile("draft of an edit$"))
    for again in (look(page, 3), page.reload()):
        await again
        await expect(page.locator(WORDS)).to_be_visible()
        await expect(page.locator(WORDS)).to_have_value("Half a thought")
        await expect(page.locator("[name=mode]")).to_have_value("steer")
        await expect(page.locator("[name=alpha]")).to_have_value("0.7")
        await expect(page.locator("[name=sweep]")).to_be_checked()
        await expect(page.locator("[name=watch]")).to_have_value("Rome")
        await expect(page.locator(f"[name^=target-][value='{word}']")).to_be_checked()
        await expect(page.locator(NOTE)).to_be_visible()


async def test_what_has_been_run_is_no_draft(edited: Page) -> None:
    page = edited
    await page.get_by_role("button", name=SENT).click()
    await expect(page.locator(".edited")).to_be_visible()
    await expect(page.locator(MARKED)).to_have_count(0)
    await expect(page.locator(NOTE)).to_be_hidden()
    await look(page, 4)
    await look(page, 3)
    await expect(page.locator(NOTE)).to_be_hidden()


async def test_what_is_run_while_another_token_is_looked_at_is_no_draft(edited: Page, pair: FakePair) -> None:
    page = edited
    pair.reconstructor.hold.clear()
    async with page.expect_response("**/edit?**"):
        await page.get_by_role("button", name=SENT).click()
        await look(page, 4)
        await expect(page.locator(MARKED)).to_have_id("tok-3")
        pair.reconstructor.hold.set()
    await look(page, 3)
    await expect(page.locator(".earlier a")).to_have_text("Half a thought")
    await expect(page.locator(MARKED)).to_have_count(0)


async def test_what_is_typed_while_it_runs_is_a_draft_of_its_own(edited: Page, pair: FakePair) -> None:
    page = edited
    pair.reconstructor.hold.clear()
    await page.get_by_role("button", name=SENT).click()
    await page.fill(WORDS, "A better thought")
    pair.reconstructor.hold.set()
    await expect(page.locator(".edited .diff")).to_contain_text("Half a thought")
    await expect(page.locator(WORDS)).to_have_value("A better thought")
    await page.reload()
    await expect(page.locator(WORDS)).to_have_value("A better thought")


async def test_a_lost_connection_loses_no_draft(edited: Page, watched: Watched) -> None:
    page = edited

    async def lost(route: Route) -> None:
        await route.abort()

    await page.route("**/edit?**", lost)
    async with page.expect_event("requestfailed"):
        await page.get_by_role("button", name=SENT).click()
    await page.reload()
    await expect(page.locator(WORDS)).to_have_value("Half a thought")
    await expect(page.locator(MARKED)).to_have_id("tok-3")
    assert all("Failed to" in said or "fetch" in said.lower() for said in watched.complaints)
    watched.complaints.clear()  # the browser's own, of the connection


async def test_what_cannot_be_run_stays_a_draft(edited: Page, watched: Watched) -> None:
    page = edited
    await page.select_option("[name=mode]", "steer")
    await page.fill("[name=alpha]", "much")
    await page.get_by_role("button", name=SENT).click()
    await expect(page.locator(".edits .error")).to_be_visible()
    await look(page, 4)
    await look(page, 3)
    await expect(page.locator("[name=alpha]")).to_have_value("much")
    assert all("422" in said for said in watched.complaints)
    watched.complaints.clear()


async def test_a_discarded_draft_gives_the_reading_back(edited: Page) -> None:
    page = edited
    await page.get_by_role("button", name="Discard it").click()
    await expect(page.locator(WORDS)).to_be_focused()
    await expect(page.locator(WORDS)).not_to_have_value("Half a thought")
    await expect(page.locator(MARKED)).to_have_count(0)
    await page.reload()
    await expect(page.locator(NOTE)).to_be_hidden()


async def test_typing_the_reading_back_leaves_no_draft(edited: Page) -> None:
    page = edited
    await page.fill(WORDS, await page.locator(WORDS).evaluate("area => area.defaultValue"))
    await expect(page.locator(MARKED)).to_have_count(0)


@pytest.fixture
async def bare(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser that htmx does not reach."""
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE)
    await context.route("**/htmx*.js*", lambda route: route.abort())
    yield context
    await context.close()


async def test_without_htmx_too_a_draft_lasts_until_it_is_run(page: Page, bare: BrowserContext) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    there = await bare.new_page()
    await there.goto(f"{page.url.partition('?')[0]}?t=3")
    await there.get_by_text("Edit the words, patch the model").click()
    await there.fill(WORDS, " Half a thought ")
    await look(there, 4)
    await expect(there.locator(MARKED)).to_have_id("tok-3")
    await look(there, 3)
    await expect(there.locator(WORDS)).to_have_value(" Half a thought ")
    await there.get_by_role("button", name=SENT).click()
    await expect(there.locator(".edited .diff")).to_contain_text("Half a thought")
    await expect(there.locator(MARKED)).to_have_count(0)
