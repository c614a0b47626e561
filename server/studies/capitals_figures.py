"""The figures of a study of capitals. Intervals resample countries."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from server.studies.figures import corrected, count, statistic
from server.studies.requests import CapitalsRequest
from server.studies.resampling import Estimate, against_random, agreement, share
from server.studies.schema import Case, Figures, ReadingResult, Statistic, WordEdit

DRAWS = 1000
PLACES = ("country", "last")
Statistics = dict[str, Statistic]


def figures(cases: Sequence[Case], request: CapitalsRequest) -> Figures:
    """Calculate all figures. An edit counts where the model knows the other country's capital, too."""
    made = [case for case in cases if case.error is None]
    known = {case.row["country"] for case in made if case.exact}
    groups: dict[str, Statistics] = {"answers": {"says_the_capital": _says(made, request.seed)}}
    for where in PLACES:
        groups[where] = _readings(made, where, request.seed)
    for where in PLACES:
        edits = [
            (case.number, e) for case in made for e in case.edits if e.where == where and e.other in known
        ]
        groups[f"edits_{where}"] = _edits(edits, request.seed)
    notes = []
    if made and not any(groups[f"edits_{where}"] for where in PLACES):
        notes.append(
            "There was nothing to edit: no reading names the country whose capital the model says, or the other "
            "country's capital is not known to it."
        )
    failed = len(cases) - len(made)
    if failed:
        notes.append(f"{failed} of {len(cases)} countries could not be analysed; the table says why.")
    return corrected(groups, notes, len(made))


def _says(cases: Sequence[Case], seed: int) -> Statistic:
    """The share of countries whose capital the model says; the null gives each the answer to another one."""
    capitals = {case.row["capital"].casefold() for case in cases}
    replies = [case.reply.strip().casefold() for case in cases]
    said = [
        {c for c in capitals if reply and (reply.startswith(c) or c.startswith(reply))} for reply in replies
    ]
    wanted = [case.row["capital"].casefold() for case in cases]
    estimate = agreement(said, wanted, [case.number for case in cases], None, DRAWS, seed)
    return statistic(estimate, len(cases))


def _readings(cases: Sequence[Case], where: str, seed: int) -> Statistics:
    """The shares of readings that name their country, or its capital; the null deals them to other countries."""
    rows = [(case, r) for case in cases for r in case.readings if r.where == where and r.error is None]
    clusters = [case.number for case, _ in rows]
    found: Statistics = {}
    for what in ("country", "capital"):
        every = sorted({case.row[what] for case, _ in rows})
        said = [_named(reading, every) for _, reading in rows]
        estimate = agreement(said, [case.row[what] for case, _ in rows], clusters, None, DRAWS, seed)
        found[f"names_{what}"] = statistic(estimate, len(set(clusters)))
    values = [np.nan if reading.fve is None else reading.fve for _, reading in rows]
    there = count(clusters, [not np.isnan(value) for value in values])
    return found | {"fve": statistic(share(values, clusters, seed=seed), there)}


def _named(reading: ReadingResult, names: Sequence[str]) -> set[str]:
    return {name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", reading.text, re.I)}


def _edits(edits: Sequence[tuple[int, WordEdit]], seed: int) -> Statistics:
    """For each way of patching: the model's first choice, beside random directions and the reading as it is."""
    found: Statistics = {}
    for alpha in sorted({e.alpha for _, e in edits}, key=lambda alpha: -1.0 if alpha is None else alpha):
        those = [(number, e) for number, e in edits if e.alpha == alpha]
        clusters = [number for number, _ in those]

        def told(value: Callable[[WordEdit], float | None]) -> Statistic:
            values = [np.nan if (one := value(e)) is None else float(one) for _, e in those]  # noqa: B023
            there = count(clusters, [not np.isnan(one) for one in values])  # noqa: B023
            return statistic(share(values, clusters, seed=seed), there)  # noqa: B023

        carried: Estimate = against_random(
            [float(e.outcome == "other") for _, e in those],
            [e.random_hits for _, e in those],
            clusters,
            DRAWS,
            seed,
        )
        way = "replaced" if alpha is None else f"at_{alpha:g}"
        found[f"carries_over_{way}"] = statistic(carried, len(set(clusters)))
        if alpha is None:
            found[f"unedited_{way}"] = told(lambda e: e.unedited)
        found[f"own_capital_{way}"] = told(lambda e: e.outcome == "own")
        found[f"another_{way}"] = told(lambda e: e.outcome == "another")
        found[f"prob_{way}"] = told(lambda e: e.prob)
        found[f"random_prob_{way}"] = told(lambda e: e.random_prob)
    return found
