"""Other forms of a reading: without one of its parts, in another order, in lower case.

A sentence makes one claim, and is left out whole; so is a quotation. The control of a sentence that is left out is as
many words left out at random from the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from server.measurements.schema import VariantKind

MOST_WORDS = 200
"""Words of a reading that are left out one by one; of a longer one, the first."""
DRAWS = 4
"""Draws of random words for each sentence."""
_SENTENCE = re.compile(r".+?(?:[.!?][\"'”’)\]]*(?=\s)|\n|$)\s*", re.DOTALL)
_WORD = re.compile(r"\S+\s*")
_QUOTE = re.compile(r"\"[^\"\n]+\"|“[^”\n]+”|«[^»\n]+»")


@dataclass(frozen=True)
class Form:
    """One form of a reading. `index`: the part that is left out, or the number of a text that somebody gave."""

    kind: VariantKind
    text: str
    index: int | None = None


def sentences(text: str) -> list[str]:
    """Cut a reading into sentences; together they are the reading."""
    return [part for part in _SENTENCE.findall(text) if part]


def words(text: str) -> list[str]:
    """Cut a reading at its blanks; each word keeps those that follow it."""
    return _WORD.findall(text.lstrip())


def quotes(text: str) -> list[str]:
    """The quotations of a reading, with their marks."""
    return [found.group() for found in _QUOTE.finditer(text)]


def without_parts(text: str, random: np.random.Generator) -> Iterator[Form]:
    """The reading without each sentence (and as many random words of the others), each quotation, each word."""
    cut, each = sentences(text), words(text)
    if len(cut) > 1:
        for n in range(len(cut)):
            yield Form("without_sentence", "".join(cut[:n] + cut[n + 1 :]).strip(), n)
            yield from _at_random(cut, n, random)
    for n, found in enumerate(_QUOTE.finditer(text)):
        rest = f"{text[: found.start()].rstrip()} {text[found.end() :].lstrip()}".strip()
        if rest:
            yield Form("without_quote", rest, n)
    if len(each) > 1:
        for n in range(min(len(each), MOST_WORDS)):
            yield Form("without_word", "".join(each[:n] + each[n + 1 :]).strip(), n)


def reordered(kind: VariantKind, text: str, random: np.random.Generator) -> str:
    """The reading with its sentences or its words shuffled, or in lower case."""
    if kind == "lowercase":
        return text.lower()
    parts = sentences(text) if kind == "shuffle_sentences" else words(text)
    return " ".join(part.strip() for part in _shuffled(parts, random))


def _at_random(cut: Sequence[str], n: int, random: np.random.Generator) -> Iterator[Form]:
    """The reading with as many words as sentence `n` has left out at random of the others, where those have more."""
    count, before = len(words(cut[n])), words("".join(cut[:n]))
    each = words("".join(cut))
    others = [*range(len(before)), *range(len(before) + count, len(each))]
    if len(others) <= count:
        return
    for _ in range(DRAWS):
        gone = set(random.choice(others, count, replace=False).tolist())
        yield Form("without_random", "".join(w for k, w in enumerate(each) if k not in gone).strip(), n)


def _shuffled(parts: Sequence[str], random: np.random.Generator) -> list[str]:
    return [parts[n] for n in random.permutation(len(parts))]
