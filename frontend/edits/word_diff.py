"""Differences of an edited reading from the original, word by word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal

Kind = Literal["same", "deleted", "inserted"]
MOST = 20_000
"""Pairs of equal words up to which two texts are aligned: the time that takes grows faster than their number."""
# The blanks before a word, and the word: letters and digits, or one sign. Scripts that write no blanks
# between words (kana,
# Han, Thai) are taken character by character. The last pair may be blanks alone.
_WORDS = re.compile(
    r"(\s*)([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]"
    r"|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]+|[^\w\s]|\Z)"
)


@dataclass(frozen=True)
class Stretch:
    """Neighbouring words of one kind, with the blanks between them."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class WordDiff:
    """A reading and its edit in one text. `note` says what cannot be seen in it."""

    stretches: Sequence[Stretch]
    note: str = ""


@dataclass(frozen=True)
class _Words:
    blanks: list[str]  # before each word
    words: list[str]

    @classmethod
    def of(cls, text: str) -> _Words:
        pairs = _WORDS.findall(text)
        return cls([blank for blank, _ in pairs], [word for _, word in pairs])

    def text(self, start: int, end: int) -> str:
        pairs = zip(self.blanks[start:end], self.words[start:end], strict=True)
        return "".join(blank + word for blank, word in pairs)


def word_diff(original: str | None, edited: str) -> WordDiff:
    """The diff of a reading (None: there was none) and the words that took its place."""
    if original is None:
        return WordDiff(
            [Stretch("inserted", edited)], "There was no reading here: all of these words are new."
        )
    if original == edited:
        return WordDiff([Stretch("same", edited)], "These are the reading's own words, unchanged.")
    old, new = _Words.of(original), _Words.of(edited)
    note = "Only blanks and line ends differ." if old.words == new.words else ""
    return WordDiff(_joined(list(_changes(old, new))), note)


def _changes(old: _Words, new: _Words) -> Iterator[Stretch]:
    for a, b, c, d, same in _aligned(old.words, new.words):
        if not same:
            yield Stretch("deleted", old.text(a, b))
            yield Stretch("inserted", new.text(c, d))
            continue
        for n in range(b - a):
            if (blank := old.blanks[a + n]) != new.blanks[c + n]:
                yield Stretch("deleted", blank)
                yield Stretch("inserted", new.blanks[c + n])
                blank = ""
            yield Stretch("same", blank + old.words[a + n])


def _aligned(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int, bool]]:
    """Stretches old[a:b] and new[c:d], and whether they are the same: what lies between equal beginnings and
    ends is aligned further unless that would take long.
    """
    shorter = min(len(old), len(new))
    head = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    tail = next((n for n in range(shorter - head) if old[-1 - n] != new[-1 - n]), shorter - head)
    yield 0, head, 0, head, True
    old_end, new_end = len(old) - tail, len(new) - tail
    gone, come = old[head:old_end], new[head:new_end]
    counts = Counter(come)
    if sum(n * counts[word] for word, n in Counter(gone).items()) > MOST:
        yield head, old_end, head, new_end, False
    else:
        for kind, a, b, c, d in SequenceMatcher(None, gone, come, autojunk=False).get_opcodes():
            yield head + a, head + b, head + c, head + d, kind == "equal"
    yield old_end, len(old), new_end, len(new), True


def _joined(changes: Sequence[Stretch]) -> list[Stretch]:
    """Neighbouring changes as one deletion and one insertion, without the blanks that both begin with."""
    joined: list[Stretch] = []
    for same, group in groupby((c for c in changes if c.text), key=lambda change: change.kind == "same"):
        parts = list(group)
        gone, come = (
            "".join(part.text for part in parts if part.kind != other) for other in ("inserted", "deleted")
        )
        if same:
            joined.append(Stretch("same", gone))
            continue
        n = 0
        while n < min(len(gone), len(come)) and gone[n] == come[n] and gone[n].isspace():
            n += 1
        joined += [Stretch("same", gone[:n]), Stretch("deleted", gone[n:]), Stretch("inserted", come[n:])]
    return [stretch for stretch in joined if stretch.text]
