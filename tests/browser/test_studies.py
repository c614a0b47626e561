"""Studies in a real browser: started from the form, followed without a reload, narrowed, and within a phone's width."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Watched
from tests.browser.test_accessibility import faults
from tests.fakes import FakePair, FakeSource, held
from tests.studies.sums import multiplying

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.fixture
def source() -> FakeSource:
    """A pair that multiplies."""
    return multiplying()


async def start(page: Page, address: str, problems: int = 6) -> None:
    await page.goto(f"{address}/studies")
    await page.get_by_label("Problems").fill(str(problems))
    await page.get_by_role("button", name="Start the study").click()
    await expect(page).to_have_url(re.compile(r"/s/\w+$"))


async def test_a_study_is_followed_to_its_end_and_its_table_narrowed(
    page: Page, address: str, pair: FakePair
) -> None:
    with held(pair.target.hold):
        await start(page, address)
        await expect(page.locator("#status progress")).to_be_visible()
    await expect(page.locator("#status.is-done")).to_be_visible()
    await expect(page.locator("#cases tbody tr")).to_have_count(6)
    await expect(page.locator("#figure-answers .bar-line").first).to_be_visible()
    await expect(page.locator("#figure-lens svg")).to_be_visible()
    await page.locator("#cases").get_by_role("link", name=re.compile("^wrong")).click()
    await expect(page).to_have_url(re.compile(r"show=wrong"))
    await expect(page.locator("#cases [aria-current]")).to_contain_text("wrong")
    await page.get_by_text("All statistics as a table").click()
    await expect(page.get_by_role("region", name="All statistics")).to_be_visible()


async def test_a_study_that_is_being_started_says_so_and_is_not_started_twice(
    page: Page, address: str
) -> None:
    await page.goto(f"{address}/studies")
    await page.evaluate(
        "addEventListener('submit', (event) => event.preventDefault())"
    )  # an answer that takes long
    await page.get_by_role("button", name="Start the study").click()
    await expect(page.get_by_role("button", name="Starting …")).to_be_visible()
    await expect(page.locator("form[aria-busy]")).to_have_css("pointer-events", "none")
    await page.evaluate(
        "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"
    )  # back again
    await expect(page.get_by_role("button", name="Start the study")).to_be_visible()
    await expect(page.locator("form[aria-busy]")).to_have_count(0)


async def test_one_at_work_can_be_cancelled_and_continued(page: Page, address: str, pair: FakePair) -> None:
    with held(pair.target.hold):
        await start(page, address)
        await page.locator("#status").get_by_role("button", name="Cancel").click()
        await expect(page.locator("#status")).to_contain_text("cancelled")
    await page.locator("#status").get_by_role("button", name="Continue").click()
    await expect(page.locator("#status.is-done")).to_be_visible()


async def test_prompts_are_studied_from_the_form_without_scripts(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    table = tmp_path / "countries.csv"
    table.write_text("country\nFrance\nPeru\n", "utf-8")
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{address}/studies")
    await page.get_by_text("Prompts of your own").click()
    await page.get_by_label("or a file with them").set_input_files(table)
    await page.get_by_label("Template").last.fill("{land} 2 * 3")
    await page.get_by_role("button", name="Read them").click()
    wrong = page.get_by_label("Template").last
    await expect(wrong).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("#error-p-template")).to_contain_text("{country}")
    await expect(page.get_by_label("Prompts", exact=True)).to_have_value("country\nFrance\nPeru\n")
    await wrong.fill("{country} 2 * 3")
    await page.get_by_label("whether the words hold").fill("{country}")
    await page.get_by_role("button", name="Read them").click()
    await expect(page).to_have_url(re.compile(r"/s/\w+$"))
    await expect(page.locator("#cases tbody tr")).to_have_count(2)
    await expect(page.locator("#figure-measures")).to_contain_text("says {country}")
    await context.close()


async def test_a_file_that_is_too_large_is_not_sent(page: Page, address: str, tmp_path: Path) -> None:
    table = tmp_path / "large.csv"
    table.write_bytes(b"country\n" + b"Peru\n" * 400_000)
    await page.goto(f"{address}/studies")
    await page.get_by_text("Prompts of your own").click()
    await page.get_by_label("Template").last.fill("{country} 2 * 3")
    file = page.get_by_label("or a file with them")
    await file.set_input_files(table)
    await page.get_by_role("button", name="Read them").click()
    assert "choose one of up to 1,990,000" in await file.evaluate("input => input.validationMessage")
    await expect(page).to_have_url(f"{address}/studies")
    smaller = tmp_path / "small.csv"
    smaller.write_bytes(b"country\nPeru\n")
    await file.set_input_files(smaller)
    await page.get_by_role("button", name="Read them").click()
    await expect(page).to_have_url(re.compile(r"/s/\w+$"))


@pytest.mark.parametrize("scripts", [True, False])
async def test_an_exported_study_works_without_a_server(
    browser: Browser, page: Page, address: str, tmp_path: Path, scripts: bool
) -> None:
    await start(page, address)
    await expect(page.locator("#status.is-done")).to_be_visible()
    await page.get_by_text("Export", exact=True).click()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="HTML").click()
    await (await download.value).save_as(tmp_path / "study.html")
    context = await browser.new_context(
        offline=True, java_script_enabled=scripts, viewport={"width": 390, "height": 900}
    )
    file, watched = await context.new_page(), Watched(context)
    await file.goto((tmp_path / "study.html").as_uri())
    await expect(file.locator("#cases tbody tr")).to_have_count(6)
    await expect(file.locator("#figure-answers .bar-line").first).to_be_visible()
    await file.get_by_text("The words of all readings", exact=True).click()
    await expect(file.get_by_role("region", name="The words of all readings")).to_be_visible()
    await expect(file.get_by_text("kind: multiplication")).to_be_visible()
    if scripts:
        assert await file.evaluate("document.scrollingElement.scrollWidth") == 390
        assert await faults(file) == []
    assert watched.elsewhere("file:") == []
    assert watched.complaints == []
    await context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_pages_have_no_serious_fault_and_fit(
    browser: Browser, address: str, scheme: str, width: int
) -> None:
    context = await browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 900},
        reduced_motion="reduce",
    )
    page = await context.new_page()
    await start(page, address)
    await expect(page.locator("#status.is-done")).to_be_visible()
    for table in await page.get_by_text(re.compile("as a table$")).all():
        await table.click()
    found = {"study": await faults(page)}
    widths = [await page.evaluate("document.scrollingElement.scrollWidth")]
    await page.goto(f"{address}/studies")
    await page.get_by_text("More settings").click()
    await page.get_by_text("More of capitals").click()
    await page.get_by_text("Prompts of your own").click()
    found["studies"] = await faults(page)
    widths.append(await page.evaluate("document.scrollingElement.scrollWidth"))
    await context.close()
    assert {path: said for path, said in found.items() if said} == {}
    assert widths == [width, width]
