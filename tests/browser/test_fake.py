"""The page in a real browser, on a pair that is slow, broken or exact on demand."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from server.settings import Settings
from tests.browser.conftest import LINES, Watched, answering
from tests.conftest import running
from tests.fakes import FakePair, FakeSource

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

PROMPT = "Hi you"  # <start>, six letters, <end>, <start>, then the reply of eleven
FOCUS, COUNT = 6, 20


async def ask(page: Page, prompt: str = PROMPT) -> None:
    await page.fill("#prompt", prompt)
    await page.get_by_role("button", name="Analyse").click()
    await page.wait_for_url("**/a/*")


async def test_the_form_tells_how_long_the_text_is_while_it_is_typed(page: Page, address: str) -> None:
    await page.goto(address)
    told = page.locator(".forecast")
    await expect(told).to_contain_text("of at most 2,000 tokens")
    await page.get_by_label("Prompt", exact=True).fill("cats purr")
    await page.get_by_label("Reply up to").fill("0")
    await expect(told).to_have_text("12 of at most 2,000 tokens; 12 readings")
    await page.get_by_label("Prompt", exact=True).fill("")
    await expect(told).to_have_text("")


async def test_tokens_words_and_colours_arrive_while_one_watches(page: Page, pair: FakePair) -> None:
    pair.verbaliser.limit(0)
    await ask(page)
    await expect(page.locator(".tok")).to_have_count(COUNT)
    await expect(page.locator(LINES)).to_be_visible()
    await expect(page.locator(f"#reading-{FOCUS} blockquote")).to_contain_text("sample 0 says")
    await expect(page.locator(".tok.scored")).to_have_count(0)
    pair.verbaliser.allow()
    await expect(page.locator(".tok.scored")).to_have_count(COUNT)
    await expect(page.locator("#status")).to_contain_text(f"{COUNT} positions read")
    await expect(page.locator(f"#reading-{FOCUS}")).to_contain_text("Holds 100\u202f% of the activation")


async def test_the_chart_takes_the_place_of_the_plain_drawing(page: Page) -> None:
    await ask(page)
    await expect(page.locator(LINES)).to_be_visible()
    await expect(page.locator(".plain-curve")).to_be_hidden()


async def test_progress_counts_finished_readings(page: Page, pair: FakePair) -> None:
    pair.verbaliser.limit(3)
    await ask(page)
    await expect(page.locator("#status")).to_contain_text(f"3 of {COUNT}")
    pair.verbaliser.allow()
    await expect(page.locator("#status.is-done")).to_be_visible()


async def test_a_click_pins_and_the_words_follow(page: Page, pair: FakePair, watched: Watched) -> None:
    pair.verbaliser.limit(0)
    await ask(page)
    await page.click("#tok-3")
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await expect(page).to_have_url(re.compile(r"\?t=3$"))
    await expect(page.locator("#text [aria-current]")).to_have_id("tok-3")
    pair.verbaliser.allow()
    await expect(page.locator("#reading-3 blockquote")).to_contain_text("sample 0 says")
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator("#text [aria-current]")).to_have_id("tok-3")
    assert watched.paths("/stream")[-1].endswith("/stream?t=3")


async def test_the_stream_is_closed_when_the_work_is_done(page: Page, watched: Watched) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator(r"#stream[hx-sse\:connect]")).to_have_count(0)  # a moment after the last change
    await page.click("#tok-3")
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    assert len(watched.paths("/stream")) <= 1


async def test_arrow_keys_go_from_token_to_token(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#panel")).to_have_attribute("data-position", str(FOCUS + 1))
    await expect(page.locator(f"#tok-{FOCUS + 1}")).to_be_focused()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#panel")).to_have_attribute("data-position", str(FOCUS - 1))


async def test_the_reading_of_each_token_is_announced(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.reload()
    said = page.locator("[aria-live=polite]#announced")
    await expect(said).to_be_empty()
    for position in (FOCUS + 1, FOCUS + 2):
        await page.keyboard.press("ArrowRight")
        words = await page.locator(f"#reading-{position} blockquote").text_content()
        title = await page.locator("#panel h2").text_content()
        await expect(said).to_have_text(f"{title}. {words}. Holds 100\u202f% of the activation")


async def test_a_reading_that_comes_later_is_announced_when_it_is_written(page: Page, pair: FakePair) -> None:
    pair.verbaliser.limit(1)
    await ask(page)
    await expect(page.locator(".tok.scored")).to_have_count(1)
    await page.click("#tok-9")
    said = page.locator("#announced")
    await expect(said).to_contain_text("Not yet read")
    pair.verbaliser.allow()
    await expect(said).to_contain_text("sample 0 says")


async def test_stepping_through_tokens_keeps_the_focus(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_role("link", name="Next token").focus()
    for position in (FOCUS + 1, FOCUS + 2):
        await page.keyboard.press("Enter")
        await expect(page.locator("#panel")).to_have_attribute("data-position", str(position))
    await expect(page.get_by_role("link", name="Next token")).to_be_focused()


async def test_back_and_forward_pin_what_was_pinned(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    for position in ("3", "4"):
        await page.click(f"#tok-{position}")
        await expect(page.locator("#panel")).to_have_attribute("data-position", position)
    await page.go_back()
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await expect(page.locator("#text [aria-current]")).to_have_id("tok-3")
    await page.go_forward()
    await expect(page.locator("#panel")).to_have_attribute("data-position", "4")


async def test_what_is_cancelled_can_go_on(page: Page, pair: FakePair) -> None:
    pair.verbaliser.limit(2)
    await ask(page)
    await expect(page.locator("#status")).to_contain_text(f"2 of {COUNT}")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#status")).to_contain_text("was cancelled")
    pair.verbaliser.allow()
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator("#status.is-done")).to_be_visible()


async def test_an_engine_that_dies_is_told_with_its_reason(page: Page, pair: FakePair) -> None:
    pair.verbaliser.dies_after = 4
    await ask(page)
    await expect(page.locator("#status")).to_contain_text("The engine died.")
    await expect(page.get_by_role("button", name="Continue")).to_be_visible()


async def test_one_broken_position_is_one_marked_token(page: Page, pair: FakePair) -> None:
    pair.verbaliser.broken = {2}
    await ask(page)
    await expect(page.locator("#status.is-done")).to_contain_text("1 failed")
    await expect(page.locator(".tok.failed")).to_have_id("tok-2")
    await page.click("#tok-2")
    await expect(page.locator("#reading-2")).to_contain_text("The AV choked on this one.")


async def test_a_hidden_tab_catches_up_when_it_is_shown_again(page: Page, pair: FakePair) -> None:
    pair.verbaliser.limit(1)
    await ask(page)
    await expect(page.locator(".tok.scored")).to_have_count(1)
    show = "hidden => { Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden}); "
    show += "document.dispatchEvent(new Event('visibilitychange')); }"
    await page.evaluate(show, True)
    pair.verbaliser.allow()
    await page.evaluate(show, False)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator(".tok.scored")).to_have_count(COUNT)


async def test_hostile_text_is_shown_and_not_run(page: Page) -> None:
    hostile = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"
    await ask(page, hostile)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator("h1")).to_have_text(hostile)
    assert await page.evaluate("window.pwned") is None


async def test_a_missing_prompt_is_told_beside_the_prompt(page: Page, address: str, watched: Watched) -> None:
    await page.fill("#prompt", "")
    await page.get_by_role("button", name="Analyse").click()
    await expect(page.locator("#error-prompt")).to_have_text("Type a prompt first.")
    watched.complaints.clear()  # the browser notes the 422 in its console


async def test_more_than_the_server_reads_is_told_before_it_is_sent(page: Page, watched: Watched) -> None:
    await page.locator("#prompt").evaluate("field => field.dataset.letters = 50")
    await expect(page.locator(".forecast")).not_to_be_empty()
    before = len(watched.requests)
    await page.fill("#prompt", "x" * 51)
    await page.get_by_role("button", name="Analyse").click()
    said = await page.locator("#prompt").evaluate("field => field.validationMessage")
    assert said == "This has 51 letters; the server takes up to 50."
    await expect(page.locator(".forecast")).to_be_empty()
    assert not [request for request in watched.requests[before:] if request.method == "POST"]
    await page.fill("#prompt", "x")
    assert await page.locator("#prompt").evaluate("field => field.checkValidity()")


async def test_lines_run_in_their_own_directions_before_and_after_they_are_tokens(
    page: Page, pair: FakePair
) -> None:
    pair.verbaliser.limit(0)
    await ask(page, "ab\n\u05d0\u05d1\u05d2")
    await expect(page.locator(".tok")).not_to_have_count(0)
    places = await page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('.tok')]"
        ".map(token => [token.textContent.trim(), token.getBoundingClientRect().x]))"
    )
    assert places["a"] < places["b"]
    assert places["\u05d0"] > places["\u05d1"] > places["\u05d2"]


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_chat_of_several_turns_is_typed_and_comes_back(
    browser: Browser, address: str, scripts: bool
) -> None:
    context = await browser.new_context(java_script_enabled=scripts)
    page = await context.new_page()
    await page.goto(address)
    loads: list[str] = []
    page.on("domcontentloaded", lambda _: loads.append(page.url))
    await page.fill("#prompt", "12 * 3")
    await page.get_by_role("button", name="Add a turn").click()
    await expect(page.locator("#turn-0-content")).to_be_focused()
    await page.keyboard.type("12 * 3 = 36")
    await page.get_by_role("button", name="Add a turn").click()
    await expect(page.locator("#turn-1-content")).to_be_focused()
    await page.keyboard.type("21 * 4")
    await page.get_by_role("button", name="Add a turn").click()
    await page.get_by_role("button", name="Remove turn 4").click()
    await expect(page.locator("#turn-2-content")).to_have_count(0)
    assert bool(loads) is not scripts
    await page.get_by_text("Beginning of the reply").first.click()
    await page.fill("#prefill", "21 * 4 =")
    await page.focus("[name=reply_tokens]")
    await page.keyboard.press("Enter")  # it analyses, whatever buttons stand before that
    await page.wait_for_url("**/a/*")
    await page.get_by_role("link", name="Edit and run again").click()
    await expect(page.locator("#prompt")).to_have_value("12 * 3")
    await expect(page.locator("#turn-0-content")).to_have_value("12 * 3 = 36")
    await expect(page.locator("#turn-1-content")).to_have_value("21 * 4")
    await expect(page.locator("#prefill")).to_have_value("21 * 4 =")
    await context.close()


async def test_an_example_is_one_click(page: Page) -> None:
    await page.get_by_role("button", name="What are you hiding?").click()
    await page.wait_for_url("**/a/*")
    await expect(page.locator("h1")).to_have_text("What are you hiding?")


async def test_an_analysis_can_be_edited_and_run_again(page: Page) -> None:
    await ask(page)
    await page.get_by_role("link", name="Edit and run again").click()
    await expect(page.locator("#prompt")).to_have_value(PROMPT)


async def test_the_link_is_copied_with_the_pinned_token(page: Page, context: BrowserContext) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_role("button", name="Copy link").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert (await page.evaluate("navigator.clipboard.readText()")).endswith(f"?t={FOCUS}")


async def test_the_library_finds_words_of_a_prompt(page: Page) -> None:
    await ask(page, "A kettle of fish")
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_role("link", name="Library").click()
    await page.fill("#q", "kettle")
    await expect(page.locator("#results")).to_contain_text("1 analysis with")
    await page.fill("#q", "teapot")
    await expect(page.locator("#results")).to_contain_text("Nothing fits.")


async def test_nothing_runs_off_a_phones_screen(page: Page, address: str) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    await ask(page, "word " * 60 + "x" * 300)
    await expect(page.locator("#status.is-done")).to_be_visible()
    for path in (page.url.removeprefix(address), "/", "/library"):
        await page.goto(address + path)
        width = await page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= 390, f"{page.url} is {width} wide"


async def test_on_a_phone_the_pinned_token_stays_above_the_sheet(page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 700})
    await ask(page, "word " * 60)
    await expect(page.locator("#status.is-done")).to_be_visible()

    async def in_sight(position: int) -> None:
        await expect(page.locator("#panel")).to_have_attribute("data-position", str(position))
        await page.wait_for_function(
            "id => { const box = document.getElementById(id).getBoundingClientRect();"
            " return box.top > 0 && box.bottom <= document.getElementById('panel').getBoundingClientRect().top; }",
            arg=f"tok-{position}",
        )

    for position in (
        250,
        10,
        300,
    ):  # opened, then by a step of the panel, whatever had been scrolled in between
        await page.goto(f"{page.url.partition('?')[0]}?t={position}")
        await in_sight(position)
        await page.evaluate("scrollTo(0, 0)")
        await page.locator("#step-next").evaluate("link => link.click()")
        await in_sight(position + 1)


async def test_the_panel_moves_with_the_page_and_a_token_brings_its_reading_back(page: Page) -> None:
    await page.set_viewport_size({"width": 1280, "height": 500})
    await ask(page, "word " * 120)
    await expect(page.locator("#status.is-done")).to_be_visible()
    panel = page.locator("#panel")
    assert await panel.evaluate(
        "panel => panel.scrollHeight === panel.clientHeight && panel.clientHeight > innerHeight"
    )
    await page.evaluate("scrollTo(0, document.querySelector('#text').offsetTop + 1200)")
    await expect(page.locator("#panel .what")).to_be_in_viewport()
    await expect(page.locator("#panel h2")).not_to_be_in_viewport()
    await page.evaluate("document.querySelector('#tok-100').click()")
    await expect(page.locator("#panel")).to_have_attribute("data-position", "100")
    await expect(page.locator("#panel h2")).to_be_in_viewport()


async def test_on_a_phone_the_labels_of_compared_texts_are_whole_words(page: Page, address: str) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    id = page.url.rpartition("/")[2].partition("?")[0]
    await page.goto(f"{address}/compare?a={id}&b={id}")
    for label in await page.locator(".sides .role").all():
        box = await label.bounding_box()
        assert box
        assert (box["width"] > 300, box["height"] < 40) == (True, True), await label.text_content()


async def test_on_paper_all_is_open_and_nothing_is_a_control(page: Page) -> None:
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator(".near li").first).to_be_hidden()
    await page.emulate_media(media="print", color_scheme="dark")
    for opened in (
        ".near li >> nth=0",
        ".what p >> nth=0",
        "#all-readings tbody tr >> nth=0",
        "#panel blockquote",
    ):
        await expect(page.locator(opened)).to_be_visible()
    for control in ("nav", ".tools", ".find", ".forget", ".edit", "button", ".choices"):
        await expect(page.locator(control).filter(visible=True)).to_have_count(0)
    cut, ink, paper = await page.evaluate(
        "() => [document.querySelector('#panel').scrollHeight - document.querySelector('#panel').clientHeight,"
        " getComputedStyle(document.body).color, getComputedStyle(document.documentElement).backgroundColor]"
    )
    assert (cut, ink, paper) == (0, "rgb(31, 33, 36)", "rgb(255, 255, 255)")


async def test_the_whole_way_without_scripts(browser: Browser, address: str) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(address)
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()  # it loads itself again until then
    await page.click("#tok-3")
    await expect(page).to_have_url(re.compile(r"\?t=3$"))
    await expect(page.locator("#reading-3")).to_contain_text("Holds 100\u202f% of the activation")
    await expect(page.get_by_role("img", name="Probability of")).to_be_visible()
    await page.click(".all summary")
    await expect(page.locator("#all-readings tbody tr")).to_have_count(COUNT)
    await context.close()


async def test_a_prompt_can_be_asked_while_the_models_load(
    context: BrowserContext, watched: Watched, settings: Settings, source: FakeSource
) -> None:
    source.loads.clear()
    async with running(settings, source, ready=False) as app, answering(app) as address:
        page = await context.new_page()
        await page.goto(address)
        await expect(page.locator("#models")).to_contain_text("loading")
        await ask(page)
        await expect(page.locator("#status")).to_contain_text("loading the fake")
        await expect(page.locator(".untokenised")).to_have_text(PROMPT)
        source.loads.set()
        await expect(page.locator("#status.is-done")).to_be_visible()
        await expect(page.locator("#models")).to_contain_text("resident")
        await expect(page.locator("#panel")).to_have_attribute("data-position", str(FOCUS))
        assert watched.complaints == []


async def test_a_tap_between_tokens_takes_the_nearest_and_a_mouse_what_it_points_at(
    browser: Browser, address: str
) -> None:
    context = await browser.new_context(has_touch=True, viewport={"width": 390, "height": 2400})
    page = await context.new_page()
    await page.goto(address)
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    for position, below in ((5, 6), (3, 6)):
        box = await page.locator(f"#tok-{position}").bounding_box()
        assert box is not None
        place = box["x"] + box["width"] / 2, box["y"] + box["height"] + below
        at = "([x, y]) => document.elementFromPoint(x, y).closest('.tok')?.id"
        assert await page.evaluate(at, place) is None, "it is between two lines"
        await page.touchscreen.tap(*place)
        await expect(page.locator("#panel")).to_have_attribute("data-position", str(position))
    await page.mouse.click(box["x"] + 40, place[1])
    await page.touchscreen.tap(box["x"], box["y"] + 300)
    await expect(page.locator("#panel")).to_have_attribute("data-position", "3")
    await context.close()
