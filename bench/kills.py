"""`python -m bench.kills`: a server is killed without warning, again and again: is anything lost, or told twice?

The server runs on fake models that take a little time for each reading. In each round it is asked for a few new texts
and followed through them and through whatever is unfinished, from the last event that was seen; then it is killed at a
random moment, and started again on the same database. At the end everything must be done: each token read once, every
reading that was ever told still as it was told, and none told again to one who had seen it whole.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.machine import machine
from bench.server_process import fake_server

PACE = 0.02
"""Seconds that a reading takes."""
LONGEST = 2.0
"""Seconds after which a server is killed at the latest, once it is ready."""
LETTERS = "abcdefghijklmnopqrstuvwxyz "


@dataclass
class Followed:
    """One analysis as it was told: the last event that was seen, and the readings that are whole."""

    id: str
    last: int = 0
    ended: bool = False
    whole: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def hear(self, kind: str, id: int, data: Any) -> None:
        """Take an event."""
        if kind not in ("delta", "progress") and id <= self.last:
            self.faults.append(f"{self.id}: event {id} ({kind}) was told after {self.last}")
        self.last = max(self.last, id)
        self.ended = kind in ("done", "failed")
        if kind == "reading" and data["cos"] is not None:
            key = data["position"], data["sample"]
            if key in self.whole:
                self.faults.append(f"{self.id}: the reading {key} was told whole twice")
            self.whole[key] = data

    def compare(self, found: dict[str, Any]) -> None:
        """Hold the analysis as it stands at the end against what was told."""
        readings = {(r["position"], r["sample"]): r for r in found["readings"]}
        if found["status"] != "done":
            self.faults.append(f"{self.id} is {found['status']}: {found['error']}")
        if len(found["readings"]) != len(found["tokens"]) or len(readings) != len(found["tokens"]):
            self.faults.append(
                f"{self.id}: {len(found['readings'])} readings of {len(found['tokens'])} tokens"
            )
        told = {
            key: {name: readings.get(key, {}).get(name) for name in data} for key, data in self.whole.items()
        }
        self.faults += [
            f"{self.id}: {key} is not as it was told" for key in told if told[key] != self.whole[key]
        ]


async def follow(client: httpx.AsyncClient, analysis: Followed) -> None:
    """Read events to the end of the analysis, or of the server."""
    headers = {"Last-Event-ID": str(analysis.last)} if analysis.last else {}
    event: dict[str, str] = {}
    try:
        async with client.stream("GET", f"/api/analyses/{analysis.id}/events", headers=headers) as stream:
            async for line in stream.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif "data" in event:  # a blank line ends it
                    analysis.hear(event["event"], int(event["id"]), json.loads(event["data"]))
                    event = {}
    except httpx.TransportError:  # it was killed
        return


async def run_once(address: str, texts: list[str], known: list[Followed]) -> None:
    """Ask for texts and follow them and whatever is unfinished, until everything has ended."""
    async with httpx.AsyncClient(base_url=address, timeout=None) as client:
        for text in texts:
            made = await client.post("/api/analyses", json={"text": text})
            known.append(Followed(made.raise_for_status().json()["id"]))
        await asyncio.gather(*(follow(client, analysis) for analysis in known if not analysis.ended))


async def compared(address: str, known: list[Followed]) -> None:
    """Hold all of them against what was told."""
    async with httpx.AsyncClient(base_url=address, timeout=None) as client:
        for analysis in known:
            analysis.compare((await client.get(f"/api/analyses/{analysis.id}")).json())


def main() -> None:
    """Start, ask, kill; at the end compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--texts", type=int, default=3, help="new ones in each round")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance, known, interrupted = random.Random(asked.seed), list[Followed](), 0
    print(machine(), flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for round in range(asked.kills):
            texts = ["".join(chance.choices(LETTERS, k=chance.randint(5, 60))) for _ in range(asked.texts)]
            asyncio.run(_until_killed(Path(folder), texts, known, chance.uniform(0, LONGEST)))
            interrupted += sum(not analysis.ended for analysis in known)
            if (round + 1) % 20 == 0:
                print(f"{round + 1} kills, {time.monotonic() - began:.0f} s", flush=True)
        with fake_server(Path(folder), PACE) as (address, _):
            asyncio.run(run_once(address, [], known))
            asyncio.run(compared(address, known))
    faults = [fault for analysis in known for fault in analysis.faults]
    print(
        f"\n{asked.kills} kills, {interrupted:,} times an analysis at work or waiting; {len(known):,} analyses, "
        f"{sum(len(analysis.whole) for analysis in known):,} readings told whole. {len(faults)} faults."
    )
    print(*faults[:20], sep="\n")
    raise SystemExit(bool(faults))


async def _until_killed(folder: Path, texts: list[str], known: list[Followed], seconds: float) -> None:
    with fake_server(folder, PACE) as (address, process):
        work = asyncio.create_task(run_once(address, texts, known))
        await asyncio.wait([work], timeout=seconds)
        process.kill()
        await asyncio.gather(work, return_exceptions=True)


if __name__ == "__main__":
    main()
