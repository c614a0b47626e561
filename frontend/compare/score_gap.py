"""Difference between the scores of two sides, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frontend import formatting
from server.analyses.schema import Reading
from server.analyses.score_gap import ENOUGH, interval, run


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
