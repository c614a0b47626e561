"""Shuffles of readings that keep together what is not independent: by blocks, and along a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.intp]
LEAST_ALIKE = 4
"""Problems with digits at the same places below which they are shuffled together with other rare ones."""
AT_ONCE = 2**20
"""Random numbers that are held at a time."""


def shuffled_within(
    values: ArrayLike, groups: Sequence[Hashable], draws: int, rng: np.random.Generator
) -> NDArray[np.generic]:
    """The values [draws, n] with those of each group in random order; each draw is one."""
    values, which = np.asarray(values), numbered(groups)
    shuffled = np.repeat(values[None], draws, axis=0)
    for group in range(int(which.max(initial=-1)) + 1):
        members = np.flatnonzero(which == group)
        shuffled[:, members] = rng.permuted(shuffled[:, members], axis=1)
    return shuffled


def shuffled_blocks(
    clusters: Sequence[Hashable] | Indices,
    places: Sequence[Hashable] | None,
    draws: int,
    rng: np.random.Generator,
) -> Indices:
    """For each row and draw [draws, n] the row whose reading it is given, -1 for none.

    Each cluster is given the rows of one other cluster (or its own), one that has rows at the same places; those of a
    rare combination of places are shuffled among each other, and rows that the other one lacks are given none. Without
    places, the rows of a cluster come in random order.
    """
    which = numbered(clusters)
    if not len(which):
        return np.empty((draws, 0), np.intp)
    seen: dict[tuple[Hashable, Hashable], int] = {}
    keys: dict[Hashable, int] = {}
    columns = np.empty(len(which), np.intp)
    for n, cluster in enumerate(which.tolist()):
        place = "any" if places is None else places[n]
        turn = seen[cluster, place] = seen.get((cluster, place), -1) + 1  # several rows may be at one place
        columns[n] = keys.setdefault((place, turn), len(keys))
    grid = np.full((int(which.max()) + 1, len(keys)), -1, np.intp)
    grid[which, columns] = np.arange(len(which))
    shapes = [tuple(row) for row in (grid >= 0).tolist()]
    counts = Counter(shapes)
    alike = [shape if counts[shape] >= LEAST_ALIKE else None for shape in shapes]
    others = shuffled_within(np.arange(len(grid)), alike, draws, rng).astype(np.intp)
    if places is not None:
        return grid[others[:, which], columns]
    sources = np.empty((draws, len(which)), np.intp)
    some = max(1, AT_ONCE // grid.size)
    for first in range(0, draws, some):
        last = min(first + some, draws)
        order = np.where(grid >= 0, rng.random((last - first, *grid.shape)), 2.0).argsort(
            2
        )  # missing ones stay last
        dealt = np.take_along_axis(np.broadcast_to(grid, order.shape), order, 2)
        sources[first:last] = dealt[np.arange(last - first)[:, None], others[first:last][:, which], columns]
    return sources


def shifted(clusters: Sequence[Hashable], draws: int, rng: np.random.Generator) -> Indices:
    """For each row and draw [draws, n] the row whose reading it is given: the rows of each cluster, in their order,
    moved on by a random number of steps, its end to its beginning. Readings that follow each other resemble each other,
    and do so as much when they are moved; dealt one by one they would make the null too narrow.
    """
    which = numbered(clusters)
    sources = np.empty((draws, len(which)), np.intp)
    for cluster in range(int(which.max(initial=-1)) + 1):
        members = np.flatnonzero(which == cluster)
        steps = rng.integers(len(members), size=draws)
        sources[:, members] = members[(np.arange(len(members)) - steps[:, None]) % len(members)]
    return sources


def numbered(clusters: Sequence[Hashable] | Indices) -> Indices:
    """Number the clusters in the order in which they come."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], np.intp)
