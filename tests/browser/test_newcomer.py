"""What a newcomer wants to know, on the examples that ship: each answer is at most three actions from the home page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import BrowserContext, Locator, Page, ViewportSize, expect

from server.settings import Settings
from tests.browser.conftest import Watched
from tests.browser.test_demo import LOADING, READING, server
from tests.browser.test_ribbon import SIZES

pytestmark = [pytest.mark.anyio, pytest.mark.demo]

MOST = 3


class Visit:
    """A page on which actions are counted: a press on something, a word typed, a key."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.actions = 0

    def _act(self) -> None:
        self.actions += 1
        assert self.actions <= MOST

    async def press(self, place: Locator) -> None:
        self._act()
        await place.click()

    async def type(self, place: Locator, words: str) -> None:
        self._act()
        await place.fill(words)

    async def key(self, key: str) -> None:
        self._act()
        await self.page.keyboard.press(key)

    async def example(self, title: str) -> None:
        """Press an example, which is there already read."""
        await self.press(self.page.get_by_role("button", name=title))
        await self.page.wait_for_url("**/a/*")
        await expect(self.page.locator("#status.is-done")).to_be_visible()


@pytest.fixture(params=SIZES, ids=["desk", "phone"])
def size(request: pytest.FixtureRequest) -> ViewportSize:
    found: ViewportSize = request.param
    return found


@pytest.fixture(scope="module")
async def home(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The home page of one server of the demo pair for all questions."""
    async with server(Settings(data_dir=tmp_path_factory.mktemp("newcomer"))) as address:
        yield address


@pytest.fixture
async def visit(
    context: BrowserContext, watched: Watched, home: str, size: ViewportSize
) -> AsyncIterator[Visit]:
    """The home page, as soon as the models are there."""
    page = await context.new_page()
    await page.set_viewport_size(size)
    await page.goto(home)
    await expect(page.locator("#models")).to_contain_text("resident", timeout=LOADING)
    yield Visit(page)
    assert watched.elsewhere(home) == []
    assert watched.complaints == []


async def test_what_does_it_expect_after_grab_it(visit: Visit) -> None:
    await visit.example("A rhyming couplet")
    token = visit.page.locator("#text .is-user .tok", has_text=re.compile(r"^,$"))
    await visit.press(token)
    said = visit.page.locator("#panel .compact div", has_text="next tokens")
    await expect(said.locator("dd").first).to_have_text(re.compile(r"\S"))
    await expect(visit.page.locator("#panel .layers .q").first).to_be_visible()
    assert await visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_where_does_the_text_turn_to_cats(visit: Visit) -> None:
    await visit.type(visit.page.locator("#prompt"), "The train was late again. My cat slept.")
    await visit.press(visit.page.get_by_role("button", name="Analyse"))
    await expect(visit.page.locator("#status.is-done")).to_be_visible(timeout=READING)
    await visit.type(visit.page.get_by_role("searchbox"), "cat")
    await expect(visit.page.locator("#find-count")).to_have_text(re.compile(r"^\d+ found$"))
    places = visit.page.locator("#text .is-user .tok.found")
    await expect(places.first).to_have_text(
        re.compile("cat")
    )  # nothing before it, in text or readings, has the word


async def test_did_it_know_paris_before_it_wrote_it(visit: Visit) -> None:
    await visit.example("The capital of France")
    await visit.type(visit.page.get_by_label("Follow a word"), "Paris")
    await visit.press(visit.page.get_by_role("button", name="Follow", exact=True))
    said = visit.page.locator(".word-facts li", has_text="Right before it")
    await expect(said).to_contain_text("the model's output gives it", use_inner_text=True)


async def test_does_it_change_its_mind_when_the_reading_says_spain(visit: Visit) -> None:
    await visit.example("The capital of France")
    await visit.press(visit.page.locator("#text .tok.has-edit"))
    verdict = visit.page.locator("#panel .edited .verdict")
    await expect(verdict).to_contain_text("Madrid")
    await expect(verdict).to_be_in_viewport()


@pytest.mark.parametrize("size", SIZES[:1], ids=["desk"], indirect=True)
async def test_which_reading_holds_least(visit: Visit) -> None:
    await visit.example("A rhyming couplet")
    await visit.key("l")
    await expect(visit.page.locator("#panel .headline")).to_contain_text("of the activation")
