"""The figures of a study of languages. Intervals resample transcripts; nulls move the readings of a transcript along
it, so that they stay as alike their neighbours as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.studies.figures import corrected, count, statistic
from server.studies.requests import LanguagesRequest
from server.studies.resampling import agreement, share
from server.studies.schema import Case, Figures, LanguageLine, Null, ReadingResult, Statistic
from server.studies.shuffles import shifted

DRAWS = 1000
SHUFFLES = 200


def lines(
    readings: Sequence[ReadingResult], languages: Sequence[str], width: float, seed: int
) -> list[LanguageLine]:
    """Shares of readings that name each language around each of them, in their order: the mean over all, weighted
    by a Gaussian of their distance, whose standard deviation is `width` readings. Those that failed count for nothing,
    and have a value all the same. The null deals the readings to each other's places.
    """
    there = [n for n, reading in enumerate(readings) if reading.measures]
    if not there:
        return []
    away = np.arange(len(readings))[:, None] - np.array(there)
    # Less the distance of the nearest: far from all others, weights would otherwise be 0 / 0.
    weights = np.exp(-((away**2 - (away**2).min(1, keepdims=True)) / (2 * width**2)))
    weights /= weights.sum(1, keepdims=True)
    random = np.random.default_rng([seed, 1])
    orders = np.stack([random.permutation(len(there)) for _ in range(SHUFFLES)])
    found = []
    for language in languages:
        named = np.array([readings[n].measures[language] for n in there], float)
        dealt: NDArray[np.float64] = named[orders] @ weights.T
        low, high = np.percentile(dealt, [2.5, 97.5]).tolist()
        null = Null(value=float(named.mean()), interval=(low, high))
        values = [round(value, 6) for value in (weights @ named).tolist()]
        found.append(LanguageLine(language=language, values=values, null=null))
    return found


def figures(cases: Sequence[Case], languages: Sequence[str], request: LanguagesRequest) -> Figures:
    """Calculate all figures, over the readings that were made."""
    rows = [
        (case.number, reading)
        for case in cases
        if case.error is None
        for reading in case.readings
        if reading.measures and reading.language is not None
    ]
    clusters = [number for number, _ in rows]
    named = [{language for language in languages if reading.measures.get(language)} for _, reading in rows]
    sources = shifted(clusters, DRAWS, np.random.default_rng([request.seed, 1]))
    written = [reading.language for _, reading in rows]

    def told(wanted: Sequence[str | None]) -> Statistic:
        estimate = agreement(named, wanted, clusters, seed=request.seed, sources=sources)
        return statistic(estimate, count(clusters, [one is not None for one in wanted]))

    any_named = share([float(bool(one)) for one in named], clusters, seed=request.seed)
    groups = {
        "readings": {
            "names_a_language": statistic(any_named, len(set(clusters))),
            "names_the_language": told(written),
        },
        "languages": {
            f"names_{language}": told([language if one == language else None for one in written])
            for language in languages
        },
    }
    notes = []
    if rows and not any(named):
        notes.append(
            f"None of the {len(rows)} readings names one of the languages: what this pair's words hold of the language "
            "cannot be seen in them."
        )
    failed = sum(case.error is not None for case in cases)
    if failed:
        notes.append(f"{failed} of {len(cases)} transcripts could not be analysed; the table says why.")
    return corrected(groups, notes, len(cases) - failed)
