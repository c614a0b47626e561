"""The lens as a map: layers up, tokens across, one metric at a time, in numbers small enough to send whole."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontend import formatting
from server.analyses.lens_table import LensTable
from server.analyses.schema import Token

Shares = NDArray[np.float64]

FARTHEST = 1e5
"""The rank at the pale end of the scale."""
UNSURE = 12.0
"""nats: about the entropy of an even choice among the tokens of a large vocabulary."""
APART = 15.0
"""nats of KL at the pale end."""


@dataclass(frozen=True)
class Metric:
    """One way to colour the map. `share` gives each cell's place on the scale, 0 (pale) to 1 (deep), [L, T]."""

    label: str
    title: str
    share: Callable[[LensTable], Shares]
    low: str
    high: str


def _wide(values: Any) -> Shares:
    return np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=1e9, neginf=0.0)


METRICS = {
    "prob": Metric(
        "probability",
        "Probability that the layer gives to the token that came next",
        lambda lens: _wide(lens.prob),
        "0 %",
        "100 %",
    ),
    "rank": Metric(
        "rank",
        "Rank of the token that came next among all tokens",
        lambda lens: 1 - np.log(_wide(lens.rank) + 1) / np.log(FARTHEST),
        "rank 100,000",
        "rank 1",
    ),
    "entropy": Metric(
        "entropy",
        "How undecided the layer is, in nats",
        lambda lens: 1 - _wide(lens.entropy) / UNSURE,
        "12 nats: undecided",
        "0: decided",
    ),
    "kl": Metric(
        "KL",
        "How far the layer's guess is from the model's real output: KL(output ‖ layer), in nats",
        lambda lens: 1 - np.log1p(_wide(lens.kl)) / np.log1p(APART),
        "15 nats apart",
        "0: the same",
    ),
    "top": Metric(
        "first guess",
        "The token that the layer finds likeliest, coloured by how likely",
        lambda lens: _wide(lens.top_probs[:, :, 0]),
        "0 %",
        "100 %",
    ),
}


def cells(lens: LensTable, tokens: list[Token], metric: str, layer: int | None) -> dict[str, Any]:
    """Data of the map: one byte a cell, row by row from the first layer, in base64.

    `first` gives each cell's place in `texts` (32 bits, little endian), for the metric that shows text.
    """
    share = np.clip(METRICS[metric].share(lens), 0, 1)
    found: dict[str, Any] = {
        "layers": lens.layers,
        "layer": layer,
        "tokens": [formatting.quoted(token.text, 24) or "·" for token in tokens[: lens.positions]],
        "cells": _packed(np.round(share * 255).astype(np.uint8)),
    }
    if metric == "top":
        ids, where = np.unique(lens.top_ids[:, :, 0], return_inverse=True)
        found["texts"] = [formatting.quoted(lens.texts.get(int(i), ""), 24) for i in ids]
        found["first"] = _packed(where.astype("<u4"))
    return found


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
