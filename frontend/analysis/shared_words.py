"""Words that several readings share, without those that stand in nearly all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from server.analyses.vocabulary import WORD, common, words

__all__ = ["Span", "common", "shared", "spans", "words"]


@dataclass(frozen=True)
class Span:
    """A stretch of a reading; `shared` ones recur in others."""

    text: str
    shared: bool


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
    for match in WORD.finditer(text):
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
