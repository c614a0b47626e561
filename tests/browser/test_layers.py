"""Two layers of one token, in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from server.settings import Settings
from tests.browser.test_accessibility import faults
from tests.fakes import FakePair, FakeSource

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.fixture
def source() -> FakeSource:
    """Two pairs of one target."""
    return FakeSource(FakePair(), FakePair(name="deep", layer=2))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"extra_pairs": "deep"})


async def test_what_another_layer_says_comes_without_a_reload(page: Page, source: FakeSource) -> None:
    deep = source.pairs["deep"]
    deep.verbaliser.limit(0)
    await expect(page.locator(".along label")).to_have_count(2)
    await expect(page.locator(".along label:visible")).to_have_count(1)  # not the pair itself
    await page.fill("#prompt", "Hi you")
    await page.get_by_label("layer 2 (deep)").check()
    await page.get_by_role("button", name="Analyse").click()
    await page.wait_for_url("**/a/*")
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.click("#tok-3")
    there = page.locator("#beside-3 .at-layer")
    await expect(there).to_contain_text("layer 2 deep")
    await expect(there).to_contain_text("Being read.")
    await expect(page.locator("layer-curve g[aria-label=rule] line")).to_have_count(2)
    await expect(page.locator("#models")).to_contain_text("deep resident")
    deep.verbaliser.allow()
    await expect(there.locator("blockquote")).to_contain_text("sample 0 says")
    await expect(there).to_contain_text("Holds 100")
    await there.get_by_role("link", name="layer 2").click()
    await page.wait_for_url("**/a/*?t=3")
    await expect(page.locator("#beside-3 .at-layer")).to_contain_text("layer 1 fake")
    await expect(page.locator(".facts")).to_contain_text("deep")
    assert sum(len(pair.target.traced) for pair in source.pairs.values()) == 1


async def test_neither_form_nor_panel_has_a_serious_fault(page: Page) -> None:
    found = {"/": await faults(page)}
    await page.fill("#prompt", "Hi you")
    await page.get_by_label("layer 2 (deep)").check()
    await page.get_by_role("button", name="Analyse").click()
    await page.wait_for_url("**/a/*")
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.click("#tok-3")
    await expect(page.locator("#beside-3 .at-layer blockquote")).to_be_visible()
    found["panel"] = await faults(page)
    assert {path: said for path, said in found.items() if said} == {}
