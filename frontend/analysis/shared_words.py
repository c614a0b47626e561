"""What readings agree on: the words that several of them share, but not those that stand in nearly all of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
SHORT = 3
"""Words of fewer letters carry little: they are never marked."""
COMMON = 0.5
"""A word of more than this share of all readings belongs to how readings are written, not to what they say."""
ENOUGH = 8
"""Readings below which no word can be called common."""


@dataclass(frozen=True)
class Span:
    """A stretch of a reading; `shared` ones recur in others."""

    text: str
    shared: bool


def words(text: str) -> set[str]:
    """The words of a text that could be marked."""
    return {word.casefold() for word in _WORD.findall(text) if len(word) >= SHORT}


def common(texts: Iterable[str]) -> frozenset[str]:
    """The words that stand in more than half of all readings."""
    sets = [words(text) for text in texts]
    if len(sets) < ENOUGH:
        return frozenset()
    counts = Counter(word for found in sets for word in found)
    return frozenset(word for word, count in counts.items() if count > COMMON * len(sets))


def shared(texts: Sequence[str], usual: Collection[str]) -> list[set[str]]:
    """For each text its words that more than half of the others have too; one other is enough of two."""
    sets = [words(text) - set(usual) for text in texts]
    counts = Counter(word for found in sets for word in found)
    needed = (len(texts) - 1) / 2
    return [{word for word in found if counts[word] - 1 >= max(1.0, needed)} for found in sets]


def spans(text: str, marked: Collection[str]) -> list[Span]:
    """A text cut where its marked words begin and end; what stands between two of them is marked with them."""
    found: list[Span] = []
    end = 0
    for match in _WORD.finditer(text):
        if match[0].casefold() not in marked:
            continue
        between = text[end : match.start()]
        if found and not between.strip():
            found[-1] = Span(found[-1].text + between + match[0], True)
        else:
            found += [Span(between, False)] if between else []
            found.append(Span(match[0], True))
        end = match.end()
    return found + ([Span(text[end:], False)] if text[end:] else [])
