"""The figures of a study of prompts: the mean of each measure. Intervals resample cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from server.studies.figures import corrected, count, statistic
from server.studies.requests import PromptsRequest, Rule
from server.studies.resampling import agreement, share
from server.studies.schema import Case, Figures, ReadingResult, Statistic
from server.studies.template import fill

DRAWS = 200
MOST_WORDS = 2_000
"""Different words beyond which none is looked for in the readings of other cases."""
Row = tuple[Case, ReadingResult]


def figures(cases: Sequence[Case], request: PromptsRequest) -> Figures:
    """Calculate all figures, over the readings that were made."""
    rows = [(case, reading) for case in cases for reading in case.readings if reading.error is None]
    found = {name: _measure(name, rows, request) for name in request.measures}
    failed = sum(case.error is not None for case in cases)
    unread = sum(case.error is None and not case.readings for case in cases)
    notes = []
    if failed:
        notes.append(f"{failed} of {len(cases)} prompts could not be analysed; the table says why.")
    if unread:
        notes.append(f"In {unread} of {len(cases)} prompts there is no position of this kind.")
    return corrected({"readings": found}, notes, len(cases) - failed)


def _measure(name: str, rows: Sequence[Row], request: PromptsRequest) -> Statistic:
    clusters = [case.number for case, _ in rows]
    values = [_number(reading.measures.get(name)) for _, reading in rows]
    there = count(clusters, [not np.isnan(value) for value in values])
    word = _word_of(name, request)
    words = [] if word is None else [word(row).strip().casefold() for row in rows]
    different = sorted(set(words) - {""})
    if len(different) < 2 or len(different) > MOST_WORDS:
        return statistic(share(values, clusters, seed=request.seed), there)
    said = [
        {one for one in different if one in text} for text in (reading.text.casefold() for _, reading in rows)
    ]
    wanted = [one or None for one in words]
    return statistic(agreement(said, wanted, clusters, None, DRAWS, request.seed), there)


def _word_of(name: str, request: PromptsRequest) -> Callable[[Row], str] | None:
    """The word that is looked for in a reading, where it differs from row to row: by chance it is in the reading of
    another case too, and that is the null. None where it does not.
    """
    measure = request.measures[name]
    if measure == "names_token":
        return lambda row: row[1].token
    if isinstance(measure, Rule) and measure.token is not None:
        token = measure.token
        return lambda row: fill(token, row[0].row)
    return None


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
