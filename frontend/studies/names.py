"""Names of the statistics of a study on its page, and formats of their numbers."""

from __future__ import annotations

import re
from collections.abc import Callable

from frontend import formatting
from server.studies.requests import PromptsRequest
from server.studies.schema import Statistic, Study

GROUPS = {
    "answers": "The answers",
    "at": "Readings at a digit",
    "before": "Readings before a digit",
    "lens": "The logit lens",
    "edits": "Digits replaced in the words",
    "readings": "The readings",
    "country": "Readings at the country",
    "last": "Readings at the prompt’s last token",
    "edits_country": "The country replaced in the reading at it",
    "edits_last": "The country replaced in the reading at the last token",
    "languages": "By the language that is written",
}
UNITS = {
    "multiplication": ("problem", "problems"),
    "prompts": ("prompt", "prompts"),
    "capitals": ("country", "countries"),
    "languages": ("transcript", "transcripts"),
}
"""A case of each kind of study, and several."""
NAMES = {
    "states_a_result": "states a result",
    "hints_a_digit": "hints a digit",
    "same_digit": "the stated result has the model’s digit at its place",
    "same_digit_overall": "the same, shuffled over all places",
    "hints_produced_when_wrong": "of a wrong digit, hints the one that the model wrote",
    "hints_correct_when_wrong": "of a wrong digit, hints the right one",
    "stated_is_true": "the stated result is that of the problem named",
    "stated_log10_ratio": "how far it is off, in orders of magnitude",
    "answered": "a number at all",
    "exact": "the right number",
    "right_length": "as many digits as the right one",
    "becomes_first_right": "a right digit is ever the lens’s first choice",
    "becomes_first_wrong": "a wrong digit is ever the lens’s first choice",
    "prob_over_random": "probability of the intended digit over that after random directions",
    "random_prob": "the same after random directions",
    "prob": "probability of the intended digit",
    "intended": "the intended digit",
    "produced": "the digit stays",
    "other": "another number",
    "broken": "no number",
    "says_the_capital": "the model says the capital",
    "names_country": "names the country",
    "names_capital": "names the capital",
    "carries_over": "the other capital is the first choice",
    "unedited": "the same, of the reading as it is",
    "own_capital": "the capital stays the first choice",
    "another": "another token is the first choice",
    "names_a_language": "names one of the languages",
    "names_the_language": "names the language that is written there",
}
QUANTITIES = {
    "fve": "activation held by the readings",
    "causal": "causal score",
    "first_layer": "first layer at which the digit is first",
}
SIDES = {"right": "right digits", "wrong": "wrong digits", "difference": "right less wrong"}
PLACES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
Written = Callable[[float], str]


def name_of(name: str) -> str:
    """A statistic in words; one that is not known by its own name."""
    if found := re.fullmatch(r"(\w+)_prefix_(right|wrong)", name):
        return f"{name_of(found[1])}, {'nothing' if found[2] == 'right' else 'something'} wrong before it"
    if found := re.fullmatch(r"(\w+)_at_([\d.]+(?:e[+-]?\d+)?)", name):
        return f"{NAMES.get(found[1], found[1])}, α = {found[2]}"
    if found := re.fullmatch(r"(\w+)_replaced", name):
        return f"{NAMES.get(found[1], found[1])}, in the activation’s place"
    if found := re.fullmatch(r"digit_(\d+)_right", name):
        return f"{place_of(int(found[1]) - 1)} digit right"
    if found := re.fullmatch(r"exact_of_(\d+)_digits", name):
        return f"the right number, of {found[1]} digits"
    quantity, _, side = name.rpartition("_")
    if name not in NAMES and quantity in QUANTITIES and side in SIDES:
        return f"{QUANTITIES[quantity]}, {SIDES[side]}"
    return NAMES.get(name, formatting.plain(name))


def units(kind: str, count: int) -> str:
    """`1 problem`, `3 countries`."""
    return f"{count:,} {UNITS[kind][count != 1]}"


def place_of(place: int) -> str:
    """`first` for place 0, and so on."""
    return PLACES[place] if place < len(PLACES) else f"{place + 1}th"


def is_share(study: Study, name: str) -> bool:
    """Return whether a statistic is a share, which is written in percent."""
    if isinstance(study.request, PromptsRequest):
        return study.request.measures.get(name) not in ("cos", "lens")
    return not name.startswith(("stated_log10", "first_layer"))


def written(study: Study, name: str) -> Written:
    """Return the format of a statistic's numbers."""
    return percent if is_share(study, name) else lambda value: formatting.number(value, 2)


def percent(value: float) -> str:
    """A share in percent, a small one with a decimal."""
    return formatting.small(value) if value >= 0 else formatting.percent(value)


def span(interval: tuple[float, float], write: Written) -> str:
    """`32 to 50 %`, `2.1 to 3.4`."""
    low, high = map(write, interval)
    unit = f"{formatting.NARROW}%"
    return f"{low.removesuffix(unit) if high.endswith(unit) else low} to {high}"


def claimed(statistic: Statistic | None) -> bool:
    """Return whether it differs from what chance gives, after correction for the number of comparisons."""
    return statistic is not None and statistic.p_corrected is not None and statistic.p_corrected < 0.05
