"""Scores of readings: how much of an activation the words hold. h: the activation, r: the AR's reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.nla.types import Floats

CROWD = 100
"""Number of activations to choose from, where the readings are counted whose own is the nearest."""
ROUNDING = 1e-12
"""Cosines that differ by less are the same."""


@dataclass(frozen=True)
class Score:
    """Score of one reading. cos in -1…1; mse = 2 (1 - cos), both scaled to norm sqrt(d); fve = 1 - mse / V, None where
    V is not known. `rank`: 1 if, of `rank_of` activations, the reading's own is the nearest by cosine, 2 if one is
    nearer, …; None where it is compared with no others.
    """

    cos: float
    mse: float
    fve: float | None
    rank: int | None = None
    rank_of: int | None = None


@dataclass(frozen=True)
class Baselines:
    """Return the baselines: scores of what says nothing about a position. None where there are too few positions."""

    shuffled_cos: float | None  # another position's reading
    shuffled_fve: float | None
    mean_cos: float | None  # the mean of the other positions' activations, each normalised
    mean_fve: float | None


def units(vectors: Floats) -> Floats:
    """Rows scaled to norm 1, in float64 arithmetic; a zero row stays zero."""
    wide = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    out: Floats = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
    return out


def from_cosine(
    cos: float, variance: float | None, rank: int | None = None, rank_of: int | None = None
) -> Score:
    """Return the score of a cosine, of which mse and fve are functions."""
    mse = 2.0 * (1.0 - cos)
    return Score(cos, mse, None if variance is None else 1.0 - mse / variance, rank, rank_of)


def score(h: Floats, r: Floats, variance: float | None) -> Score:
    """Score one reconstruction [d] against its activation [d]. `variance` is V, of the normalised activations of the
    pair's data: the mean squared error of always predicting their mean.
    """
    return from_cosine(float(np.clip(units(h) @ units(r), -1.0, 1.0)), variance)


class Scorer:
    """Scores the readings of one text. Its activations are scaled once, not for each reading."""

    def __init__(self, activations: Floats, variance: float | None, pool: Sequence[int]) -> None:
        """activations: [T, d]; a row that is not finite has overflowed, and is near to nothing. Ranks are
        among the rows `pool` and the reading's own.
        """
        finite = np.isfinite(activations).all(axis=1, keepdims=True)
        self._units = units(np.where(finite, activations, np.float32(0)))
        self._variance = variance
        self._inside = frozenset(pool)
        self._pool = self._units[sorted(self._inside)]

    def compare(self, indices: Sequence[int], reconstructions: Floats) -> list[Score]:
        """Compare each of `reconstructions` [n, d] with its row and with the pool."""
        made = units(reconstructions)
        own = (made * self._units[list(indices)]).sum(1)
        nearer = (made @ self._pool.T > own[:, None] + ROUNDING).sum(1)
        return [
            from_cosine(cos, self._variance, 1 + count, len(self._pool) + (index not in self._inside))
            for index, cos, count in zip(indices, own.clip(-1, 1).tolist(), nearer.tolist(), strict=True)
        ]


def nearest_share(
    activations: Floats, reconstructions: Floats, indices: Sequence[int], pool: Sequence[int]
) -> tuple[float, int]:
    """For how many of the `reconstructions` [n, d] their own row of `activations` [T, d] is the nearest of
    CROWD: itself and others of `pool`, drawn for each from one seed (all of them, where there are fewer).
    Returns the share and how many they were. A rank among n grows with n; this can be compared from text to
    text.
    """
    each = units(activations)
    cosines = units(reconstructions) @ each.T
    random = np.random.default_rng(0)
    crowd = 0
    nearest = []
    known = np.unique(np.asarray(pool))
    for row, index in zip(cosines, indices, strict=True):
        others = known[known != index]
        if len(others) >= CROWD:
            others = random.choice(others, CROWD - 1, replace=False)
        crowd = max(crowd, len(others) + 1)
        nearest.append(bool((row[others] <= row[index] + ROUNDING).all()))
    return float(np.mean(nearest)), crowd


def baselines(
    activations: Floats, reconstructions: Floats, indices: Sequence[int], variance: float | None
) -> Baselines:
    """Over the positions `indices` of `activations` [T, d], with `reconstructions` [n, d] of their readings."""
    positions = np.unique(np.asarray(indices))
    if len(positions) < 2:
        return Baselines(None, None, None, None)
    each = units(activations)[positions]
    cosines = units(reconstructions) @ each.T
    shuffled = from_cosine(
        float(cosines[np.not_equal.outer(np.asarray(indices), positions)].mean()), variance
    )
    others = units(each.sum(0) - each)
    mean = from_cosine(float((others * each).sum(-1).mean()), variance)
    return Baselines(shuffled.cos, shuffled.fve, mean.cos, mean.fve)
