"""A word's map: each cell's place on the page's scale of colours."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontend import formatting
from frontend.lens.heatmap import FARTHEST
from server.analyses.schema import Analysis
from server.measurements.schema import TrackedWord, WordMentions, WordTrack

Shares = NDArray[np.float64]
FLOOR = 1e-6
"""The probability at the pale end of the logarithmic scale."""


@dataclass(frozen=True)
class WordMetric:
    """One way to colour the map. `share` gives each cell's place on the scale, 0 (pale) to 1 (deep), [L, T]."""

    label: str
    title: str
    share: Callable[[TrackedWord], Shares]
    low: str
    high: str


def _prob(word: TrackedWord) -> Shares:
    """Its first token's probabilities, in the output's row those of all its tokens."""
    found = np.asarray(word.prob, np.float64)
    found[-1] = word.whole
    return found


METRICS = {
    "log": WordMetric(
        "probability (logarithmic)",
        "Probability that the word comes next, on a logarithmic scale",
        lambda word: 1 - np.log10(np.maximum(_prob(word), FLOOR)) / math.log10(FLOOR),
        "one in a million",
        "100 %",
    ),
    "prob": WordMetric("probability", "Probability that the word comes next", _prob, "0 %", "100 %"),
    "rank": WordMetric(
        "rank",
        "Rank of the word's first token among all tokens",
        lambda word: 1 - np.log(np.asarray(word.rank, np.float64) + 1) / np.log(FARTHEST),
        "rank 100,000",
        "rank 1",
    ),
}


def shares(word: TrackedWord, metric: str) -> Shares:
    """Each cell's place on the scale, [L, T]."""
    return np.clip(METRICS[metric].share(word), 0, 1)


def word_cells(
    analysis: Analysis, track: WordTrack, word: TrackedWord, mentions: WordMentions, metric: str
) -> dict[str, Any]:
    """Data of the map, as `frontend.lens.heatmap.cells`; `marks` are the positions whose reading mentions the word,
    `written` those at which the text has it.
    """
    packed = np.round(shares(word, metric) * 255).astype(np.uint8)
    return {
        "layers": track.layers,
        "layer": analysis.layer,
        "tokens": [formatting.quoted(token.text, 24) or "\u00b7" for token in analysis.tokens],
        "cells": base64.b64encode(packed.tobytes()).decode(),
        "marks": sorted({mention.position for mention in mentions.readings}),
        "written": mentions.written,
    }
