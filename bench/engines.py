"""`python -m bench.engines`: the explorer on vLLM, against plain vLLM and against the transformers engine, in one run.

Prints a Markdown table. Needs vLLM (on a CPU: `.ci/vllm-env`, then `.venv-vllm/bin/python -m bench.engines`).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.analysis import TEXT, Served, machine
from bench.gpu import used
from server.nla.lens import Floats
from server.nla.verbalisers.base import CLOSING, Delta, Order
from server.nla.verbalisers.vllm import VllmVerbaliser
from server.settings import Settings

TOKENS = 200


async def bare(served: Served, rows: list[Floats]) -> tuple[float, float]:
    """(seconds to the first words, to the end) of readings asked of the engine without the explorer."""
    start, first = time.perf_counter(), 0.0
    orders = [Order(n, row) for n, row in enumerate(rows)]
    stream = served.pair.verbaliser.stream(orders, temperature=0.0, max_new_tokens=TOKENS, seed=0)
    async for outcome in stream:
        if isinstance(outcome, Delta):
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
    for row in av.prompt.rows([Order(n, row) for n, row in enumerate(rows)]):
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


def many(served: Served, count: int) -> list[float]:
    """GiB in use by this process and its children while `count` analyses of one reading follow each other."""
    seen = []
    for n in range(count):
        served.analyse(8, f"{n} is a number.", [7])
        if n % 50 == 49:
            seen.append(used())
    return seen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=__doc__)
    parser.add_argument("--positions", type=int, default=64)
    parser.add_argument("--many", type=int, default=500)
    options = parser.parse_args()
    print(machine())
    figures: dict[str, dict[str, float]] = {}
    memory: list[float] = []
    for name in ("transformers", "vllm"):
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(data_dir=Path(folder), port=0, verbaliser=name)
            with Served(Path(folder), settings) as served:
                served.analyse(16, "Warm up.")
                found = served.analyse(options.positions, "First.")
                ids = served.pair.prompter.encode(None, "First. " + TEXT * 4)[: options.positions]
                rows = list(served.pair.target.trace(ids).activations)
                firsts = [asyncio.run(bare(served, rows[n : n + 1]))[0] for n in range(5)]
                alone = [served.analyse(8, f"{n} alone.", [7]) for n in range(5)]
                figures[name] = {
                    "explorer, HTTP to the last score": found["last score"],
                    "the engine alone": asyncio.run(bare(served, rows))[1],
                    "first words at an idle server, from the lens on": statistics.median(
                        a["first word of a reading"] - a["lens"] for a in alone
                    ),
                    "first words of a bare request": statistics.median(firsts),
                }
                if name == "vllm":
                    memory = many(served, options.many)
                    av = served.pair.verbaliser
    assert isinstance(av, VllmVerbaliser)
    figures["vllm"]["plain LLM.generate"] = plain(av, rows)
    print(f"\n| {options.positions} positions, seconds | transformers | vllm |\n| --- | --- | --- |")
    for what in figures["vllm"]:
        cells = [f"{figures[name][what]:.3f}" if what in figures[name] else "" for name in figures]
        print(f"| {what} | {' | '.join(cells)} |")
    ours, theirs = figures["vllm"], figures["transformers"]
    total = ours["explorer, HTTP to the last score"]
    print(f"| explorer / plain | | {total / ours['plain LLM.generate']:.2f} |")
    print(
        f"| readings a second, against transformers | | {theirs['the engine alone'] / ours['the engine alone']:.2f} |"
    )
    first = ours["first words at an idle server, from the lens on"] / ours["first words of a bare request"]
    print(f"| first words / bare | | {first:.2f} |")
    shown = ", ".join(f"{value:.2f}" for value in memory)
    print(f"\nGiB in use after each 50 of {options.many} analyses: {shown}")
    if len(memory) > 2:
        slope = np.polyfit(np.arange(len(memory)), memory, 1)[0]
        print(f"slope {1024 * slope:.1f} MiB per 50 analyses")


if __name__ == "__main__":
    main()
