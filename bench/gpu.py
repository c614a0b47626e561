"""`python -m bench.gpu`: the AV's engines side by side on this machine, correctness first, then the whole
explorer on each.

Prints Markdown tables. By default the pair has random weights of Qwen2.5-7B's exact shape, so nothing is
downloaded; its readings mean nothing and all use their whole budget, which is what makes the figures
comparable. Runs with torch and transformers alone (the rows of vLLM then say so), and without a GPU (`--shape
demo`).
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import engines
from bench.machine import CUDA, VLLM, free, machine, used
from bench.random_pair import LAYER, NAME, QWEN, random_pair
from server.nla.checkpoints import demo
from server.nla.checkpoints.specs import AvSpec, read_av
from server.nla.memory.estimates import GIB, MaxLengths
from server.nla.memory.plan import Plan
from server.nla.plan_cli import plan_av
from server.nla.types import Floats
from server.nla.verbalisers.base import Finished, ReadingRequest, TextDelta, Verbaliser
from server.nla.verbalisers.factory import Serving, make_verbaliser
from server.settings import Settings

COMPARED = 8


@dataclass
class Run:
    """One measurement: `count` readings asked for at once."""

    count: int
    first: float
    seconds: float
    tokens: int
    cached: float
    """Share of the prompts' tokens that came out of the prefix cache."""


def bandwidth() -> float:
    """Bytes a second that this machine's memory gives: a large copy, read and written."""
    size = 2**32 if CUDA else 2**28
    source = torch.zeros(size, dtype=torch.uint8, device="cuda" if CUDA else "cpu")
    goal = torch.empty_like(source)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        goal.copy_(source)
        if CUDA:
            torch.cuda.synchronize()
        best = max(best, 2 * size / (time.perf_counter() - start))
    return best


@asynccontextmanager
async def opened(name: str, spec: AvSpec, tokens: int) -> AsyncIterator[tuple[Verbaliser, Plan]]:
    """An engine of the AV and what it was planned to take; ended and freed afterwards."""
    serving = Serving(name, max_lengths=MaxLengths(reading=tokens))
    plan = plan_av(serving, spec)
    av = make_verbaliser(serving, plan, spec, nullcontext(), print)
    try:
        await av.open()
        yield av, plan
    finally:
        await av.close()
        del av
        free()


async def read(av: Verbaliser, rows: Sequence[Floats], tokens: int) -> tuple[Run, dict[Any, Finished]]:
    """Greedy readings of all rows, and how long they took."""
    before = av.counters()
    requests = [ReadingRequest(n, row, watched=n == 0) for n, row in enumerate(rows)]
    found: dict[Any, Finished] = {}
    start, first = time.perf_counter(), 0.0
    async for outcome in av.stream(requests, temperature=0.0, max_new_tokens=tokens, seed=0):
        if isinstance(outcome, TextDelta):
            first = first or time.perf_counter() - start
        elif isinstance(outcome, Finished):
            found[outcome.key] = outcome
        else:
            raise SystemExit(f"a reading failed: {outcome.reason}")
    seconds = time.perf_counter() - start
    grown = {key: value - before.get(key, 0) for key, value in av.counters().items()}
    cached = grown.get("cached_tokens", 0) / max(1, grown.get("prompt_tokens", 0))
    return Run(len(rows), first, seconds, sum(r.tokens for r in found.values()), cached), found


def agreement(ours: dict[Any, Finished], theirs: dict[Any, Finished]) -> str:
    """Count the equal readings, and how far the others go together."""
    equal = sum(ours[key].text == theirs[key].text for key in theirs)
    shared = []
    for key in theirs:
        pairs = zip(ours[key].text, theirs[key].text, strict=False)
        same = next((n for n, (a, b) in enumerate(pairs) if a != b), len(theirs[key].text))
        shared.append(same / max(1, len(theirs[key].text)))
    return f"{equal} of {len(theirs)} equal, {np.mean(shared):.0%} of the letters before the first difference"


async def measure(options: argparse.Namespace, spec: AvSpec) -> None:
    """Every engine in turn."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((max(options.positions), spec.d_model)).astype(np.float32)
    weights = sum(path.stat().st_size for path in spec.folder.glob("*.safetensors"))
    speed = bandwidth()
    print(
        f"\nweights {weights / GIB:.2f} GiB, memory {speed / 1e9:.0f} GB/s (a copy, measured): a step that reads every "
        f"weight once takes {1000 * weights / speed:.2f} ms, so at most {speed / weights:.0f} tokens a second for one "
        f"reading. The last column is the share of that bound, counted per step."
    )
    print(
        "\n| engine | positions | first words, s | all, s | readings / s | tokens / s | cached | of the bound |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    notes = []
    expected: dict[Any, Finished] = {}
    for name in options.engines:
        if name == "vllm" and not VLLM:
            print("| vllm | not installed | | | | | | |")
            continue
        start, before = time.perf_counter(), used()
        async with opened(name, spec, options.tokens) as (av, plan):
            notes.append(f"{name}: ready after {time.perf_counter() - start:.1f} s")
            _, found = await read(av, list(rows[:COMPARED]), options.tokens)
            if expected:
                notes.append(f"{name} against {options.engines[0]}, greedy: {agreement(found, expected)}")
            expected = expected or found
            for count in options.positions:
                run, _ = await read(av, list(rows[:count]), options.tokens)
                steps = run.tokens / run.count
                print(
                    f"| {name} | {count} | {run.first:.3f} | {run.seconds:.2f} | {count / run.seconds:.2f} | "
                    f"{run.tokens / run.seconds:.0f} | {run.cached:.0%} | "
                    f"{steps * weights / speed / run.seconds:.0%} |",
                    flush=True,
                )
            planned = sum(plan.used(device.index) for device in plan.devices) / GIB
            notes.append(f"{name}: {used() - before:.1f} GiB more in use, {planned:.1f} were planned")
    print("\n" + "\n".join(f"- {note}" for note in notes))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--shape", choices=["demo", "qwen2.5-7b"], default="qwen2.5-7b" if CUDA else "demo")
    parser.add_argument("--positions", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--tokens", type=int, default=130)
    parser.add_argument("--engines", nargs="+", default=["transformers", "vllm"])
    parser.add_argument(
        "--explorer", type=int, default=64, help="positions read by the whole explorer; 0: none"
    )
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        given: dict[str, Any] = {}
        if options.shape == "demo":
            av = demo.build(Settings().cache_dir)["av"]
        else:
            given = {"pair": NAME, "pairs_file": random_pair(Path(folder), QWEN, LAYER)}
            av = Path(folder) / "av"
        asyncio.run(measure(options, read_av(av)))
        if options.explorer:
            engines.speed(options.explorer, **given)


if __name__ == "__main__":
    main()
