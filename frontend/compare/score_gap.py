"""How much more of the activation one side's readings hold than the other's, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frontend import formatting
from server.analyses.schema import Reading

DRAWS = 2000
"""Resamples of the interval."""
ENOUGH = 12
"""Tokens below which there is no interval."""


def gap_sentence(pairs: Sequence[tuple[Reading | None, Reading | None]], *, one_text: bool) -> str:
    """The mean scores of the readings that stand beside each other, and their difference with an interval, in
    words; empty where fewer than two are scored. `one_text`: both sides read the same text.

    A claim about texts would need many: within one, tokens are all there is to resample, and neighbours are
    alike. So runs of neighbours are drawn (circular block bootstrap, Politis & Romano 1992), which leaves
    what they share in the interval.
    """
    scores = np.array(
        [(p.fve, q.fve) for p, q in pairs if p and q and p.fve is not None and q.fve is not None]
    )
    if len(scores) < 2:
        return ""
    gap = scores[:, 0] - scores[:, 1]
    a, b = scores.mean(0).tolist()
    said = (
        f"Over the {len(scores)} content tokens that both read, A holds {formatting.percent(a)} and B "
        f"{formatting.percent(b)} of "
        f"the activation's direction: a difference of {formatting.points(a - b)}"
    )
    if len(gap) < ENOUGH:
        return f"{said}. They are too few for an interval."
    low, high = interval(gap)
    texts = "this one text: of other texts" if one_text else "these two texts: of others"
    return (
        f"{said} (95 % interval {formatting.points(low)} to {formatting.points(high)}, bootstrap over runs "
        f"of {run(len(gap))} "
        f"neighbouring tokens of {texts} it says nothing)."
    )


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
