"""`python -m bench.analysis`: one analysis of the demo pair through HTTP, and the same readings made one by one.

Prints a Markdown table with what it ran on. Everything is measured in one run, side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import platform
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
import uvicorn

from server.app import create_app
from server.nla.resident import ResidentPair
from server.nla.verbalisers.base import Delta, Order
from server.settings import Settings

TEXT = (
    "The lighthouse keeper counted the ships each evening and wrote their names in a heavy book. One night a small "
    "boat without a name came in from the north, and nobody was on board. He lit the lamp, went down to the rocks with "
    "a rope and a lantern, and found a basket of warm bread under the bench. In the morning the whole village stood "
    "on the pier and talked about the storm, the price of salt, and the music that some of them had heard at night. "
)


@dataclass
class Heartbeat:
    """How long the event loop was kept from a task that wanted to run every 5 ms."""

    stalls: list[float] = field(default_factory=list)

    async def beat(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            self.stalls.append(time.perf_counter() - before - 0.005)


class Served:
    """A real server on loopback, in a thread with a loop of its own. `watched`: with a look every 5 ms at how long its
    loop stalls, which costs it a little.
    """

    def __init__(self, folder: Path, settings: Settings | None = None, *, watched: bool = False) -> None:
        self.app = create_app(settings or Settings(data_dir=folder, port=0))
        self.server = uvicorn.Server(uvicorn.Config(self.app, host="127.0.0.1", port=0, log_level="error"))
        self.heart = Heartbeat()
        self.watched = watched
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.loop: asyncio.AbstractEventLoop | None = None

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        beating = [asyncio.create_task(self.heart.beat())] if self.watched else []
        await self.server.serve()
        for task in beating:
            task.cancel()

    def __enter__(self) -> Served:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=None)
        while self.client.get("/readyz").status_code != 200:
            time.sleep(0.1)
        gc.collect()
        gc.freeze()  # as `nla-explorer serve` does once the models are there
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.app.state.analyses.stop_streams()
        self.server.should_exit = True
        self.thread.join()

    @property
    def pair(self) -> ResidentPair:
        pair: ResidentPair = self.app.state.models.resident()
        return pair

    def analyse(
        self, count: int, salt: str, positions: list[int] | None = None, reading_tokens: int = 200
    ) -> dict[str, float]:
        """Seconds from the POST to each stage of an analysis of `count` tokens, all of them read unless told otherwise."""
        prompter = self.pair.prompter
        ids = prompter.encode(None, f"{salt} " + TEXT * 4)[:count]
        text = prompter.tokenizer.decode(ids)
        first = len(self.heart.stalls)
        start = time.perf_counter()
        voice = {"max_new_tokens": reading_tokens}
        body = {"text": text, "positions": positions or "all", "verbalise": voice}
        made = self.client.post("/api/analyses", json=body).json()
        seen: dict[str, float] = {}
        with self.client.stream("GET", f"{made['url'].replace('/a/', '/api/analyses/')}/events") as stream:
            kind = ""
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    kind = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    now = time.perf_counter() - start
                    name = self._stage(kind, line.removeprefix("data:"))
                    if name:
                        seen.setdefault(name, now)
                    if name == "first score":
                        seen["last score"] = now
                    if kind == "done":
                        break
        if self.watched:
            seen["longest stall of the event loop"] = max(self.heart.stalls[first:])
        seen["positions"] = float(len(prompter.encode(None, text)))
        return seen

    def _stage(self, kind: str, data: str) -> str | None:
        match kind:
            case "tokens" | "lens" | "done":
                return kind
            case "tuned_lens":
                return "tuned lens"
            case "delta":
                return "first word of a reading"
            case "reading" if json.loads(data).get("cos") is not None:
                return "first score"
        return None


async def _stream(pair: ResidentPair, rows: list[Any]) -> AsyncIterator[float]:
    """Seconds to the first word of the first reading, then to the end."""
    start = time.perf_counter()
    spoke = False
    orders = [Order(n, row) for n, row in enumerate(rows)]
    async for outcome in pair.verbaliser.stream(orders, temperature=0.0, max_new_tokens=200, seed=0):
        if isinstance(outcome, Delta) and not spoke:
            spoke = True
            yield time.perf_counter() - start
    yield time.perf_counter() - start


async def one_by_one(pair: ResidentPair, rows: list[Any]) -> tuple[float, float]:
    """(median seconds to the first word of a lone reading, seconds for all of them one after another)."""
    firsts, total = [], 0.0
    for row in rows:
        first, whole = [seconds async for seconds in _stream(pair, [row])]
        firsts.append(first)
        total += whole
    return statistics.median(firsts), total


def machine() -> str:
    """What this ran on."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    return (
        f"{date.today()}, {os.cpu_count()} x {name}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.analysis", description=__doc__)
    parser.add_argument("--positions", type=int, default=64)
    parser.add_argument("--growth", type=int, nargs="*", default=[16, 64, 256])
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder, Served(Path(folder), watched=True) as served:
        served.analyse(16, "Warm up.")
        batched = served.analyse(options.positions, "First.")
        pair = served.pair
        ids = pair.prompter.encode(None, "First. " + TEXT * 4)[: options.positions]
        rows = list(pair.target.trace(ids).activations)

        async def readings() -> tuple[float, float, float]:
            *_, whole = [seconds async for seconds in _stream(pair, rows)]
            return whole, *await one_by_one(pair, rows)

        whole, lone_first, lone_total = asyncio.run(readings())
        print("\n| what | seconds |\n| --- | --- |")
        for name, seconds in batched.items():
            if name != "positions":
                print(f"| {name} | {seconds:.3f} |")
        first = batched["first word of a reading"] - batched["lens"]
        print(f"| first word, counted from the lens | {first:.3f} |")
        print(f"| first word of a lone reading (median) | {lone_first:.3f} |")
        print(f"| {options.positions} readings, batched | {whole:.2f} |")
        print(f"| {options.positions} readings, one by one | {lone_total:.2f} |")
        print(f"| one by one / batched | {lone_total / whole:.1f} |")
        print(f"| first word / lone first word | {first / lone_first:.2f} |")
        print("\n| positions | to the last score, s | per position, ms |\n| --- | --- | --- |")
        for n, count in enumerate(options.growth):
            found = served.analyse(count, f"Growth {n}.")
            print(
                f"| {count} | {found['last score']:.2f} | {1000 * found['last score'] / found['positions']:.0f} |"
            )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"\npeak memory {peak:.2f} GiB; greatest activation norm {np.linalg.norm(rows, axis=1).max():.0f}"
        )


if __name__ == "__main__":
    main()
