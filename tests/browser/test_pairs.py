"""The page of a pair: reached from the head of every page, whole on a phone, and without serious faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from server.app import create_app
from server.nla.checkpoints import demo
from server.settings import Settings
from tests.browser.conftest import answering
from tests.browser.test_accessibility import faults
from tests.fakes import FakePair, FakeSource

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.fixture
async def named_as_the_demo(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a server whose fake pair has the demo's name, and thereby its card."""
    app = create_app(Settings(data_dir=tmp_path), FakeSource(FakePair(name=demo.NAME)))
    async with app.router.lifespan_context(app), answering(app) as address:
        yield address


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_is_known_of_a_pair_is_one_click_away(
    browser: Browser, named_as_the_demo: str, scheme: str, width: int
) -> None:
    context = await browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 900}
    )
    page = await context.new_page()
    await page.goto(named_as_the_demo)
    await page.locator("#models").get_by_role("link", name=demo.NAME).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(demo.NAME)
    bar = page.locator("section", has=page.get_by_role("heading", name="What is right")).locator("li").first
    await expect(bar).to_contain_text("final token")
    assert await faults(page) == []
    drawn = await bar.locator("rect.value").bounding_box()
    whole = await bar.locator("svg").bounding_box()
    assert drawn is not None and whole is not None
    assert drawn["width"] / whole["width"] > 0.8  # nine in ten are right
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(overflow) == 0
    await page.get_by_role("link", name="All pairs").click()
    await expect(page.locator(".listing li").first).to_contain_text("resident")
    assert await faults(page) == []
    await context.close()
