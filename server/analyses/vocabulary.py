"""Words of readings: which carry something, and which stand in nearly all of them."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
SHORT = 3
"""Words of fewer letters carry little: they are never marked."""
COMMON = 0.5
"""A word of more than this share of all readings belongs to how readings are written, not to what they say."""
ENOUGH = 8
"""Readings below which no word can be called common."""


def words(text: str, shortest: int = SHORT) -> set[str]:
    """The words of a text that could be marked, or those of `shortest` letters and more."""
    return {word.casefold() for word in WORD.findall(text) if len(word) >= shortest}


@lru_cache(maxsize=16)  # every press of a token asks for those of the same readings
def common(texts: tuple[str, ...], shortest: int = SHORT) -> frozenset[str]:
    """The words that stand in more than half of all readings."""
    sets = [words(text, shortest) for text in texts]
    if len(sets) < ENOUGH:
        return frozenset()
    counts = Counter(word for found in sets for word in found)
    return frozenset(word for word, count in counts.items() if count > COMMON * len(sets))
