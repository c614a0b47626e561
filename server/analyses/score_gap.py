"""Interval of a mean difference between scores of neighbouring tokens."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
"""Resamples of the interval."""
ENOUGH = 12
"""Tokens below which there is no interval."""


def run(n: int) -> int:
    """Tokens in a run: the cube root of n, the order that serves a mean best (Künsch 1989)."""
    return math.ceil(math.cbrt(n))


def interval(gap: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the mean of `gap` [n], in the order of the text."""
    n, length = len(gap), run(len(gap))
    rng = np.random.default_rng(0)
    starts = rng.integers(0, n, (DRAWS, math.ceil(n / length)))
    drawn = (starts[:, :, None] + np.arange(length)) % n
    means = gap[drawn.reshape(DRAWS, -1)[:, :n]].mean(1)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return low, high
