"""Descriptions that the AV is taught: plain sentences on a position that its activation can support.

The order matters: the final token and what is expected next first, how sure that is after it, the recent words last.
With the words first, the AV invents words and then copies its own invention; with the certainty first, it falls upon
the likeliest word for it, whatever it names then. The words are quoted up to and with the final token: a model that
reads them is then, at that token, nearly in the state to be described. Topic, role and genre are not named: the first
edition named them, wrongly in most cases, and the AR made nothing of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CANDIDATES = 5
SURE = ("almost certain", "likely", "a guess")
"""How sure a description is of the first of them."""


@dataclass(frozen=True)
class Facts:
    """Facts at one position, from the text up to it and the target's own output there."""

    token: str
    candidates: Sequence[tuple[str, float]]  # the target's next tokens with their probabilities, best first
    recent: str  # the words that lead up to the final token, and it; empty where nothing came before


def name_token(text: str) -> str:
    """A token in words: quoted as it is, or by name where a quotation would show nothing."""
    match text:
        case "<|im_end|>":
            return "the end-of-turn mark"
        case "<|im_start|>":
            return "the start-of-turn mark"
        case "\n":
            return "a line break"
        case "\n\n":
            return "an empty line"
    if "\ufffd" in text:
        return "part of a character"
    if not text.strip():
        return "a blank" if len(text) == 1 else f"{len(text)} blanks"
    return f'"{text}"'


def ranked(candidates: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """The next tokens, those that differ in form alone merged into the first of them, best first."""
    merged: dict[str, tuple[str, float]] = {}
    for text, p in candidates:
        key = text.strip().lower() or text
        first, total = merged.get(key, (text, 0.0))
        merged[key] = (first, total + p)
    return sorted(merged.values(), key=lambda c: -c[1])


def listed(candidates: Sequence[tuple[str, float]]) -> str:
    """The next tokens in words: always as many, so that an AV cannot win by naming fewer."""
    *others, last = [name_token(text) for text, _ in ranked(candidates)[:CANDIDATES]]
    return f"{', '.join(others)} or {last}" if others else last


def how_sure(probability: float) -> str:
    """Say in words how sure the first candidate is."""
    return SURE[0] if probability >= 0.9 else SURE[1] if probability >= 0.5 else SURE[2]


def describe(facts: Facts) -> str:
    """The description of one position, three sentences at most."""
    sure = how_sure(ranked(facts.candidates)[0][1])
    expected = f"next may be {listed(facts.candidates)}: the first is {sure}"
    recent = f'It reads like "{facts.recent}".' if facts.recent else "It opens the text."
    return f"The final token is {name_token(facts.token)}; {expected}. {recent}"
