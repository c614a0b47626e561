"""`python -m bench.engines`: the explorer on vLLM, against plain vLLM and against the transformers engine, in
one run.

Prints a Markdown table. Needs vLLM (on a CPU: `.ci/vllm-env`, then `.venv-vllm/bin/python -m bench.engines`).
With the demo pair, or with random weights in the shape of Qwen2.5-7B and its pair (`--shape qwen2.5-7b`), for
which it takes a GPU.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import VLLM, machine, used
from bench.random_pair import LAYER, NAME, QWEN, random_pair
from bench.served import Served
from server.nla.memory.estimates import GIB
from server.nla.types import Floats
from server.nla.verbalisers.base import CLOSING, ReadingRequest, TextDelta
from server.nla.verbalisers.vllm import VllmVerbaliser
from server.pairs.catalogue import Catalogue
from server.settings import Settings

TOKENS = 200


async def bare(served: Served, rows: list[Floats]) -> tuple[float, float]:
    """(seconds to the first words, to the end) of readings asked of the engine without the explorer."""
    start, first = time.perf_counter(), 0.0
    requests = [ReadingRequest(n, row, watched=n == 0) for n, row in enumerate(rows)]
    stream = served.pair.verbaliser.stream(requests, temperature=0.0, max_new_tokens=TOKENS, seed=0)
    async for outcome in stream:
        if isinstance(outcome, TextDelta):
            first = first or time.perf_counter() - start
    return first, time.perf_counter() - start


def plain(av: VllmVerbaliser, rows: list[Floats]) -> float:
    """Seconds that `LLM.generate` needs for the same prompts, on an engine with the same options."""
    import torch
    from vllm import LLM, SamplingParams
    from vllm.inputs import EmbedsPrompt

    options = {k: v for k, v in av.options.items() if k not in {"scheduling_policy", "disable_log_stats"}}
    engine = LLM(**options)
    slot = av.prompt.slot
    prompts: list[Any] = []
    for row in av.prompt.rows([ReadingRequest(n, row) for n, row in enumerate(rows)]):
        embeds = torch.zeros(len(av.prompt.ids), len(row))
        embeds[slot] = row
        mask = [n != slot for n in range(len(av.prompt.ids))]
        prompts.append(
            EmbedsPrompt(prompt_embeds=embeds, prompt_token_ids=av.prompt.ids, prompt_is_token_ids=mask)
        )
    sampling = SamplingParams(
        temperature=0.0, max_tokens=TOKENS, stop=[CLOSING], include_stop_str_in_output=True
    )
    engine.generate(prompts[:1], sampling, use_tqdm=False)
    start = time.perf_counter()
    engine.generate(prompts, sampling, use_tqdm=False)
    return time.perf_counter() - start


def many(count: int) -> list[float]:
    """GiB in use by this process and its children while `count` analyses of one short reading follow each other."""
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), port=0, verbaliser="vllm")
        with Served(Path(folder), settings) as served:
            for n in range(count):
                served.analyse(8, f"{n} is a number.", [7], reading_tokens=8)
                if n % 50 == 49:
                    seen.append(used())
    return seen


def measure(
    given: Mapping[str, Any], positions: int
) -> tuple[dict[str, float], VllmVerbaliser | None, list[Floats]]:
    """The figures of the explorer with these settings; the engine (closed) and the activations, for the comparison."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), port=0, **given)
        plan = Catalogue(settings).plan(settings.pair, None)
        before = used()
        with Served(Path(folder), settings) as served:
            served.analyse(16, "Warm up.", reading_tokens=TOKENS)
            found = served.analyse(positions, "First.", reading_tokens=TOKENS)
            pair = served.pair
            rows = list(asyncio.run(pair.target.trace(served.ids(positions, "First."))).activations)
            firsts = [asyncio.run(bare(served, rows[n : n + 1]))[0] for n in range(5)]
            alone = [served.analyse(8, f"{n} alone.", [7], TOKENS) for n in range(5)]
            listed = served.client.get("/api/analyses", params={"q": "First. The lighthouse"}).json()[0]
            readings = served.client.get(f"/api/analyses/{listed['id']}").json()["readings"]
            start = time.perf_counter()
            for n in range(0, len(readings), settings.score_batch):
                texts = [r["text"] for r in readings[n : n + settings.score_batch]]
                asyncio.run(pair.reconstructor.reconstruct(texts))
            scored = time.perf_counter() - start
            counters = {
                "explorer, HTTP to the last score": found["last score"],
                "of that: HTTP to the lens": found["lens"],
                "the AR by itself on these readings": scored,
                "the engine by itself": asyncio.run(bare(served, rows))[1],
                "first words at an idle server, from the lens on": statistics.median(
                    a["first word of a reading"] - a["lens"] for a in alone
                ),
                "first words of a bare request": statistics.median(firsts),
                "GiB in use": used() - before,
                "GiB planned": sum(plan.used(device.index) for device in plan.devices) / GIB,
            }
            av = pair.verbaliser
    return counters, av if isinstance(av, VllmVerbaliser) else None, rows


def speed(positions: int, **given: Any) -> None:
    """Print the explorer with these settings on both engines, beside plain vLLM where it is installed."""
    theirs, _, _ = measure({**given, "verbaliser": "transformers"}, positions)
    ours: dict[str, float] = {}
    if VLLM:
        ours, av, rows = measure({**given, "verbaliser": "vllm"}, positions)
        assert av is not None
        ours["plain LLM.generate"] = plain(av, rows)
    print(f"\n| {positions} positions, seconds | transformers | vllm |\n| --- | --- | --- |")
    for what in ours or theirs:
        cells = [f"{found[what]:.3f}" if what in found else "" for found in (theirs, ours)]
        print(f"| {what} | {cells[0]} | {cells[1] or ('' if VLLM else 'not installed')} |")
    if not VLLM:
        return
    total = ours["explorer, HTTP to the last score"]
    print(f"| explorer / plain | | {total / ours['plain LLM.generate']:.2f} |")
    apart = sum(
        ours[part]
        for part in ("plain LLM.generate", "of that: HTTP to the lens", "the AR by itself on these readings")
    )
    print(f"| explorer / (plain + lens + AR) | | {total / apart:.2f} |")
    quicker = theirs["the engine by itself"] / ours["the engine by itself"]
    print(f"| readings a second, against transformers | | {quicker:.2f} |")
    first = ours["first words at an idle server, from the lens on"] / ours["first words of a bare request"]
    print(f"| first words / bare | | {first:.2f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=__doc__)
    parser.add_argument("--shape", choices=["demo", "qwen2.5-7b"], default="demo")
    parser.add_argument("--positions", type=int, default=64)
    parser.add_argument("--many", type=int, default=500)
    parser.add_argument("--only", choices=["speed", "memory"])
    options = parser.parse_args()
    print(machine())
    if options.only != "memory":
        with tempfile.TemporaryDirectory() as folder:
            random = options.shape != "demo"
            file = random_pair(Path(folder), QWEN, LAYER) if random else None
            speed(options.positions, **({"pair": NAME, "pairs_file": file} if random else {}))
    if options.only != "speed":
        memory = many(options.many)
        shown = ", ".join(f"{value:.2f}" for value in memory)
        print(f"\nGiB in use after each 50 of {options.many} analyses: {shown}")
        slope = np.polyfit(np.arange(len(memory)), memory, 1)[0] if len(memory) > 2 else float("nan")
        print(f"slope {1024 * slope:.1f} MiB per 50 analyses")


if __name__ == "__main__":
    main()
