"""`python -m bench.analysis`: one analysis of the demo pair through HTTP, and the same readings made one by one.

Prints a Markdown table with what it ran on. Everything is measured in one run, side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import machine
from bench.served import Served
from server.nla.models.loaded_pair import LoadedPair
from server.nla.verbalisers.base import ReadingRequest, TextDelta


async def _stream(pair: LoadedPair, rows: list[Any]) -> AsyncIterator[float]:
    """Seconds to the first word of the first reading, then to the end."""
    start = time.perf_counter()
    spoke = False
    requests = [ReadingRequest(n, row) for n, row in enumerate(rows)]
    async for outcome in pair.verbaliser.stream(requests, temperature=0.0, max_new_tokens=200, seed=0):
        if isinstance(outcome, TextDelta) and not spoke:
            spoke = True
            yield time.perf_counter() - start
    yield time.perf_counter() - start


async def one_by_one(pair: LoadedPair, rows: list[Any]) -> tuple[float, float]:
    """(median seconds to the first word of a lone reading, seconds for all of them one after another)."""
    firsts, total = [], 0.0
    for row in rows:
        first, whole = [seconds async for seconds in _stream(pair, [row])]
        firsts.append(first)
        total += whole
    return statistics.median(firsts), total


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
        rows = list(asyncio.run(pair.target.trace(served.ids(options.positions, "First."))).activations)

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
