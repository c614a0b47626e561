"""`python -m bench.causal`: the time of patching every token of a text by itself, beside plain forward passes of it.

Prints a Markdown table. Everything is measured in one run, turn by turn, on the demo pair's target.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch

from bench.lens import demo_target, seconds
from bench.machine import machine
from server.nla.models.model_parts import head, text_model
from server.nla.models.target import TargetModel


@torch.inference_mode()
def plain(target: TargetModel, ids: list[int]) -> None:
    """One forward pass of the text, with the logits of every position."""
    tokens = torch.tensor([ids], device=target.model.device)
    head(target.model, text_model(target.model)(input_ids=tokens, use_cache=False).last_hidden_state[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.causal", description=__doc__)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(machine())
    target = demo_target()
    ids = torch.randint(100, 40_000, (options.tokens,), generator=torch.Generator().manual_seed(0)).tolist()
    vectors = np.random.default_rng(0).normal(size=(5 * len(ids), target.d_model)).astype(np.float32)

    def patched(controls: int, horizon: int) -> Callable[[], None]:
        positions = [p for p in range(len(ids)) for _ in range(controls)]

        def work() -> None:
            for _ in target.patch_each(ids, positions, vectors[: len(positions)], horizon):
                pass

        return work

    cases = {
        "one patch a token, horizon 0": patched(1, 0),
        "one patch a token, horizon 4": patched(1, 4),
        "five patches a token, horizon 0": patched(5, 0),
        "five patches a token, horizon 4": patched(5, 4),
    }
    plain(target, ids)
    cases["one patch a token, horizon 0"]()
    ratios: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(options.rounds):
        one = seconds(lambda: plain(target, ids))
        for name, work in cases.items():
            ratios[name].append(seconds(work) / one)
    print(
        f"\n{options.tokens} tokens; medians of {options.rounds} rounds, in plain forward passes of the same round.\n"
    )
    print("| what | times a plain pass | lowest | highest |\n| --- | --- | --- | --- |")
    for name, found in ratios.items():
        print(f"| {name} | {statistics.median(found):.2f} | {min(found):.2f} | {max(found):.2f} |")


if __name__ == "__main__":
    main()
