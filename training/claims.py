"""What a reading of the demo pair claims, sentence by sentence, held against what is true."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

CLAIMS = ("final token", "next tokens", "recent words", "role and genre")
HEDGES = ("comes", "probably", "perhaps")
_READING = re.compile(
    r"The final token is (?P<token>.+?); next (?P<hedge>comes|probably|perhaps) (?P<next>.+?)\. "
    r"(?P<recent>The text runs \".*?\"\.|It opens the text\.) (?P<setting>This is [^\"]*?)(?P<topic> about [^\"]*)?\.",
    re.DOTALL,
)
_BETWEEN = re.compile(r"(?<=\"), | or (?=\"|a |an |the |part |\d)|, (?=a |an |the |part |\d)")


@dataclass(frozen=True)
class Claims:
    """A reading in the sentences that were taught."""

    token: str
    hedge: str
    """How sure it is of the first candidate: one of `HEDGES`."""
    candidates: tuple[str, ...]
    recent: str
    """The sentence that quotes the last words."""
    setting: str
    """The sentence on role and genre."""
    topic: str = ""
    """What it says of the topic, after that; the first edition's readings do."""

    @property
    def repeats(self) -> bool:
        """Whether a candidate is named twice, letter case and blanks aside."""
        names = [name.replace(" ", "").lower() for name in self.candidates]
        return len(set(names)) < len(names)

    @property
    def text(self) -> str:
        """The reading."""
        return f"The final token is {self.token}; {self.expected}. {self.recent} {self._rest}"

    @property
    def _rest(self) -> str:
        return f"{self.setting}{self.topic}."

    @property
    def expected(self) -> str:
        """What is said of the next token."""
        *others, last = self.candidates
        listed = f"{', '.join(others)} or {last}" if others else last
        return f"next {self.hedge} {listed}"

    def without(self, claim: str) -> str:
        """The reading without one of its claims (`CLAIMS`)."""
        sentences = {
            "final token": f"{self.expected.capitalize()}. {self.recent} {self._rest}",
            "next tokens": f"The final token is {self.token}. {self.recent} {self._rest}",
            "recent words": f"The final token is {self.token}; {self.expected}. {self._rest}",
            "role and genre": f"The final token is {self.token}; {self.expected}. {self.recent}",
        }
        return sentences[claim]


def parsed(reading: str) -> Claims | None:
    """The claims of a reading; None when it is not in the sentences that were taught."""
    found = _READING.fullmatch(reading.strip())
    if found is None:
        return None
    names = tuple(_BETWEEN.split(found["next"]))
    return Claims(
        found["token"], found["hedge"], names, found["recent"], found["setting"], found["topic"] or ""
    )


def words(sentence: str) -> set[str]:
    """The words of a quotation, letter case aside."""
    return set(re.findall(r"\w+", sentence.removeprefix("The text runs").lower()))


def overlap(one: Claims, other: Claims) -> float:
    """The share of the words quoted by `one` that `other` quotes too."""
    quoted = words(one.recent)
    return len(quoted & words(other.recent)) / len(quoted) if quoted else float(one.recent == other.recent)


RIGHT: dict[str, Callable[[Claims, Claims], float]] = {
    "final token": lambda said, true: said.token == true.token,
    "next tokens": lambda said, true: true.candidates[0] in said.candidates,
    "recent words": overlap,
    "role and genre": lambda said, true: said.setting == true.setting,
}
"""How far each claim is right, from 0 to 1: said, true."""


def judged(said: Sequence[Claims], true: Sequence[Claims]) -> list[tuple[str, float, float]]:
    """(claim, how far it is right on the mean, the same against another position's truth)."""
    others = np.random.default_rng(4).permutation(len(said))
    return [
        (
            claim,
            float(np.mean([right(s, t) for s, t in zip(said, true, strict=True)])),
            float(np.mean([right(s, true[n]) for s, n in zip(said, others, strict=True)])),
        )
        for claim, right in RIGHT.items()
    ]


def sure(said: Sequence[Claims], true: Sequence[Claims]) -> list[tuple[str, int, float]]:
    """(hedge, how many readings say it, how often their first candidate is the target's own first choice)."""
    found = []
    for hedge in HEDGES:
        hits = [
            s.candidates[0] == t.candidates[0] for s, t in zip(said, true, strict=True) if s.hedge == hedge
        ]
        found.append((hedge, len(hits), float(np.mean(hits)) if hits else float("nan")))
    return found
