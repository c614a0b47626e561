"""Mentions of a word in readings: the word itself in any case, its plural, and a number in figures or in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from server.analyses.numbers import FIGURES, WORDS, value
from server.analyses.reading_words import words_of

Place = tuple[int, int]
"""Where a mention begins and ends in a reading, in characters."""
_NUMBER = re.compile(rf"{FIGURES}|{WORDS}", re.IGNORECASE)
SHORTEST_PLURAL = 3
"""Letters of a word that may have a plural: `a` and `as` are not the same word."""


def finder(word: str) -> Callable[[str], list[Place]]:
    """Return a function that finds the mentions of a word in a reading, in order. A word without letters or figures has
    none.
    """
    wanted = word.strip()
    if _NUMBER.fullmatch(wanted):
        number = value(wanted)
        return lambda reading: [
            found.span() for found in _NUMBER.finditer(reading) if value(found[0]) == number
        ]
    parts = [_forms(part.text) for part in words_of(wanted)]
    return lambda reading: _runs(reading, parts) if parts else []


def _runs(reading: str, parts: Sequence[frozenset[str]]) -> list[Place]:
    words = words_of(reading)
    return [
        (words[first].start, words[first + len(parts) - 1].end)
        for first in range(len(words) - len(parts) + 1)
        if all(_base(words[first + n].text) in forms for n, forms in enumerate(parts))
    ]


def _base(word: str) -> str:
    """A word without the ending of the genitive."""
    return re.sub(r"['’]s?$", "", word)


def _forms(word: str) -> frozenset[str]:
    """A word in the singular and in the plural, by the regular rules of English."""
    word = _base(word)
    forms = {word}
    if len(word) >= SHORTEST_PLURAL and word.isalpha():
        forms |= {f"{word}s", f"{word}es"}
        if word.endswith("y"):
            forms.add(f"{word[:-1]}ies")
        if word.endswith("ies"):
            forms.add(f"{word[:-3]}y")
        if word.endswith("es"):
            forms.add(word[:-2])
        if word.endswith("s") and not word.endswith("ss"):
            forms.add(word[:-1])
    return frozenset(form for form in forms if len(form) >= min(len(word), SHORTEST_PLURAL))
