"""`python -m bench.lens`: what the lens costs beside the bare matrix products, and how quickly a long page is served.

Prints a Markdown table. Everything is measured in one run, side by side, on the demo pair's target.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.machine import machine
from bench.served import Served
from server.nla.checkpoints import demo
from server.nla.lens.logit_lens import CHUNK_BYTES, lens
from server.nla.models.target import TOP_K, TargetModel
from server.settings import Settings


def seconds(work: Callable[[], Any]) -> float:
    """Seconds that it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def costs(target: TargetModel, ids: list[int], rounds: int) -> list[tuple[float, float]]:
    """(seconds of the bare products, of the lens), turn by turn: every layer's norm and head on all positions."""
    with torch.inference_mode():
        residuals = target.residuals(ids)
        vocabulary = target.logits(residuals[-1][:1]).shape[-1]
        chunk = max(1, CHUNK_BYTES // (4 * vocabulary))

        def bare() -> None:
            for start in range(0, len(ids), chunk):
                for residual in residuals:
                    target.logits(residual[start : start + chunk])

        def whole() -> None:
            lens(residuals, ids, target.logits, TOP_K)

        bare()
        return [(seconds(bare), seconds(whole)) for _ in range(rounds)]


def peak() -> float:
    """GiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def demo_target() -> TargetModel:
    """Load the demo pair's target in float32, read at the demo's layer."""
    from transformers import AutoModelForCausalLM

    places = demo.build(Settings().cache_dir, lambda _: None)
    model = AutoModelForCausalLM.from_pretrained(
        places["target"], dtype=torch.float32, attn_implementation="eager"
    )
    return TargetModel(model, 20)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.lens", description=__doc__)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=int, default=300)
    options = parser.parse_args()
    print(machine())
    target = demo_target()
    ids = torch.randint(100, 40_000, (2000,), generator=torch.Generator().manual_seed(0)).tolist()
    print("\n| tokens | bare products, s | lens, s | lens / bare |\n| --- | --- | --- | --- |")
    for bare, whole in costs(target, ids[: options.tokens], options.rounds):
        print(f"| {options.tokens} | {bare:.2f} | {whole:.2f} | {whole / bare:.2f} |")
    before = peak()
    target.trace(ids[:500])
    short = peak()
    target.trace(ids)
    print(
        f"\npeak memory: {before:.2f} GiB before, {short:.2f} after a trace of 500 tokens, {peak():.2f} after 2,000"
    )
    page(options.page)


def page(count: int) -> None:
    """Server time of a page with all its readings, and of a click on a token."""
    with tempfile.TemporaryDirectory() as folder, Served(Path(folder)) as served:
        text = served.pair.prompter.tokenizer.decode(served.ids(count, "Long."))
        made = served.client.post(
            "/api/analyses", json={"text": text, "verbalise": {"max_new_tokens": 24}}
        ).json()
        with served.client.stream("GET", f"/api/analyses/{made['id']}/events") as stream:
            for _ in stream.iter_lines():
                pass
        times: dict[str, list[float]] = {"the page": [], "a click": [], "the map's numbers": [], "a cell": []}
        paths = {
            "the page": "",
            "a click": "/panel?t=",
            "the map's numbers": "/cells?metric=top&n=",
            "a cell": "/cell?t=",
        }

        def get(path: str) -> None:
            served.client.get(f"{made['url']}{path}").raise_for_status()

        for n in range(10):
            for name, path in paths.items():
                query = f"{path}{7 * n}" if path else ""
                times[name].append(seconds(partial(get, query)))
        print(f"\n| {count} tokens, all read | median, ms | longest, ms |\n| --- | --- | --- |")
        for name, found in times.items():
            print(f"| {name} | {1000 * statistics.median(found):.0f} | {1000 * max(found):.0f} |")


if __name__ == "__main__":
    main()
