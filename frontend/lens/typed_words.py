"""Words that a person types to have their probability measured: what of them is exact, and which variant is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.analyses.lens_table import LensTable
from server.analyses.service import Analyses
from server.analyses.word_curves import WhichLens

SPACES = "\u00b7\u2423"
"""The sign that the page draws for a token's leading space; a word may be typed with it."""


@dataclass(frozen=True)
class TypedWord:
    """A word as it was typed. With a space before it, typed or drawn, it is `exact`; without one both
    variants are tried.
    """

    text: str
    exact: bool


def typed_word(text: str) -> TypedWord | None:
    """A word from a field of its own; a phone's keyboard may have put a space after it."""
    if not text:
        return None
    drawn = text.lstrip(" ")
    text = " " + drawn[1:] if drawn and drawn[0] in SPACES else text
    return TypedWord(text.rstrip(" ") or " ", exact=text[0].isspace())


def typed_words(text: str) -> list[TypedWord]:
    """Words with commas between them. One space after a comma belongs to the comma, a second one to the word."""
    first, *others = text.split(",")
    parts = [first, *(part.removeprefix(" ") for part in others)]
    return [word for part in parts if part.strip() and (word := typed_word(part))]


async def resolved(
    service: Analyses,
    analysis_id: str,
    position: int,
    words: Sequence[TypedWord],
    lens: WhichLens = "plain",
) -> list[str]:
    """The exact words to measure after `position`: of one that was typed without a space the likelier variant.

    Raises what `Analyses.words` does.
    """
    plain = [word.text for word in words if not word.exact]
    if not plain:
        return [word.text for word in words]
    found = await service.words(analysis_id, position, plain, lens, "likelier")
    chosen = iter(curve.word for curve in found.words)
    return [word.text if word.exact else next(chosen) for word in words]


def likeliest(lens: LensTable, position: int) -> list[tuple[str, float]]:
    """The model's likeliest tokens after `position` that a word can name, with their probabilities.

    Control tokens cannot be typed, nor can parts of a character; a form would alter a carriage return.
    """
    return [
        (text, prob)
        for _, text, prob in lens.top(len(lens.layers) - 1, position)
        if text and "\ufffd" not in text and "\r" not in text and not (text[0] == "<" and text[-1] == ">")
    ]
