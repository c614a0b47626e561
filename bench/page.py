"""`python -m bench.page`: the page of a long text in a real browser: does it scroll smoothly, how fast is a click?

A server on loopback reads every token of a text on the demo pair; Chromium, without a GPU, shows it with the ribbon
open. Frames: the page is scrolled by a step each frame over its whole height and back, and the times between frames
are counted. Clicks: tokens are pressed one after the other, from the press to the panel's new reading on the screen.
Both come from the browser's own clock.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from bench.machine import machine
from bench.served import TEXT, Served

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
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        await page.goto(address)
        await page.locator("#text .tok").last.wait_for(state="attached")
        await page.wait_for_load_state("networkidle")
        frames: list[float] = await page.evaluate(SCROLL, step)
        pressed = [await _pressed(page, position) for position in clicks]
        await browser.close()
    return frames, pressed


async def _pressed(page: Page, position: int) -> float:
    took: float = await page.evaluate(CLICK, position)
    return took


def rows(frames: Sequence[float], clicks: Sequence[float]) -> Iterator[str]:
    """The figures as a Markdown table."""
    late = sum(frame > LATE for frame in frames)
    yield "| what | median | 95th percentile | longest |"
    yield "| --- | --- | --- | --- |"
    for name, times in (("a frame while scrolling, ms", frames), ("a click to its reading, ms", clicks)):
        ordered = sorted(times)
        high = ordered[int(0.95 * (len(ordered) - 1))]
        yield f"| {name} | {statistics.median(ordered):.1f} | {high:.1f} | {ordered[-1]:.1f} |"
    yield ""
    yield (
        f"{len(frames):,} frames, {1000 / statistics.fmean(frames):.1f} a second; {late} "
        f"({late / len(frames):.1%}) came later than one and a half sixtieths of a second. {len(clicks)} clicks."
    )


def analysed(served: Served, tokens: int, reading_tokens: int) -> dict[str, Any]:
    """An analysis of a text of so many tokens, once all of them are read."""
    tokenizer = served.pair.prompter.tokenizer
    ids = served.pair.prompter.encode(None, TEXT * (1 + tokens // 80))[:tokens]
    body = {"text": tokenizer.decode(ids), "verbalise": {"max_new_tokens": reading_tokens}}
    made = served.client.post("/api/analyses", json=body).json()
    with served.client.stream("GET", f"/api/analyses/{made['id']}/events") as events:
        for _ in events.iter_lines():
            pass
    found: dict[str, Any] = served.client.get(f"/api/analyses/{made['id']}").json()
    return found


def main() -> None:
    """Read the text, look at it, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1500)
    parser.add_argument("--reading-tokens", type=int, default=60, help="shorter readings are written sooner")
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--step", type=int, default=24, help="pixels a frame: 24 are 1,440 a second")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Served(Path(folder)) as served:
        found = analysed(served, asked.tokens, asked.reading_tokens)
        count = len(found["tokens"])
        clicks = [round((n + 0.5) * count / asked.clicks) for n in range(asked.clicks)]
        for name, query in (("without the ribbon", ""), ("with the ribbon", "?ribbon=on")):
            frames, pressed = asyncio.run(
                measured(str(served.client.base_url.join(found["url"] + query)), clicks, asked.step)
            )
            if not query:
                read = sum(reading["cos"] is not None for reading in found["readings"])
                print(f"{machine()}\n\n{count:,} tokens, {read:,} of them read; 1280 × 900.")
            print(f"\n{name[0].upper()}{name[1:]}:\n", *rows(frames, pressed), sep="\n")


if __name__ == "__main__":
    main()
