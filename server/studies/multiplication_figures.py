"""The figures of a study of multiplication. Intervals resample problems; nulls deal readings to other problems."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from server.studies.figures import corrected, count, statistic
from server.studies.requests import MultiplicationRequest
from server.studies.resampling import against_random, agreement, difference, share
from server.studies.schema import ALIGNMENTS, Alignment, Case, DigitResult, Figures, ReadingResult, Statistic
from server.studies.shuffles import shuffled_blocks

DRAWS = 1000
Statistics = dict[str, Statistic]
WHERE = {"at": "at a digit", "before": "before a digit"}


@dataclass(frozen=True)
class Row:
    """One digit of the answer to problem `case`, with the reading of one alignment."""

    case: int
    digit: DigitResult
    reading: ReadingResult

    @property
    def place(self) -> int:
        """The digit's place in the answer."""
        return self.digit.place

    @property
    def stated_digit(self) -> str | None:
        """The digit at that place in the result that the reading states."""
        stated = "" if self.reading.stated is None else str(self.reading.stated)
        return stated[self.place] if self.place < len(stated) else None

    @property
    def log_ratio(self) -> float:
        """|log10(stated / true)|, the orders of magnitude between them; NaN where there are not both."""
        return abs(_log10(self.reading.stated) - _log10(self.reading.true))


def figures(cases: Sequence[Case], request: MultiplicationRequest) -> Figures:
    """Calculate all figures, over the cases that came to an answer or to none; those with an error are left out."""
    made = [case for case in cases if case.error is None]
    notes: list[str] = []
    groups: dict[str, Statistics] = {}
    for alignment in ALIGNMENTS:
        rows = _rows(made, alignment)
        groups[alignment] = _readings(rows, request)
        notes += _silence(rows, alignment)
    groups["answers"] = _answers(made, request.seed)
    groups["lens"] = _lens(made, request.seed)
    if request.edit_alphas:
        groups["edits"] = edits = _edits(made, request)
        if made and not edits:
            notes.append("No reading before a digit hints that digit, so there was nothing to edit.")
    unanswered = sum(case.answer is None for case in made)
    if unanswered:
        notes.append(f"To {unanswered} of {len(made)} prompts the model answered without a number.")
    return corrected(groups, notes, len(made))


def _rows(cases: Sequence[Case], alignment: Alignment) -> list[Row]:
    return [
        Row(case.number, digit, reading)
        for case in cases
        for digit in case.digits
        if (reading := getattr(digit, alignment)) is not None and reading.error is None
    ]


def _silence(rows: Sequence[Row], alignment: Alignment) -> list[str]:
    """Say in words what the readings do not hold."""
    found = []
    where, n = WHERE[alignment], len(rows)
    if rows and all(row.reading.stated is None for row in rows):
        found.append(
            f"None of the {n} readings {where} states a result, so nothing can be said of how it compares with "
            "the model's answer."
        )
    if rows and not any(row.reading.hinted for row in rows):
        found.append(
            f"None of the {n} readings {where} hints a digit: what this pair's words hold of the multiplication cannot "
            "be seen in them."
        )
    return found


def _readings(rows: Sequence[Row], request: MultiplicationRequest) -> Statistics:
    seed = request.seed
    wrong = [row for row in rows if not row.digit.right]
    found = {
        "states_a_result": _share(rows, lambda row: row.reading.stated is not None, seed),
        "hints_a_digit": _share(rows, lambda row: bool(row.reading.hinted), seed),
        "same_digit": _agreement(rows, lambda row: row.stated_digit, _produced, seed),
        # First digits are small, whatever a reading says: what is shuffled over all places proves nothing.
        "same_digit_overall": _agreement(
            rows, lambda row: row.stated_digit, _produced, seed, by_place=False
        ).model_copy(update={"p": None}),
    }
    parts = {
        "": wrong,
        "_prefix_right": [row for row in wrong if row.digit.prefix_right],
        "_prefix_wrong": [row for row in wrong if not row.digit.prefix_right],
    }
    for part, those in parts.items():
        found[f"hints_produced_when_wrong{part}"] = _agreement(those, _hinted, _produced, seed)
        found[f"hints_correct_when_wrong{part}"] = _agreement(those, _hinted, lambda r: r.digit.correct, seed)
    both = [row for row in rows if row.reading.stated is not None and row.reading.true is not None]
    found["stated_is_true"] = _agreement(
        both, lambda row: row.reading.stated, lambda row: row.reading.true, seed
    )
    found["stated_log10_ratio"] = _magnitudes(both, seed)
    found |= _right_and_wrong("fve", rows, lambda row: row.reading.fve, seed)
    if request.causal:
        found |= _right_and_wrong("causal", rows, lambda row: row.reading.causal, seed)
    return found


def _answers(cases: Sequence[Case], seed: int) -> Statistics:
    """Measure how right the answers are; the null gives each problem the answer to another one."""
    found = {
        "answered": _of_cases(cases, lambda case: case.answer is not None, seed),
        "exact": _exact(cases, seed),
        "right_length": _of_cases(
            [case for case in cases if case.answer is not None],
            lambda case: len(case.answer or "") == len(str(case.product)),
            seed,
        ),
    }
    rows = [(case, digit) for case in cases for digit in case.digits if digit.correct is not None]
    for place in sorted({digit.place for _, digit in rows}):
        those = [(case, digit) for case, digit in rows if digit.place == place]
        clusters = [case.number for case, _ in those]
        estimate = agreement([d.digit for _, d in those], [d.correct for _, d in those], clusters, seed=seed)
        found[f"digit_{place + 1}_right"] = statistic(estimate, len(set(clusters)))
    for length in sorted({len(str(case.product)) for case in cases}):
        found[f"exact_of_{length}_digits"] = _exact(
            [case for case in cases if len(str(case.product)) == length], seed
        )
    return found


def _exact(cases: Sequence[Case], seed: int) -> Statistic:
    numbers = [case.number for case in cases]
    estimate = agreement(
        [case.answer or "" for case in cases], [str(case.product) for case in cases], numbers, seed=seed
    )
    return statistic(estimate, len(cases))


def _lens(cases: Sequence[Case], seed: int) -> Statistics:
    """At which layer the token of the digit is first at first, at the position before it."""
    rows = [(case.number, digit) for case in cases for digit in case.digits if digit.ranks]
    found: Statistics = {}
    for name, right in (("right", True), ("wrong", False)):
        those = [(number, digit) for number, digit in rows if digit.right is right]
        estimate = share(
            [float(digit.first_layer is not None) for _, digit in those], [n for n, _ in those], seed=seed
        )
        found[f"becomes_first_{name}"] = statistic(estimate, len({n for n, _ in those}))
    return found | _compared(
        "first_layer",
        [(n, digit.place, digit.right, digit.first_layer) for n, digit in rows],
        seed,
    )


def _edits(cases: Sequence[Case], request: MultiplicationRequest) -> Statistics:
    """Measure what each strength does to the model's first choice, and to the probability of the intended digit. The
    null of the share that gives it is that of random directions at the same angle.
    """
    made = [(case.number, edit) for case in cases for digit in case.digits for edit in digit.edits]
    found: Statistics = {}
    for alpha in sorted({edit.alpha for _, edit in made}):
        those = [(number, edit) for number, edit in made if edit.alpha == alpha]
        clusters = [number for number, _ in those]
        values: dict[str, list[float]] = {
            name: [float(edit.outcome == name) for _, edit in those]
            for name in ("intended", "produced", "other", "broken")
        }
        values["prob"] = [edit.prob for _, edit in those]
        random = [np.nan if edit.random_prob is None else edit.random_prob for _, edit in those]
        values["random_prob"] = random
        values["prob_over_random"] = [a - b for a, b in zip(values["prob"], random, strict=True)]
        for name, each in values.items():
            estimate = share(each, clusters, seed=request.seed)
            if name == "intended":
                hits = [edit.random_hits for _, edit in those]
                estimate = against_random(each, hits, clusters, DRAWS, request.seed)
            found[f"{name}_at_{alpha:g}"] = statistic(
                estimate, count(clusters, [not math.isnan(value) for value in each])
            )
    return found


def _produced(row: Row) -> str:
    return row.digit.digit


def _hinted(row: Row) -> list[str]:
    return row.reading.hinted


def _share(rows: Sequence[Row], hit: Callable[[Row], bool], seed: int) -> Statistic:
    clusters = [row.case for row in rows]
    return statistic(share([float(hit(row)) for row in rows], clusters, seed=seed), len(set(clusters)))


def _of_cases(cases: Sequence[Case], hit: Callable[[Case], bool], seed: int) -> Statistic:
    numbers = [case.number for case in cases]
    return statistic(share([float(hit(case)) for case in cases], numbers, seed=seed), len(cases))


def _agreement(
    rows: Sequence[Row],
    stated: Callable[[Row], Any],
    produced: Callable[[Row], Any],
    seed: int,
    *,
    by_place: bool = True,
) -> Statistic:
    """The share of those that have both where they agree; the null is dealt within the places, or over all."""
    clusters = [row.case for row in rows]
    said, wanted = [stated(row) for row in rows], [produced(row) for row in rows]
    estimate = agreement(
        said, wanted, clusters, [row.place for row in rows] if by_place else None, DRAWS, seed
    )
    there = [a is not None and b is not None for a, b in zip(said, wanted, strict=True)]
    return statistic(estimate, count(clusters, there))


def _magnitudes(rows: Sequence[Row], seed: int) -> Statistic:
    """The mean of `log_ratio`, beside that with the results that other problems' readings state; it has no p."""
    clusters = [row.case for row in rows]
    sources = shuffled_blocks(clusters, [row.place for row in rows], DRAWS, np.random.default_rng([seed, 1]))
    said = np.asarray([_log10(row.reading.stated) for row in rows])
    true = np.asarray([_log10(row.reading.true) for row in rows])
    dealt = np.where(sources >= 0, np.abs(said[sources] - true), np.nan) if len(rows) else sources
    nulls = [float(np.nanmean(draw)) for draw in dealt if len(draw) and not np.isnan(draw).all()]
    values = [row.log_ratio for row in rows]
    estimate = share(values, clusters, nulls, seed)
    return statistic(replace(estimate, p=None), count(clusters, [not math.isnan(value) for value in values]))


def _log10(number: int | None) -> float:
    return math.log10(number) if number else math.nan


def _right_and_wrong(
    name: str, rows: Sequence[Row], value: Callable[[Row], float | None], seed: int
) -> Statistics:
    return _compared(name, [(row.case, row.place, row.digit.right, value(row)) for row in rows], seed)


def _compared(name: str, rows: Sequence[tuple[int, int, bool, float | None]], seed: int) -> Statistics:
    """The mean over right and over wrong digits, and their difference; rows are (case, place, right, value)."""
    there = [(n, place, right, float(value)) for n, place, right, value in rows if value is not None]
    sides = [[row for row in there if row[2] is right] for right in (True, False)]
    found: Statistics = {}
    for side, rows_ in zip(("right", "wrong"), sides, strict=True):
        clusters = [row[0] for row in rows_]
        found[f"{name}_{side}"] = statistic(
            share([row[3] for row in rows_], clusters, seed=seed), len(set(clusters))
        )
    right, wrong = sides
    estimate = difference(
        [row[3] for row in right],
        [row[0] for row in right],
        [row[3] for row in wrong],
        [row[0] for row in wrong],
        [row[1] for row in right],
        [row[1] for row in wrong],
        seed=seed,
    )
    found[f"{name}_difference"] = statistic(estimate, len({row[0] for row in there}))
    return found
