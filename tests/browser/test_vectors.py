"""Reading a vector in a real browser."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.async_api import Locator, Page, expect

from frontend import made_soon
from tests.fakes import D, FakePair, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def being_read(page: Page, address: str, pair: FakePair, monkeypatch: pytest.MonkeyPatch) -> Locator:
    """Two readings of a vector that take long, as its page shows them."""
    monkeypatch.setattr(made_soon, "SOON", 0.1)
    pair.verbaliser.limit(1)
    kept = await page.request.post(f"{address}/api/vectors", data={"values": [1.0] * D})
    await page.goto(address + (await kept.json())["url"])
    await page.get_by_label("Readings", exact=True).fill("2")
    await page.get_by_role("button", name="Read it").click()
    return page.locator(".pending-reading")


async def test_a_reading_that_takes_long_shows_its_progress_and_then_itself(
    page: Page, address: str, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = await being_read(page, address, pair, monkeypatch)
    await expect(pending.get_by_role("status")).to_contain_text("1 of 2 readings")
    await expect(page).to_have_url(re.compile(r"/v/\w+#r-\w+$"))
    await page.reload()  # whoever comes back finds it
    await expect(pending.locator("progress")).to_be_visible()
    pair.verbaliser.allow()
    await expect(page.locator(".read-once blockquote")).to_have_count(2)
    await expect(page.locator(".read-once blockquote").first).to_have_text(text_of(np.ones(D)))
    await expect(pending).to_have_count(0)


async def test_a_reading_that_takes_long_can_be_cancelled(
    page: Page, address: str, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = await being_read(page, address, pair, monkeypatch)
    await pending.get_by_role("button", name="Cancel").click()
    await expect(page.locator(".read-once")).to_have_count(0)
    pair.verbaliser.allow()
    await page.get_by_role("button", name="Read it").click()
    await expect(page.locator(".read-once blockquote").first).to_be_visible()
