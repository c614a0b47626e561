"""Time for the scores and ranks of all readings of one text: the activations scaled once, or for each reading.

    python -m bench.scores [--positions 2000] [--width 3584] [--every 20]

The second way is timed on one reading of `--every`, and what it says is compared.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from bench.machine import machine
from server.nla.scores import Scorer, units
from server.nla.types import Floats

BATCH = 32
"""Readings at a time, as the server has it (`score_batch`)."""


def rank_by_itself(h: Floats, r: Floats, index: int) -> int:
    """The rank of one reading, with nothing kept from one to the next."""
    cosines = units(h) @ units(r)
    return int((cosines > cosines[index]).sum()) + 1


def main() -> None:
    """Print both times, and whether the ranks are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--positions", type=int, default=2000)
    parser.add_argument("--width", type=int, default=3584)
    parser.add_argument("--every", type=int, default=20)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    h = random.normal(size=(options.positions, options.width)).astype(np.float32)
    made = (h + 2 * random.normal(size=h.shape)).astype(np.float32)

    began = time.perf_counter()
    scorer = Scorer(h, 0.7, range(len(h)))
    once = []
    for first in range(0, len(h), BATCH):
        part = range(first, min(first + BATCH, len(h)))
        once += scorer.compare(part, made[part.start : part.stop])
    together = time.perf_counter() - began

    chosen = range(0, len(h), options.every)
    began = time.perf_counter()
    each = [rank_by_itself(h, made[n], n) for n in chosen]
    alone = (time.perf_counter() - began) / len(chosen) * len(h)

    same = each == [once[n].rank for n in chosen]
    print(machine())
    print(
        f"{options.positions:,} readings at width {options.width:,}: {together:.1f} s with the activations scaled once,"
    )
    print(
        f"{alone:.0f} s with the activations scaled for each (by {len(chosen)} of them); ranks equal: {same}"
    )


if __name__ == "__main__":
    main()
