"""`python -m docs.pictures http://127.0.0.1:8000`: the pictures of these pages, of a server that has the examples."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from bench.page import CHROMIUM, OPTIONS

EDGE = 20
"""Pixels around a part of a page."""
HERE = Path(__file__).parent


def main(address: str) -> None:
    """Find the examples, look at them, and write a file for each."""
    edited = _found(address, "Madrid")["edits"][0]["url"]
    word = _found(address, "capital France")["url"] + "/word?word=Paris"
    rhyme = _found(address, "rhyming couplet")["url"] + "?t=33&ribbon=on"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        for name, path, height, part in (
            ("screenshot", rhyme, 1400, None),
            ("word", word, 1180, None),
            ("edit", edited, 950, "#panel .edited"),
        ):
            page = browser.new_page(viewport={"width": 1280, "height": 1400})
            page.goto(address + path)
            page.wait_for_load_state("networkidle")
            if (tip := page.get_by_role("button", name="Got it")).is_visible():
                tip.click()
            page.mouse.move(0, 0)
            page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
            page.wait_for_function("!document.querySelector('[aria-busy=true]')")
            box = (page.locator(part).bounding_box() if part else None) or {"x": 0, "y": 0, "width": 1280}
            edge = EDGE if part else 0
            page.screenshot(
                path=HERE / f"{name}.png",
                full_page=True,
                clip={
                    "x": box["x"] - edge,
                    "y": box["y"] - edge,
                    "width": box["width"] + 2 * edge,
                    "height": height,
                },
            )
            page.close()
        browser.close()


def _found(address: str, words: str) -> dict[str, list[dict[str, str]]]:
    """The longest analysis in which these words are found: those of a study are short."""
    found = httpx.get(f"{address}/api/analyses", params={"q": words}).json()
    longest: dict[str, list[dict[str, str]]] = max(found, key=lambda each: each["tokens"])
    return longest


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
