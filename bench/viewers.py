"""`python -m bench.viewers`: what the explorer itself costs a reading, with nobody, one and many at its page.

A pair that answers at once stands in the place of the models, so what is left is the explorer's own: jobs, database,
events, and the page that is rendered and sent. Viewers read the page's stream to its end, each as a client of the app
in the same process, without sockets; all look at the same. Seconds are from the request until the last of them has
heard that it is done; CPU is the process's.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI

from bench.machine import machine
from server.app import create_app
from server.nla.models.target import Trace
from server.nla.verbalisers.base import Finished, Outcome, ReadingRequest, TextDelta
from server.settings import Settings
from tests.fakes import D, FakePair, FakeSource, FakeTarget, FakeVerbaliser, lens_of, text_of

LETTERS = "The small cat sleeps beside the warm stove, and nobody wakes it. "


class Instant(FakeTarget):
    """Activations that are there at once: the fakes' own take longer than all else."""

    async def trace(self, ids: Sequence[int], layers: Sequence[int] = ()) -> Trace:
        """Any activations, the same for every text of a length."""
        activations = np.random.default_rng(0).normal(size=(len(ids), D)).round(3).astype(np.float32)
        return Trace(activations, lens_of(ids), {})


class InSteps(FakeVerbaliser):
    """An engine whose readings all grow by a word at each of its steps, as a real one's do; the steps take no time."""

    async def stream(
        self, requests: Sequence[ReadingRequest], *, temperature: float, max_new_tokens: int, seed: int
    ) -> AsyncGenerator[Outcome, None]:
        texts = {request.key: text_of(request.activation, request.sample) for request in requests}
        words = {key: text.split(" ") for key, text in texts.items()}
        for n in range(max(map(len, words.values()))):
            for key, said in words.items():
                if n < len(said):
                    yield TextDelta(key, said[n] if n == 0 else f" {said[n]}")
            await asyncio.sleep(0)
        for key, text in texts.items():
            yield Finished(key, text, False, len(words[key]))


@asynccontextmanager
async def explored(pair: FakePair, **settings: Any) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """The explorer on a pair with a new data directory, and a client of it without sockets."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = Settings(data_dir=Path(folder), pair="fake", examples=False, **settings)
        app = create_app(chosen, FakeSource(pair))
        async with app.router.lifespan_context(app):
            await app.state.models.settled()
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1", timeout=None
            ) as client:
                yield app, client


async def measured(positions: int, viewers: int) -> tuple[float, float, int]:
    """Seconds, CPU seconds and bytes sent to one viewer, of one analysis of a new text."""
    pair = FakePair(target=Instant(), verbaliser=InSteps())
    async with explored(pair, max_prompt_tokens=positions) as (app, client):
        text = "".join(itertools.islice(itertools.cycle(LETTERS), positions))
        began, cpu = time.perf_counter(), time.process_time()
        asked = await client.post("/api/analyses", json={"text": text})
        id = asked.raise_for_status().json()["id"]
        streams = [client.get(f"/a/{id}/stream") for _ in range(viewers)]
        sent, _ = await asyncio.gather(asyncio.gather(*streams), ended(app, id))
        spent = time.perf_counter() - began, time.process_time() - cpu
    return *spent, len(sent[0].content) if sent else 0


async def ended(app: FastAPI, id: str) -> None:
    """Follow an analysis to its end. Raises AssertionError where it has failed."""
    async for _ in app.state.analyses.events(id):
        pass
    done = await app.state.analyses.get(id)
    assert done.status == "done", done.error


def main() -> None:
    """Print a line for each size of text and number of viewers."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--positions", type=int, nargs="+", default=[16, 64, 256, 1024, 2000])
    parser.add_argument("--viewers", type=int, nargs="+", default=[0, 1, 10, 100])
    options = parser.parse_args()
    print(machine(), flush=True)
    asyncio.run(measured(16, 1))  # imports, templates
    print("| positions | viewers | s | CPU ms a reading | MB to a viewer |\n| --- | --- | --- | --- | --- |")
    for positions, viewers in itertools.product(options.positions, options.viewers):
        seconds, cpu, sent = asyncio.run(measured(positions, viewers))
        line = (
            f"| {positions:,} | {viewers} | {seconds:.2f} | {1000 * cpu / positions:.2f} | {sent / 1e6:.2f} |"
        )
        print(line, flush=True)


if __name__ == "__main__":
    main()
