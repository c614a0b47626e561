"""`python -m bench.soak`: many people at one server for half an hour: does it err, leak, or leave work unfinished?

The server runs on fake models in a process of its own, so that what is loaded is the explorer. Each visitor does one
thing after the other, at random: has a text analysed, watches its page's stream, leaves in the middle, comes back to
the events after the last that it saw, cancels, asks again, edits words, measures, looks at the library. An error is
any answer of 400 and above but 429, which a visitor waits after. At the end all that was asked for must have ended,
and the server's handles, threads and memory are compared with what they were once it was warm.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from bench.machine import machine
from bench.server_process import fake_server

WARM = 300
"""Seconds after which memory counts, of a run that is longer than twice as long."""
MIB = 2**20
WORDS = "the old lighthouse keeper counted ships storms lamps ropes cats letters songs bread salt and names"


@dataclass
class Visits:
    """Actions of all visitors, and the answers to them."""

    done: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    events: int = 0


@dataclass
class Sample:
    """The server at one moment: bytes, handles, threads."""

    at: float
    memory: int
    handles: int
    threads: int


class Visitor:
    """One of many, with a memory of what it asked for."""

    def __init__(self, client: httpx.AsyncClient, seed: int, visits: Visits) -> None:
        self._client = client
        self._random = random.Random(seed)
        self._visits = visits
        self._own: list[tuple[str, int]] = []
        """The ids of its analyses, each with the last event that it has seen."""

    async def stay(self, until: float) -> None:
        """Do one thing after the other."""
        first = (self._analyse,)
        things: Sequence[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._analyse, 4), (self._watch_page, 4), (self._come_back, 4), (self._cancel, 1),
            (self._edit, 2), (self._measure, 1), (self._look_around, 2),
        ]  # fmt: skip
        kinds, weights = zip(*things, strict=True)
        while time.monotonic() < until:
            thing = self._random.choices(kinds, weights)[0] if self._own else first[0]
            await thing()
            self._visits.done[thing.__name__.strip("_")] += 1
            await asyncio.sleep(self._random.uniform(0, 0.3))

    async def wait(self) -> None:
        """See everything that it asked for to its end."""
        for id, seen in self._own:
            await self._read(f"/api/analyses/{id}/events", 10**9, seen)

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        while True:
            answer = await self._client.request(method, path, **more)
            self._note(answer)
            if answer.status_code != 429:
                return answer
            await asyncio.sleep(float(answer.headers["Retry-After"]) * self._random.random())

    def _note(self, answer: httpx.Response) -> None:
        self._visits.statuses[answer.status_code] += 1
        if answer.status_code >= 400 and answer.status_code != 429:
            said = answer.text if answer.is_stream_consumed else ""
            self._visits.errors.append(
                f"{answer.request.method} {answer.url.path}: {answer.status_code} {said[:300]}"
            )

    async def _analyse(self) -> None:
        text = " ".join(self._random.choices(WORDS.split(), k=self._random.randint(1, 40)))
        body: dict[str, Any] = {"text": text}
        if self._random.random() < 0.3:
            body = {"messages": [{"role": "user", "content": text}], "generate": {"max_new_tokens": 8}}
        made = await self._ask("POST", "/api/analyses", json=body)
        if made.is_success:
            self._own.append((made.json()["id"], 0))

    async def _watch_page(self) -> None:
        """Read the page and its stream, to the end or not."""
        id, _ = self._random.choice(self._own)
        await self._ask("GET", f"/a/{id}")
        await self._read(f"/a/{id}/stream", self._random.choice([3, 30, 10**9]))

    async def _come_back(self) -> None:
        """Read the events after the last that was seen, to the end or not."""
        n = self._random.randrange(len(self._own))
        id, seen = self._own[n]
        last = await self._read(f"/api/analyses/{id}/events", self._random.choice([5, 50, 10**9]), seen)
        self._own[n] = (id, last)

    async def _read(self, path: str, lines: int, last: int = 0) -> int:
        headers = {"Last-Event-ID": str(last)} if last else {}
        async with self._client.stream("GET", path, headers=headers) as stream:
            self._note(stream)
            async for line in stream.aiter_lines():
                if line.startswith("id:"):
                    last = int(line.removeprefix("id:"))
                    self._visits.events += 1
                lines -= 1
                if lines <= 0:
                    break
        return last

    async def _cancel(self) -> None:
        await self._ask("POST", f"/api/analyses/{self._own[-1][0]}/cancel")

    async def _edit(self) -> None:
        id, _ = self._random.choice(self._own)
        found = (await self._ask("GET", f"/api/analyses/{id}")).json()
        read = [reading["position"] for reading in found["readings"] if reading["cos"] is not None]
        if read and found["status"] == "done":
            asked = {
                "position": self._random.choice(read),
                "text": " ".join(self._random.choices(WORDS.split(), k=5)),
            }
            await self._ask("POST", f"/api/analyses/{id}/interventions", json=asked)

    async def _measure(self) -> None:
        id, _ = self._random.choice(self._own)
        if (await self._ask("GET", f"/api/analyses/{id}")).json()["status"] == "done":
            await self._ask("POST", f"/api/analyses/{id}/measurements", json={})

    async def _look_around(self) -> None:
        for path in ("/", "/library", "/api/analyses?limit=20", "/api/pairs", "/metrics"):
            await self._ask("GET", path)


async def soaked(
    address: str, server: psutil.Process, visitors: int, seconds: float
) -> tuple[Visits, list[Sample]]:
    """Have the visitors stay, then wait until all that they asked for has ended."""
    visits, samples = Visits(), list[Sample]()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=2 * visitors)
    async with httpx.AsyncClient(base_url=address, timeout=None, limits=limits) as client:
        began = time.monotonic()
        watching = asyncio.create_task(_sampled(server, samples, began))
        guests = [Visitor(client, n, visits) for n in range(visitors)]
        async with asyncio.TaskGroup() as group:
            for guest in guests:
                group.create_task(guest.stay(began + seconds))
        for guest in guests:
            await guest.wait()
        for status in ("queued", "running"):
            left = (await client.get("/api/analyses", params={"status": status})).json()
            visits.errors += [f"{found['id']} is {status} at the end." for found in left]
        watching.cancel()
        samples.append(_sample(server, began))
    return visits, samples


async def _sampled(server: psutil.Process, samples: list[Sample], began: float) -> None:
    while True:
        samples.append(_sample(server, began))
        await asyncio.sleep(10)


def _sample(server: psutil.Process, began: float) -> Sample:
    passed = time.monotonic() - began
    return Sample(passed, server.memory_info().rss, server.num_fds(), server.num_threads())


def report(visits: Visits, samples: Sequence[Sample], seconds: float) -> None:
    """Print what was done, what was answered, and how memory went."""
    print(f"\n{sum(visits.done.values()):,} visits: ", end="")
    print(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in visits.done.most_common()))
    print(f"{sum(visits.statuses.values()):,} answers: ", end="")
    print(", ".join(f"{count:,} × {status}" for status, count in sorted(visits.statuses.items())), end="")
    print(f"; {visits.events:,} events by id.")
    print(f"{len(visits.errors)} errors that are not 429.", *visits.errors[:20], sep="\n")
    print("\n| minute | memory, MiB | handles | threads |\n| --- | --- | --- | --- |")
    step = max(1, len(samples) // 15)
    for sample in [*samples[:-1:step], samples[-1]]:
        print(f"| {sample.at / 60:.1f} | {sample.memory / MIB:.1f} | {sample.handles} | {sample.threads} |")
    warm = WARM if seconds > 2 * WARM else seconds / 3
    early = [s.memory for s in samples if warm <= s.at <= warm + 60] or [samples[0].memory]
    late = [s.memory for s in samples if s.at >= seconds - 60] or [samples[-1].memory]
    growth = statistics.fmean(late) / statistics.fmean(early) - 1
    print(f"\nMemory from minute {warm / 60:.1f} to the end: {growth:+.1%}.")


def main() -> None:
    """Serve, visit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--visitors", type=int, default=50)
    asked = parser.parse_args()
    print(f"{machine()}\n\n{asked.visitors} visitors, {asked.minutes:g} minutes.", flush=True)
    with tempfile.TemporaryDirectory() as folder, fake_server(Path(folder)) as (address, process):
        found = asyncio.run(soaked(address, psutil.Process(process.pid), asked.visitors, 60 * asked.minutes))
        report(*found, 60 * asked.minutes)


if __name__ == "__main__":
    main()
