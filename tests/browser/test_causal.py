"""Causal scores in a real browser: asked for, followed to their end, and as the colours of the text."""

from __future__ import annotations

import math
import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.test_fake import ask
from tests.fakes import FakePair, held

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def test_the_scores_of_a_text_are_measured_and_colour_it(page: Page, address: str) -> None:
    await page.goto(address)
    await ask(page, "cats purr")
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_role("button", name="Measure causal scores").click()
    await expect(page.locator("#causal .scatter")).to_be_visible()
    await expect(page.locator("#panel .doubt")).to_contain_text("In the activation\u2019s place")
    first = page.locator("#causal .scatter a").first
    await first.focus()
    await first.press("Enter")
    await expect(page).to_have_url(re.compile(r"[?&]t=\d+"))
    await page.locator("#legend").get_by_role("link", name="causal score").click()
    await expect(page).to_have_url(re.compile(r"by=causal"))
    await expect(page.locator("#legend")).to_contain_text("what the mean activation breaks")
    await expect(page.locator("#text .tok.scored").first).to_have_attribute(
        "title", re.compile("undoes|hardly matters")
    )


async def test_one_that_takes_long_is_followed_and_can_be_stopped(
    page: Page, address: str, pair: FakePair
) -> None:
    await page.goto(address)
    await ask(page, "cats purr")
    await expect(page.locator("#status.is-done")).to_be_visible()
    with held(pair.target.hold):
        await page.get_by_role("button", name="Measure causal scores").click()
        await expect(page.locator("#causal [role=status]")).to_be_visible()
        await page.locator("#causal").get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("button", name="Measure causal scores")).to_be_visible()


async def test_scores_are_shown_one_by_one_while_they_are_measured(
    page: Page, address: str, pair: FakePair
) -> None:
    await page.goto(address)
    await ask(page, "cats purr")
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.goto(f"{page.url.partition('?')[0]}?by=causal&t=1")
    pair.target.most_patches = 17  # those of three readings, and a part of the fourth's
    await page.get_by_role("button", name="Measure causal scores").click()
    await expect(page.locator("#causal .scatter a")).to_have_count(3)
    await expect(page.locator("#tok-1")).to_have_attribute("title", re.compile("undoes|hardly matters"))
    await expect(page.locator("#tok-6")).to_have_attribute("title", re.compile("not yet scored"))
    await expect(page.locator("#panel .doubt")).to_contain_text("In the activation\u2019s place")
    await expect(page.locator("#causal").get_by_role("button", name="Cancel")).to_be_visible()
    pair.target.most_patches = math.inf
    pair.target.hold.set()
    await expect(page.locator("#causal .causal-words")).to_be_visible()
    await expect(page.locator("#tok-6")).to_have_attribute("title", re.compile("undoes|hardly matters"))
    await expect(page.locator("#causal .scatter a")).not_to_have_count(3)


async def test_what_carries_a_reading_is_found_out_and_other_words_are_tried(
    page: Page, address: str
) -> None:
    await page.goto(address)
    await ask(page, "cats purr")
    await expect(page.locator("#status.is-done")).to_be_visible()
    parts = page.locator("#panel .parts")
    await parts.get_by_role("button", name="Which words carry it?").click()
    await expect(parts.locator(".carried")).to_be_visible()
    await parts.get_by_text("With other words beside it").click()
    await parts.get_by_label("A paraphrase").fill("about dogs\nabout mice")
    await parts.get_by_role("button", name="Read again").click()
    await expect(parts.get_by_text("other words, 2")).to_be_visible()


async def test_the_readings_are_shuffled_and_scored_again(page: Page, address: str) -> None:
    await page.goto(address)
    await ask(page, "cats purr")
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_role("button", name="Measure causal scores").click()
    await page.get_by_role("button", name="Shuffle the readings").click()
    await expect(page.locator("#form-test tbody tr")).to_have_count(3)


async def test_they_can_be_asked_for_with_the_analysis(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_text("More settings").click()
    await page.get_by_label("Causal scores too").check()
    await ask(page, "cats purr")
    await expect(page.locator("#causal .scatter")).to_be_visible()


async def test_the_tables_do_not_widen_a_phones_page(page: Page, address: str) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(address)
    await ask(page, "cats purr. dogs bark. mice run. owls fly.")  # as many sentences as give intervals
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_role("button", name="Measure causal scores").click()
    await page.get_by_role("button", name="Shuffle the readings").click()
    await expect(page.locator("#form-test tbody tr")).to_have_count(3)
    assert await page.evaluate("document.scrollingElement.scrollWidth") == 390
