"""The digits of an answer: which tokens hold them, and which of them are right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from server.analyses.schema import Token

_NUMBER = re.compile(r"[0-9]+(?:,[0-9]{3})+(?![0-9])|[0-9]+")


@dataclass(frozen=True)
class Digit:
    """One digit of an answer: its place from the left, and the position of the token that holds it."""

    place: int
    digit: str
    position: int


@dataclass(frozen=True)
class Answer:
    """The number that a model gave, without separators, digit by digit."""

    text: str
    digits: list[Digit]


def reply_text(tokens: Sequence[Token]) -> str:
    """The text that the model wrote, without special tokens."""
    return "".join(token.text for token in tokens if token.kind == "generated" and not token.special)


def answer_of(tokens: Sequence[Token], factors: tuple[int, int]) -> Answer | None:
    """The first number that the model wrote; the factors, if it says both of them again before, do not count. None
    where it wrote no number.
    """
    letters = [
        (letter, token.position)
        for token in tokens
        if token.kind == "generated" and not token.special
        for letter in token.text
    ]
    found = list(_NUMBER.finditer("".join(letter for letter, _ in letters)))
    if [_value(match[0]) for match in found[:2]] == list(factors) and len(found) > 2:
        del found[:2]
    if not found:
        return None
    held = [pair for pair in letters[found[0].start() : found[0].end()] if pair[0] != ","]
    digits = [Digit(place, digit, position) for place, (digit, position) in enumerate(held)]
    return Answer("".join(digit.digit for digit in digits), digits)


def _value(text: str) -> int:
    return int(text.replace(",", ""))


def positions_of(answer: Answer | None) -> list[int]:
    """The positions to read: those of the digits, and the one before each."""
    if answer is None:
        return []
    at = {digit.position for digit in answer.digits}
    return sorted(at | {position - 1 for position in at})
