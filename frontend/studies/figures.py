"""The figures of a study as bars: each statistic with its interval, what chance gives, and the original study's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from frontend import formatting
from frontend.bars import Bar, at, both
from frontend.studies.contexts import BarFigure, BarGroup, StatisticGroup, StatisticRow
from frontend.studies.names import GROUPS, QUANTITIES, is_share, name_of, span, units, written
from server.studies.schema import ALIGNMENTS, Statistic, Study

WHERE = {"at": "at the digit", "before": "before it"}
COLOURS = {"at": "c1", "before": "c2"}
DIGITS = {
    "same_digit": "The stated result has the digit that the model writes there",
    "hints_produced_when_wrong": "Of wrong digits, the words hint the one that the model writes",
    "hints_correct_when_wrong": "Of wrong digits, the words hint the right one",
    "hints_a_digit": "The words hint a digit at all",
    "states_a_result": "The words state a result at all",
    "stated_is_true": "The stated result is that of the problem that they name",
}


@dataclass(frozen=True)
class Original:
    """A figure of the original study, and what its shuffles gave; on Qwen2.5-7B, K = 20."""

    value: float
    null: float

    @property
    def words(self) -> str:
        """Say it."""
        return f"The original study: {_exact(self.value)} against {_exact(self.null)} by chance."


ORIGINALS = {
    "same_digit": Original(0.905, 0.15),
    "hints_produced_when_wrong": Original(0.64, 0.08),
    "hints_correct_when_wrong": Original(0.007, 0.08),
}
EDITED = 0.05
"""The share of the original study's edits that gave the intended digit."""


def _exact(share: float) -> str:
    return f"{100 * share:g}{formatting.NARROW}%"


def bar_figures(study: Study) -> list[BarFigure]:
    """Build the figures that there are statistics for."""
    figures = [
        BarFigure(
            "digits",
            "Do the words say what the model writes?",
            "Each digit of an answer has two readings: one at the digit, where it is an input, and one before it, "
            "whose pass produces it. By chance is what readings of other problems give at the same place.",
            list(_digits(study)),
        ),
        BarFigure(
            "answers",
            "How right are the answers?",
            "By chance is what the answers to other problems give.",
            list(_answers(study)),
        ),
        BarFigure(
            "scores",
            "Are wrong digits read less well?",
            "How much of an activation its reading holds; with causal scores, how much of what the model does with it. "
            "The difference is compared with labels of other problems at the same places.",
            list(_scores(study)),
        ),
        BarFigure(
            "measures",
            "What the readings hold",
            "The mean of each measure over all readings. By chance is what readings of other prompts give.",
            list(_measures(study)),
        ),
        BarFigure(
            "capitals",
            "Does another country in the words bring its capital?",
            "Where the model says the capital and a reading names the country, another country is put into the words "
            "and patched in. By chance: of readings, what those of other countries name; of edits, what random "
            "directions at the same angle do.",
            list(_capitals(study)),
        ),
    ]
    return [figure for figure in figures if figure.groups]


def _digits(study: Study) -> Iterator[BarGroup]:
    for name, words in DIGITS.items():
        original = ORIGINALS.get(name)
        bars = [
            bar(study, name, statistic, WHERE[alignment], COLOURS[alignment], original)
            for alignment in ALIGNMENTS
            if (statistic := study.statistics.get(alignment, {}).get(name)) is not None
        ]
        if bars:
            yield BarGroup(words, bars, original.words if original else "")


def _answers(study: Study) -> Iterator[BarGroup]:
    found = study.statistics.get("answers", {})
    parts = [
        ("Of all problems", ["answered", "exact"]),
        ("By place, from the left", [name for name in found if name.startswith("digit_")]),
        ("By length of the right number", [name for name in found if name.startswith("exact_of_")]),
    ]
    for title, names in parts:
        bars = [bar(study, name, found[name], _short(name), "c1") for name in names if name in found]
        if bars:
            yield BarGroup(title, bars)


def _short(name: str) -> str:
    length = re.fullmatch(r"exact_of_(\d+)_digits", name)
    return f"{length[1]} digit{'s' * (length[1] != '1')}" if length else name_of(name).removesuffix(" right")


def _scores(study: Study) -> Iterator[BarGroup]:
    for quantity in ("fve", "causal"):
        bars = []
        for alignment in ALIGNMENTS:
            for side in ("right", "wrong"):
                statistic = study.statistics.get(alignment, {}).get(f"{quantity}_{side}")
                if statistic is not None and statistic.value is not None:
                    label = f"{side}, {WHERE[alignment]}"
                    bars.append(bar(study, f"{quantity}_{side}", statistic, label, COLOURS[alignment]))
        if bars:
            yield BarGroup(QUANTITIES[quantity].capitalize(), bars)


def _measures(study: Study) -> Iterator[BarGroup]:
    found = study.statistics.get("readings", {})
    bars = [bar(study, name, found[name], name_of(name), "c1") for name in found if is_share(study, name)]
    if bars:
        yield BarGroup("Share of the readings, or mean score", bars)


def _capitals(study: Study) -> Iterator[BarGroup]:
    for where, colour in (("country", "c1"), ("last", "c2")):
        for group in (where, f"edits_{where}"):
            found = study.statistics.get(group, {})
            named = [name for name in found if name.startswith(("names_", "carries_over", "unedited"))]
            if named:
                bars = [bar(study, name, found[name], name_of(name), colour) for name in named]
                yield BarGroup(GROUPS[group], bars)


def bar(
    study: Study, name: str, statistic: Statistic, label: str, colour: str, original: Original | None = None
) -> Bar:
    """One bar; what lies outside 0 to 100 % is drawn at the edge, and said as it is."""
    null = statistic.null
    return Bar(
        label=label,
        colour=colour,
        value="nothing to measure" if statistic.value is None else written(study, name)(statistic.value),
        words=comparison(study, name, statistic),
        n=count(study, statistic) if statistic.n else "",
        width=at(statistic.value or 0.0),
        interval=None if statistic.interval is None else both(statistic.interval),
        null=None if null is None or null.interval is None else both(null.interval),
        null_at=None if null is None or null.value is None else at(null.value),
        original=None if original is None else at(original.value),
    )


def comparison(study: Study, name: str, statistic: Statistic) -> str:
    """`32 to 50 %; by chance 15 %, 11 to 19 %`, as far as it is known."""
    write, null = written(study, name), statistic.null
    parts = [] if statistic.interval is None else [span(statistic.interval, write)]
    if null is not None and null.value is not None:
        middle = "" if null.interval is None else f", {span(null.interval, write)}"
        parts.append(f"by chance {write(null.value)}{middle}")
    return "; ".join(parts)


def count(study: Study, statistic: Statistic) -> str:
    """Say how many digits, problems or readings a statistic is over."""
    of = units(study.kind, statistic.cases)
    if statistic.n == statistic.cases:
        return of
    what = "digit" if study.kind == "multiplication" else "reading"
    return f"{statistic.n:,} {what}s in {of}"


def statistic_table(study: Study) -> list[StatisticGroup]:
    """Every statistic as numbers."""
    return [
        StatisticGroup(GROUPS.get(group, group), [_row(study, name, s) for name, s in found.items()])
        for group, found in study.statistics.items()
        if found
    ]


def _row(study: Study, name: str, statistic: Statistic) -> StatisticRow:
    write, null = written(study, name), statistic.null
    return StatisticRow(
        name=name_of(name),
        value="–" if statistic.value is None else write(statistic.value),
        interval="–" if statistic.interval is None else span(statistic.interval, write),
        null="–" if null is None or null.value is None else write(null.value),
        null_interval="–" if null is None or null.interval is None else span(null.interval, write),
        n=count(study, statistic),
        p=formatting.number(statistic.p_corrected, 3),
    )
