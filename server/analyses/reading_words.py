"""Words of a reading with their places, in any script, and the best short run of them by some weight."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

LONGEST = 40
"""Characters of a run of words that stands for a reading."""
QUOTED = 0.5
"""Share of its weight that a word keeps within a quotation: pairs invent much of what they quote."""
LEAST_LETTERS = 3
"""Shorter words carry little in alphabets (Latin, Greek, Cyrillic); figures and other scripts have no such bound."""
_ALPHABETS_END = "\u0590"
_MARKS = "".join(c for n in range(0x300, 0x10000) if unicodedata.category(c := chr(n)) in ("Mn", "Mc"))
_UNSPACED = "\u0e00-\u0e7f\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LETTER = rf"(?:(?![{_UNSPACED}])[^\W_][{_MARKS}]*)"
_WORD = re.compile(rf"[{_UNSPACED}]|{_LETTER}+(?:['’]{_LETTER}+)*")
_QUOTATION = re.compile(r"\"[^\"\n]+\"|“[^”\n]+”|«[^»\n]+»|「[^」\n]+」")


class Word(NamedTuple):
    """A word in lower case, where it stands, and whether its reading quotes it."""

    text: str
    start: int
    end: int
    quoted: bool


@lru_cache(maxsize=4096)
def words_of(reading: str) -> tuple[Word, ...]:
    """The words of a reading in order. Where a script has no blanks (Chinese, Japanese, Thai), each letter is one."""
    quotations = {n for found in _QUOTATION.finditer(reading) for n in range(*found.span())}
    return tuple(
        Word(_plain(found[0]), found.start(), found.end(), found.start() in quotations)
        for found in _WORD.finditer(reading)
    )


def _plain(word: str) -> str:
    """A word in the one form in which it is compared, kept once however many readings have it."""
    folded = word.casefold()
    return sys.intern(folded if folded.isascii() else unicodedata.normalize("NFC", folded))


def counts(word: str) -> bool:
    """Return whether a word may say something by itself: not of one or two letters of an alphabet."""
    return len(word) >= LEAST_LETTERS or word[:1].isdigit() or word[:1] >= _ALPHABETS_END


class Phrase(NamedTuple):
    """A run of words of a reading, as it stands there, and the sum of their weights."""

    weight: float
    text: str


def best_phrase(reading: str, words: Sequence[Word], weights: Mapping[str, float]) -> Phrase:
    """The run of words that weighs most: of one clause, up to LONGEST characters, with a word of some weight at both
    ends. A word counts once, within a quotation for QUOTED of its weight. Of equals the first; empty where no word has
    any weight. A single word takes the next one of its clause along, or the one before.
    """
    weighed = [weights.get(word.text, 0.0) * (QUOTED if word.quoted else 1) for word in words]
    best, chosen = 0.0, (0, -1)
    for first, start in enumerate(words):
        if not weighed[first]:
            continue
        seen, total = set[str](), 0.0
        for last in range(first, len(words)):
            end = words[last]
            if last > first and (end.end - start.start > LONGEST or not _together(reading, words, last)):
                break
            if weighed[last] and end.text not in seen:
                seen.add(end.text)
                total += weighed[last]
                if total > best + 1e-9:
                    best, chosen = total, (first, last)
    if not best:
        return Phrase(0.0, "")
    first, last = chosen
    if first == last and last + 1 < len(words) and _together(reading, words, last + 1):
        last += 1
    elif first == last and first and _together(reading, words, first):
        first -= 1
    return Phrase(best, reading[words[first].start : words[last].end])


def _together(reading: str, words: Sequence[Word], n: int) -> bool:
    """Return whether a word and the one before it are of one clause: nothing but blanks and hyphens between them."""
    return not reading[words[n - 1].end : words[n].start].strip(" -\u2010\u2011\u00a0")
