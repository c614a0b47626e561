"""axe-core on every page: nothing serious, in light and in dark, on a desk and on a phone."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.browser.test_edits import edited
from tests.browser.test_fake import ask

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
SERIOUS = {"serious", "critical"}


async def faults(page: Page) -> list[str]:
    """What axe-core finds serious: the rule, and where."""
    found = await Axe().run(page)
    return [
        f"{fault['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for fault in found.response["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"][:3]
    ]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_has_a_serious_fault(browser: Browser, address: str, scheme: str, width: int) -> None:
    context = await browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 900},
        reduced_motion="reduce",
    )
    page = await context.new_page()
    await page.goto(address)
    await page.get_by_role("button", name="Add a turn").click()
    await expect(page.locator("#turn-0-content")).to_be_focused()
    found = {"with turns": await faults(page)}
    await page.goto(address)
    found["/"] = await faults(page)
    await ask(page)
    await expect(page.locator("#status.is-done")).to_be_visible()
    analysis = page.url.removeprefix(address).partition("?")[0]
    id = analysis.rpartition("/")[2]
    looked = "?t=3&p=5&w=x&metric=top&scale=log"
    await edited(page)
    edit = page.url.removeprefix(address)
    await page.get_by_role("button", name="Measure causal scores").click()
    await page.get_by_role("button", name="Shuffle the readings").click()
    await expect(page.locator("#form-test tbody tr")).to_have_count(3)
    await page.get_by_role("button", name="Which words carry it?").first.click()
    await expect(page.locator("#panel .carried").first).to_be_visible()
    found["measured"] = await faults(page)
    await page.locator("#panel .keep summary").click()
    await page.get_by_label("less that of position").fill("1")
    await page.get_by_role("button", name="Keep", exact=True).click()
    await page.get_by_role("button", name="Read it").click()
    await expect(page.locator(".read-once blockquote")).to_be_visible()
    found["read"] = await faults(page)
    await page.goto(address + edit)
    await page.locator(".edited").get_by_role("link", name="Put into a notebook").click()
    await page.get_by_label("Title of the new notebook").fill("Cats")
    found["put"] = await faults(page)
    await page.get_by_role("button", name="Put it there").click()
    await page.get_by_label("Note, in Markdown").last.fill(
        "# Why\n\n| a | b |\n|---|---|\n| 1 | [2](https://e.org) |"
    )
    await page.get_by_role("button", name="Add").click()
    await page.get_by_text("Change this entry").first.click()
    found["notebook"] = await faults(page)
    await page.goto(f"{address}/notebooks")
    found["notebooks"] = await faults(page)
    await page.goto(f"{address}/vectors")
    await page.get_by_label("its weight, then its permalink").fill("nonsense")
    await page.get_by_role("button", name="Keep", exact=True).click()
    found["refused"] = await faults(page)
    for path in (
        "/vectors",
        analysis,
        analysis + "?by=causal",
        analysis + looked,
        analysis + "?t=3&ribbon=on",
        analysis + "/readings?sort=-score",
        edit,
        analysis + "/word",
        analysis + "/word?word=at",
        analysis + "/lens",
        "/library",
        f"/compare?a={id}&b={id}",
        "/nothing",
    ):
        await page.goto(address + path)
        await page.wait_for_load_state("networkidle")
        found[path] = await faults(page)
    await context.close()
    assert {path: said for path, said in found.items() if said} == {}
