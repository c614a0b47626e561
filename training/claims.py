"""Claims of the demo pair's readings, sentence by sentence, held against what is true."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from server.nla.checkpoints.cards import demo_card
from server.nla.fixed_sentences import taken_apart
from server.nla.types import Floats
from training.describe import SURE


@dataclass(frozen=True)
class Claims:
    """A reading in the sentences that were taught."""

    token: str
    candidates: tuple[str, ...]
    sure: str
    """How sure it is of the first candidate: one of `SURE`."""
    recent: str
    """The sentence that quotes the last words."""

    @property
    def repeats(self) -> bool:
        """Whether a candidate is named twice, letter case and blanks aside."""
        names = [name.replace(" ", "").lower() for name in self.candidates]
        return len(set(names)) < len(names)

    @property
    def text(self) -> str:
        """The reading."""
        return f"The final token is {self.token}; {self.expected}. {self.recent}"

    @property
    def expected(self) -> str:
        """The clause on the next token."""
        *others, last = self.candidates
        listed = f"{', '.join(others)} or {last}" if others else last
        return f"next may be {listed}: the first is {self.sure}"

    def without(self, claim: str) -> str:
        """The reading without one of its claims (`RIGHT`)."""
        sentences = {
            "final token": f"{self.expected.capitalize()}. {self.recent}",
            "next tokens": f"The final token is {self.token}. {self.recent}",
            "recent words": f"The final token is {self.token}; {self.expected}.",
        }
        return sentences[claim]


def parsed(reading: str) -> Claims | None:
    """The claims of a reading; None when it is not in the sentences that were taught."""
    said = {each.name: each.values for each in taken_apart(reading, demo_card().sentences)}
    if not said or said["how sure"][0] not in SURE:
        return None
    return Claims(
        token=said["final token"][0],
        candidates=tuple(said["next tokens"]),
        sure=said["how sure"][0],
        recent=f'It reads like "{said["recent words"][0]}".'
        if "recent words" in said
        else "It opens the text.",
    )


def words(sentence: str) -> set[str]:
    """The words of a quotation, letter case aside."""
    return set(re.findall(r"\w+", sentence.removeprefix("It reads like").lower()))


def overlap(one: Claims, other: Claims) -> float:
    """The share of the words quoted by `one` that `other` quotes too."""
    quoted = words(one.recent)
    return len(quoted & words(other.recent)) / len(quoted) if quoted else float(one.recent == other.recent)


RIGHT: dict[str, Callable[[Claims, Claims], float]] = {
    "final token": lambda said, true: said.token == true.token,
    "next tokens": lambda said, true: true.candidates[0] in said.candidates,
    "recent words": overlap,
}
"""How far each claim is right, from 0 to 1: said, true."""


def judged(
    said: Sequence[Claims], true: Sequence[Claims], texts: Sequence[int]
) -> dict[str, tuple[Floats, Floats]]:
    """Judge each reading, claim by claim: how far it is right of (its own position, another one of the same text), each
    [n] and of 0 to 1; the latter nan where there is no other.
    """
    others = _others(texts)
    found = {}
    for claim, right in RIGHT.items():
        own = [right(s, t) for s, t in zip(said, true, strict=True)]
        other = [np.nan if n is None else right(s, true[n]) for s, n in zip(said, others, strict=True)]
        found[claim] = np.array(own, np.float32), np.array(other, np.float32)
    return found


def _others(texts: Sequence[int]) -> list[int | None]:
    """For each position the next one of its text, the first after the last; None where it is alone."""
    of_text: dict[int, list[int]] = {}
    for n, text in enumerate(texts):
        of_text.setdefault(text, []).append(n)
    found: list[int | None] = [None] * len(texts)
    for those in of_text.values():
        if len(those) > 1:
            for n, other in zip(those, [*those[1:], those[0]], strict=True):
                found[n] = other
    return found


def by_certainty(said: Sequence[Claims], true: Sequence[Claims]) -> dict[str, tuple[list[int], Floats]]:
    """By how sure readings are: those readings, and whether the first candidate of each is the target's own first
    choice.
    """
    found = {}
    for sure in SURE:
        those = [n for n, claims in enumerate(said) if claims.sure == sure]
        hits = [said[n].candidates[0] == true[n].candidates[0] for n in those]
        found[sure] = those, np.array(hits, np.float32)
    return found
