"""Whole numbers in prose: figures with or without separators of thousands, and English number words."""

from __future__ import annotations

import re

_UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = [
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
VALUES = {
    "zero": 0,
    **{word: n + 1 for n, word in enumerate(_UNITS)},
    **{word: n + 10 for n, word in enumerate(_TEENS)},
    **{word: 10 * (n + 2) for n, word in enumerate(_TENS)},
}

_UNIT = rf"(?:{'|'.join(_UNITS)})"
_BELOW_100 = rf"(?:(?:{'|'.join(_TENS)})(?:[ -]{_UNIT})?|{'|'.join(_TEENS)}|{_UNIT})"
_BELOW_1000 = rf"(?:(?:{_UNIT}|a) hundred(?: (?:and )?{_BELOW_100})?|{_BELOW_100})"
WORDS = rf"\b(?:{_BELOW_1000} thousand(?:,? (?:and )?{_BELOW_1000})?|a thousand|{_BELOW_1000}|zero)\b"
"""Number words below a million: `seven`, `fifty-six`, `one hundred and sixty-eight`."""

_BEFORE = r"(?<![\w.])(?<!\d[,/:\-–])|(?<=\d[x×*·])"
_AFTER = r"(?![,./:\-–]\d)(?!(?!x\d)\w)(?!\s?[%°])"
FIGURES = rf"(?:{_BEFORE})(?:\d{{1,3}}(?:[,\u202f\u00a0]\d{{3}}){{1,3}}|\d{{1,12}}){_AFTER}"
"""`168` and `1,344`; no part of a decimal fraction, a date, a time, a percentage or an ordinal."""


def value(text: str) -> int:
    """The number that a match of FIGURES or WORDS names."""
    text = text.lower()
    if text[:1].isdigit():
        return int(re.sub(r"\D", "", text))
    total = current = 0
    for word in re.findall(r"[a-z]+", text):
        if word == "thousand":
            total, current = 1000 * max(current, 1), 0
        elif word == "hundred":
            current = 100 * max(current, 1)
        else:
            current += VALUES.get(word, 0)
    return total + current
