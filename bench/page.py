"""`python -m bench.page`: the page of a long text in a real browser: does it scroll smoothly, how fast is a click?

A server on loopback reads every token of a text on the demo pair; Chromium, without a GPU, shows it with the ribbon
open. Frames: the page is scrolled by a step each frame over its whole height and back, and the times between frames
are counted. Clicks: tokens are pressed one after the other, from the press to the panel's new reading on the screen.
Both come from the browser's own clock.

With `--beside CHECKOUT` the clicks are compared with those on the page of another checkout of this repository: its
server reads the same text, and each token is pressed on both pages, one after the other, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Page, Playwright, async_playwright

from bench.machine import machine
from bench.served import TEXT, Served
from bench.server_process import other_server

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    *("--no-sandbox", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-quic"),
)
SIXTY = 1000 / 60
LATE = 1.5 * SIXTY
"""Milliseconds after which a frame has been left out."""
SCROLL = """async (step) => {
  const times = [];
  const wait = () => new Promise((resolve) => requestAnimationFrame(resolve));
  await wait();
  const most = document.documentElement.scrollHeight - innerHeight;
  for (const way of [1, -1]) {
    for (let moved = 0; moved < most; moved += step) {
      scrollBy({ top: way * step, behavior: "instant" });
      times.push(await wait());
    }
  }
  return times.slice(1).map((time, n) => time - times[n]);
}"""
CLICK = """async (position) => {
  const shown = () => document.getElementById("panel").dataset.position === String(position);
  const began = performance.now();
  document.getElementById(`tok-${position}`).click();
  while (!shown()) await new Promise((resolve) => requestAnimationFrame(resolve));
  await new Promise((resolve) => requestAnimationFrame(resolve));
  return performance.now() - began;
}"""


async def measured(address: str, clicks: Sequence[int], step: int) -> tuple[list[float], list[float]]:
    """Times between frames while scrolling, and from a click to its reading; milliseconds."""
    async with async_playwright() as playwright:
        page = await _opened(playwright, address)
        frames: list[float] = await page.evaluate(SCROLL, step)
        pressed = [await _pressed(page, position) for position in clicks]
    return frames, pressed


async def compared(here: str, there: str, clicks: Sequence[int]) -> tuple[list[float], list[float]]:
    """Milliseconds from a click to its reading on two pages, in turns: each goes first every other time."""
    async with async_playwright() as playwright:
        pages = [await _opened(playwright, address) for address in (here, there)]
        times: tuple[list[float], list[float]] = ([], [])
        for n, position in enumerate(clicks):
            for which in (0, 1) if n % 2 == 0 else (1, 0):
                times[which].append(await _pressed(pages[which], position))
    return times


async def _opened(playwright: Playwright, address: str) -> Page:
    """The page in a browser of its own: a hidden tab would get no frames."""
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    await page.goto(address)
    await page.locator("#text .tok").last.wait_for(state="attached")
    await page.wait_for_load_state("networkidle")
    return page


async def _pressed(page: Page, position: int) -> float:
    took: float = await page.evaluate(CLICK, position)
    return took


def rows(frames: Sequence[float], clicks: Sequence[float]) -> Iterator[str]:
    """The figures as a Markdown table."""
    late = sum(frame > LATE for frame in frames)
    yield from _table({"a frame while scrolling, ms": frames, "a click to its reading, ms": clicks})
    yield (
        f"{len(frames):,} frames, {1000 / statistics.fmean(frames):.1f} a second; {late} "
        f"({late / len(frames):.1%}) came later than one and a half sixtieths of a second. {len(clicks)} clicks."
    )


def beside(here: Sequence[float], there: Sequence[float], commit: str) -> Iterator[str]:
    """The clicks of both pages as a Markdown table, and their ratios."""
    yield from _table({"a click here, ms": here, f"a click at {commit}, ms": there})
    ratios = sorted(one / other for one, other in zip(here, there, strict=True))
    quarter = len(ratios) // 4
    yield (
        f"Here over there, the same token on both: median {statistics.median(ratios):.2f}, the middle half "
        f"{ratios[quarter]:.2f} to {ratios[-1 - quarter]:.2f}, all {ratios[0]:.2f} to {ratios[-1]:.2f}. "
        f"{len(ratios)} tokens."
    )


def _table(rows: dict[str, Sequence[float]]) -> Iterator[str]:
    yield "| what | median | 95th percentile | longest |"
    yield "| --- | --- | --- | --- |"
    for name, times in rows.items():
        ordered = sorted(times)
        high = ordered[int(0.95 * (len(ordered) - 1))]
        yield f"| {name} | {statistics.median(ordered):.1f} | {high:.1f} | {ordered[-1]:.1f} |"
    yield ""


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def text_of(served: Served, tokens: int) -> str:
    """A text of so many tokens."""
    tokenizer = served.pair.prompter.tokenizer
    ids = served.pair.prompter.encode(None, TEXT * (1 + tokens // 80))[:tokens]
    return str(tokenizer.decode(ids))


def analysed(client: httpx.Client, text: str, reading_tokens: int) -> dict[str, Any]:
    """An analysis of a text, once all of its tokens are read."""
    body = {"text": text, "verbalise": {"max_new_tokens": reading_tokens}}
    made = client.post("/api/analyses", json=body).json()
    with client.stream("GET", f"/api/analyses/{made['id']}/events") as events:
        for _ in events.iter_lines():
            pass
    found: dict[str, Any] = client.get(f"/api/analyses/{made['id']}").json()
    return found


def address_of(client: httpx.Client, found: dict[str, Any], query: str = "") -> str:
    """The address of an analysis."""
    return str(client.base_url.join(found["url"] + query))


def main() -> None:
    """Read the text, look at it, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1500)
    parser.add_argument("--reading-tokens", type=int, default=60, help="shorter readings are written sooner")
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--step", type=int, default=24, help="pixels a frame: 24 are 1,440 a second")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="compare the clicks with another's")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Served(Path(folder)) as served:
        text = text_of(served, asked.tokens)
        found = analysed(served.client, text, asked.reading_tokens)
        count = len(found["tokens"])
        clicks = [int((n + 0.5) * count / asked.clicks) for n in range(asked.clicks)]
        read = sum(reading["cos"] is not None for reading in found["readings"])
        print(f"{machine()}\n\n{count:,} tokens, {read:,} of them read; 1280 × 900.")
        for name, query in (("without the ribbon", ""), ("with the ribbon", "?ribbon=on")):
            address = address_of(served.client, found, query)
            frames, pressed = asyncio.run(measured(address, clicks, asked.step))
            print(f"\n{name[0].upper()}{name[1:]}:\n", *rows(frames, pressed), sep="\n")
        if asked.beside is not None:
            with tempfile.TemporaryDirectory() as apart, other_server(asked.beside, Path(apart)) as (at, _):
                with httpx.Client(base_url=at, timeout=None) as other:
                    same = analysed(other, text, asked.reading_tokens)
                    pages = address_of(served.client, found), address_of(other, same)
                here, there = asyncio.run(compared(*pages, clicks))
            commit = _commit(asked.beside)
            print(f"\nBeside the page of {commit}:\n", *beside(here, there, commit), sep="\n")


if __name__ == "__main__":
    main()
