"""Shares, agreements and differences with 95 % intervals and nulls, whose unit is the problem.

The digits of one answer are not independent: a reading that names another problem names it at each of its digits.
So intervals resample whole problems (a percentile bootstrap), and a shuffle gives a problem the readings of another
one as a block, the digit at one place those of the digit at the same place. Shuffling digit by digit would make the
null too narrow, and claim effects that are not there.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from server.studies.shuffles import Indices, numbered, shuffled_blocks

Numbers = NDArray[np.float64]
LEAST_CLUSTERS = 4
"""Problems below which no interval is given."""
RESAMPLES = 2000
EPSILON = 1e-12
"""Shares that differ by less are equal: sums in another order."""


@dataclass(frozen=True)
class Estimate:
    """A statistic over `n` numbers with its 95 % interval; its mean and middle 95 % under the null; `p` of the
    comparison with the null. None where there is nothing to tell it from.
    """

    value: float | None
    interval: tuple[float, float] | None
    null_value: float | None
    null_interval: tuple[float, float] | None
    n: int
    p: float | None = None


def share(
    hits: ArrayLike, clusters: Sequence[Hashable], null_draws: ArrayLike | None = None, seed: int = 0
) -> Estimate:
    """The mean of `hits`, of which NaN is missing, resampled by cluster; `null_draws` are means under the null, for a
    one-sided p.
    """
    values = np.asarray(hits, float)
    there = ~np.isnan(values)
    values, which = values[there], numbered(numbered(clusters)[there])
    nulls = np.asarray([] if null_draws is None else null_draws, float)
    nulls = nulls[~np.isnan(nulls)]
    if not len(values):
        return Estimate(None, None, *_middle(nulls), 0)
    mean = float(values.mean())
    interval = _mean_interval(values, which, seed)
    return Estimate(mean, interval, *_middle(nulls), len(values), _one_sided(mean, nulls))


def agreement(
    stated: Sequence[object],
    produced: Sequence[object],
    clusters: Sequence[Hashable],
    places: Sequence[Hashable] | None = None,
    draws: int = 1000,
    seed: int = 0,
    sources: Indices | None = None,
) -> Estimate:
    """The share of rows where `stated` is `produced`, or holds it where it is a collection. None (or NaN) on either
    side is missing and left out; an empty collection is a miss.

    The null gives each problem what another one states, place by place, or in any order without `places`; p is
    one-sided: how often that agrees as much. Without places it also counts as agreement that first digits are small and
    readings know where they are: a claim has to rest on the null with places. `sources` [draws, n] are other shuffles,
    in place of those.
    """
    which = numbered(clusters)
    codes: dict[object, int] = {}
    for wanted in produced:
        codes.setdefault(wanted, len(codes))
    columns = np.array([codes[wanted] for wanted in produced], int)
    holds = np.zeros((len(columns), len(codes)), bool)
    for row, whole in enumerate(stated):
        each = whole if isinstance(whole, Collection) and not isinstance(whole, str) else [whole]
        holds[row, [codes[one] for one in each if one in codes]] = True
    said, known = (np.array([not _missing(one) for one in side], bool) for side in (stated, produced))
    rows = np.arange(len(columns))
    hits = np.where(said & known, holds[rows, columns], np.nan) if len(rows) else np.empty(0)
    if sources is None:
        sources = shuffled_blocks(which, places, draws, np.random.default_rng([seed, 1]))
    there = (sources >= 0) & said[sources] & known
    counts = there.sum(1)
    nulls = (holds[sources, columns] & there).sum(1)[counts > 0] / counts[counts > 0]
    return share(hits, clusters, nulls, seed)


def against_random(
    hits: Sequence[float],
    random_hits: Sequence[Sequence[bool]],
    clusters: Sequence[Hashable],
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """The share of edits that hit, beside that of the random directions of each edit; an edit without any is left out
    of the comparison. Each draw of the null takes one direction in each cluster, the same one for all its edits; for p,
    which is one-sided, the edit itself is among those that may be taken: one that is no better than they are is as
    likely to be the best.
    """
    found = share(hits, clusters, seed=seed)
    beside = [n for n, each in enumerate(random_hits) if len(each)]
    if not beside:
        return found
    count = min(len(random_hits[n]) for n in beside)
    which = numbered([clusters[n] for n in beside])
    table = np.array([[hits[n], *random_hits[n][:count]] for n in beside], float)  # [n, 1 + count]
    random = np.random.default_rng([seed, 1])
    rows, size = np.arange(len(which)), int(which.max()) + 1
    alone = table[rows, random.integers(1, count + 1, (draws, size))[:, which]].mean(1)
    among = table[rows, random.integers(0, count + 1, (draws, size))[:, which]].mean(1)
    value, middle = float(table[:, 1:].mean()), _middle(alone)[1]
    return replace(
        found, null_value=value, null_interval=middle, p=_one_sided(float(table[:, 0].mean()), among)
    )


def difference(
    values_a: ArrayLike,
    clusters_a: Sequence[Hashable],
    values_b: ArrayLike,
    clusters_b: Sequence[Hashable],
    places_a: Sequence[Hashable] | None = None,
    places_b: Sequence[Hashable] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """The mean of `values_a` less that of `values_b`; NaN is missing. Clusters are resampled as wholes, with what they
    have on both sides.

    The null gives each problem the labels (a or b) of another one, place by place, or in any order without places: what
    the places alone make of the difference is in the null. p is two-sided about the null's median.
    """
    sides = [np.asarray(values_a, float), np.asarray(values_b, float)]
    values = np.concatenate(sides)
    first = np.repeat([True, False], [len(sides[0]), len(sides[1])])
    there = ~np.isnan(values)
    which = numbered(numbered([*clusters_a, *clusters_b])[there])
    places = None
    if places_a is not None and places_b is not None:
        places = [place for place, kept in zip([*places_a, *places_b], there, strict=True) if kept]
    values, first = values[there], first[there]
    if first.all() or not first.any():
        return Estimate(None, None, None, None, len(values))
    found = float(values[first].mean() - values[~first].mean())
    means = np.subtract(*(_resampled_means(values, side, which, seed) for side in (first, ~first)))
    means = means[~np.isnan(means)]
    enough = which.max() + 1 >= LEAST_CLUSTERS and len(means)
    nulls = _null_differences(
        values, first, shuffled_blocks(which, places, draws, np.random.default_rng([seed, 1]))
    )
    return Estimate(
        found, _percentiles(means) if enough else None, *_middle(nulls), len(values), _two_sided(found, nulls)
    )


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's corrected p-values, in the order of `ps` (Holm 1979, Scand. J. Statist. 6); None stays None and does not
    count.
    """
    known = sorted((p, n) for n, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    most = 0.0
    for rank, (p, n) in enumerate(known):
        most = max(most, min(1.0, (len(known) - rank) * p))
        corrected[n] = most
    return corrected


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _resampled_means(values: Numbers, side: NDArray[np.bool_], which: Indices, seed: int) -> Numbers:
    """The mean of one side's values in each resample of the clusters, the same ones for the same seed; NaN of none."""
    count = int(which.max()) + 1
    drawn = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    top, bottom = (np.bincount(which, weights, count)[drawn].sum(1) for weights in (values * side, side))
    means: Numbers = np.divide(top, bottom, out=np.full(RESAMPLES, np.nan), where=bottom > 0)
    return means


def _mean_interval(values: Numbers, which: Indices, seed: int) -> tuple[float, float] | None:
    """The middle 95 % of resampled means. Of hits that are all 1 or all 0 there is nothing to resample: it is then the
    exact interval (Clopper and Pearson 1934) of as many independent hits as there are clusters.
    """
    count = int(which.max()) + 1
    if count < LEAST_CLUSTERS:
        return None
    edge = 0.025 ** (1 / count)
    if (values == 0).all():
        return 0.0, 1 - edge
    if (values == 1).all():
        return edge, 1.0
    return _percentiles(_resampled_means(values, np.ones(len(values), bool), which, seed))


def _null_differences(values: Numbers, first: NDArray[np.bool_], sources: Indices) -> Numbers:
    there = sources >= 0
    a, b = first[sources] & there, ~first[sources] & there
    both = a.any(1) & b.any(1)
    a, b = a[both], b[both]
    gaps: Numbers = (a @ values) / a.sum(1) - (b @ values) / b.sum(1)
    return gaps


def _percentiles(drawn: Numbers) -> tuple[float, float]:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _middle(nulls: Numbers) -> tuple[float | None, tuple[float, float] | None]:
    """The mean and the middle 95 %."""
    return (float(nulls.mean()), _percentiles(nulls)) if len(nulls) else (None, None)


def _one_sided(value: float, nulls: Numbers) -> float | None:
    """The one-sided p-value: how often the null is as large, the observed one counted (Phipson and Smyth 2010, SAGMB
    9).
    """
    return float((1 + (nulls >= value - EPSILON).sum()) / (1 + len(nulls))) if len(nulls) else None


def _two_sided(value: float, nulls: Numbers) -> float | None:
    above, below = _one_sided(value, nulls), _one_sided(-value, -nulls)
    return None if above is None or below is None else min(1.0, 2 * min(above, below))
