"""Readings that mention a word: of the text, before and after it has the word itself, and of other texts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from server.analyses.mentions import Place, finder
from server.analyses.schema import Analysis
from server.measurements.schema import MentionCount, WordMention, WordMentions

ELSEWHERE = 2000
"""Readings of other texts among which mentions are counted."""


def mentions(analysis: Analysis, word: str, others: Sequence[str]) -> WordMentions:
    """Find the readings of an analysis that mention `word`; `others` are readings of other texts."""
    find = finder(word)
    written = _written(analysis, find)
    first = written[0] if written else len(analysis.tokens)
    readings = [reading for reading in analysis.readings if reading.text and reading.error is None]
    found = [
        WordMention(position=reading.position, sample=reading.sample, places=places)
        for reading in sorted(readings, key=lambda reading: (reading.position, reading.sample))
        if (places := find(reading.text))
    ]
    before = [reading.position < first for reading in readings]
    early = sum(mention.position < first for mention in found)
    return WordMentions(
        word=word,
        written=written,
        readings=found,
        before=MentionCount(n=early, of=sum(before)),
        after=MentionCount(n=len(found) - early, of=len(readings) - sum(before)),
        elsewhere=MentionCount(n=_count(others, find), of=len(others)),
    )


def _written(analysis: Analysis, find: Callable[[str], list[Place]]) -> list[int]:
    """The positions of the tokens in which the word begins in the text itself."""
    ends = list(accumulate(len(token.text) for token in analysis.tokens))
    text = "".join(token.text for token in analysis.tokens)
    return [bisect_right(ends, start) for start, _ in find(text)]


def _count(readings: Iterable[str], find: Callable[[str], list[Place]]) -> int:
    return sum(bool(find(reading)) for reading in readings)
