"""The lens map, the curves and the keys in a real browser."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import LINES, Watched
from tests.browser.test_fake import COUNT, FOCUS, ask
from tests.fakes import LAYERS, FakePair

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
CELL = 30  # px: the map's widest cell
LEFT, GAP, HEIGHT = 46, 5, 13


async def finished(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await in_sight(page)


async def in_sight(page: Page) -> None:
    """The map, with its numbers: before they are there nothing lies under the mouse."""
    await page.locator("lens-map").scroll_into_view_if_needed()
    await expect(page.locator("lens-map .window")).to_have_attribute("aria-busy", "false")


async def pixel(page: Page, column: int, row: int) -> tuple[float, float]:
    """Where a cell of the map is on the page; rows count from the first layer."""
    box = await page.locator("lens-map").bounding_box()
    assert box is not None
    down = (LAYERS - 1 - row + 0.5) * HEIGHT + (GAP if row < LAYERS - 1 else 0) + 3
    return box["x"] + 1 + LEFT + (column + 0.5) * CELL, box["y"] + down


async def test_a_cell_shows_its_guesses_and_a_click_pins_it(page: Page) -> None:
    await finished(page)
    x, y = await pixel(page, 3, 0)
    await page.mouse.move(x, y)
    await expect(page.locator("lens-map .cell h3")).to_contain_text("layer 0 guesses")
    await page.mouse.click(x, y)
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await expect(page).to_have_url(re.compile(r"\?t=3&layer=0$"))
    await expect(page.locator("#panel .cell h3")).to_contain_text("layer 0 guesses")


async def test_the_map_is_moved_over_by_keys(page: Page) -> None:
    await finished(page)
    await page.evaluate("document.querySelector('lens-map').shadowRoot.querySelector('.window').focus()")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowUp")
    await expect(page.locator("lens-map .cell h3")).to_contain_text("the model's output guesses")
    await page.keyboard.press("Enter")
    await expect(page.locator("#panel")).to_have_attribute("data-position", str(FOCUS + 1))


async def test_the_metric_is_switched_in_place_and_in_the_address(page: Page, watched: Watched) -> None:
    await finished(page)
    async with page.expect_response("**/cells?metric=rank"):
        await page.locator("#lens .choices").get_by_text("rank").click()
    await expect(page).to_have_url(re.compile(r"metric=rank"))
    await page.click("#tok-3")
    await expect(page).to_have_url(re.compile(r"t=3&metric=rank"))


async def test_a_colleague_opens_exactly_this_view(page: Page) -> None:
    await finished(page)
    await page.goto(f"{page.url.partition('?')[0]}?t=3&p=5,7&layer=1&metric=kl&scale=log&w=x")
    await expect(page.locator(LINES)).to_have_count(4)
    await expect(page.locator(".layers .choices [aria-current]")).to_have_text("probability, logarithmic")
    await expect(page.locator("#lens .choices [aria-current]")).to_have_text("KL")
    await expect(page.locator("#panel .cell h3")).to_contain_text("layer 1 guesses")


async def test_keys_move_over_layers_and_keep_curves(page: Page) -> None:
    await finished(page)
    await page.click("#tok-3")
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("#panel .cell h3")).to_contain_text("layer 0 guesses")
    await page.keyboard.press("p")
    await expect(page.locator("#panel .pin")).to_have_text("Unpin its curve")
    await page.keyboard.press("ArrowRight")
    await expect(page).to_have_url(re.compile(r"\?t=4&p=3&layer=0$"))
    await expect(page.locator(LINES)).to_have_count(2)


async def test_a_word_is_compared_and_taken_away(page: Page) -> None:
    await finished(page)
    await page.fill(".ask [name=typed]", "xy")
    await page.keyboard.press("Enter")
    await expect(page.locator("#panel")).to_contain_text("xy is 2 tokens (x, y): the line follows the first.")
    await page.locator(".lines .away").click()
    await expect(page.locator(LINES)).to_have_count(1)
    await expect(page).not_to_have_url(re.compile("w="))


async def test_a_layer_under_the_mouse_is_told_in_figures(page: Page) -> None:
    await finished(page)
    curve = page.locator("layer-curve")
    await expect(curve.locator("div[role=img]")).to_have_attribute("aria-label", re.compile("over 3 layers"))
    await curve.locator("g[aria-label=dot] circle").nth(1).hover(force=True)  # Plot draws the largest first
    await expect(curve.locator("g[aria-label=tip]")).to_contain_text(
        re.compile(r"layer 0.*rank \d+.*first guess")
    )


async def test_without_its_library_the_curve_is_still_a_table(page: Page, watched: Watched) -> None:
    await finished(page)  # first: with routes set, a stream that begins is now and then not let through
    await page.route("**/vendor/plot.min.js*", lambda route: route.abort())
    await page.reload()
    await expect(page.locator("layer-curve")).to_contain_text("Its table below holds the same.")
    await page.get_by_text("The curve as a table").click()
    await expect(page.locator(".layers tbody tr")).to_have_count(LAYERS)
    watched.complaints.clear()  # the script that we held back


async def test_words_are_found_in_text_and_readings(page: Page) -> None:
    await finished(page)
    await page.keyboard.press("/")
    await page.keyboard.type("yo")
    await expect(page.locator("#find-count")).to_have_text("1 found")
    await expect(page.locator(".tok.found")).to_have_id("tok-4")
    await page.keyboard.press("Enter")
    await expect(page.locator("#panel")).to_have_attribute("data-position", "4")
    await page.fill("#find", "sample 0")
    await expect(page.locator("#find-count")).to_have_text(f"{COUNT} found")


async def test_only_the_pinned_token_is_a_stop_of_the_tab_key(page: Page) -> None:
    await finished(page)
    await expect(page.locator('#text .tok[tabindex="0"]')).to_have_id(f"tok-{FOCUS}")
    await expect(page.locator('#text .tok:not([tabindex="-1"])')).to_have_count(1)


async def test_the_keys_are_listed(page: Page) -> None:
    await finished(page)
    await page.keyboard.press("?")
    await expect(page.locator("#keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#keys")).to_be_hidden()
    await page.get_by_role("button", name="Keys").click()
    await expect(page.locator("#keys")).to_be_visible()


async def test_the_first_visit_is_explained_once(page: Page) -> None:
    await finished(page)
    await expect(page.locator("#first")).to_be_visible()
    await page.get_by_role("button", name="Got it").click()
    await expect(page.locator("#first")).to_be_hidden()
    await page.reload()
    await expect(page.locator(".tok").first).to_be_visible()
    await expect(page.locator("#first")).to_be_hidden()


async def test_one_switch_changes_the_lens_of_map_and_curve(
    page: Page, pair: FakePair, watched: Watched
) -> None:
    pair.target.has_tuned_lens = True
    await finished(page)
    line = page.locator(LINES)
    plain = await line.get_attribute("d")
    async with page.expect_response("**/cells?metric=prob&lens=tuned"):
        await page.locator("#lens .which").get_by_text("tuned lens").click()
    await expect(page).to_have_url(re.compile(r"lens=tuned"))
    await expect(page.locator("#lens h2")).to_have_text("Tuned lens")
    await expect(line).not_to_have_attribute("d", str(plain))
    await in_sight(page)
    x, y = await pixel(page, 3, 0)
    async with page.expect_response("**/cell?lens=tuned&t=3&layer=0"):
        await page.mouse.move(x, y)
    async with page.expect_response("**/cells?metric=kl&lens=tuned"):
        await page.locator("#lens .choices").get_by_text("KL").click()
    await page.locator(".layers .which").get_by_text("logit lens").click()
    await expect(page.locator("#lens h2")).to_have_text("Logit lens")
    await expect(line).to_have_attribute("d", str(plain))
    assert watched.complaints == []


async def test_a_click_is_marked_at_once_and_takes_the_outline_with_the_answer(page: Page) -> None:
    await finished(page)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await page.route("**/panel*", hold)
    outlined = page.locator("#text [aria-current]")
    before = await outlined.get_attribute("id")
    asked = await page.evaluate(
        "() => { document.querySelector('#tok-3').click();"
        " return [document.querySelector('#tok-3').ariaBusy, document.querySelector('#text [aria-current]').id]; }"
    )
    assert asked == ["true", before]
    held.set()
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await expect(outlined).to_have_attribute("id", "tok-3")


async def test_keys_lead_to_the_next_turn_the_next_low_score_and_the_words(page: Page) -> None:
    await finished(page)
    panel = page.locator("#panel")
    firsts = await page.locator("#text .row").evaluate_all(
        "rows => rows.map((row) => row.querySelector('.tok:not(.special)')?.id.slice(4)).filter(Boolean)"
    )
    here = int(await panel.get_attribute("data-position") or 0)
    following = next((first for first in firsts if int(first) > here), firsts[0])
    await page.keyboard.press("t")
    await expect(panel).to_have_attribute("data-position", following)
    await page.keyboard.press("l")
    await expect(panel).not_to_have_attribute("data-position", following)
    await page.keyboard.press("w")
    await expect(panel.locator(".edits textarea")).to_be_focused()


async def test_what_is_sought_is_marked_in_the_reading(page: Page) -> None:
    await finished(page)
    marked = "() => [...(CSS.highlights.get('found') ?? [])].map(String)"
    await page.fill("#find", "Sample 0")
    assert set(await page.evaluate(marked)) == {"sample 0"}
    await page.fill("#find", "")
    assert await page.evaluate(marked) == []
