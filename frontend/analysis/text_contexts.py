"""The text, token by token, and the legend of its colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frontend.formatting import Bit, direction
from frontend.links import Choice


@dataclass(frozen=True)
class TokenContext:
    """One token as a link. `part` counts the tokens of a glyph that spans several (0: it does not)."""

    position: int
    bits: list[Bit]
    classes: str
    href: str
    panel: str
    tip: str
    label: str
    marked: bool
    pinned: bool
    part: int
    opens_word: bool
    opens_glyph: bool
    closes_glyph: bool
    breaks: bool


@dataclass(frozen=True)
class LineContext:
    """One line of a turn, which runs in the direction of its own first letter."""

    direction: str
    tokens: list[TokenContext]


@dataclass(frozen=True)
class RowContext:
    """One turn of the chat (or the prompt and the reply of a raw text) with its tokens. `direction` is that of lines
    without a letter of their own.
    """

    role: str
    label: str
    note: str
    generated: bool
    direction: str
    tokens: list[TokenContext]

    @property
    def lines(self) -> list[LineContext]:
        """The tokens line by line."""
        ends = [n for n, token in enumerate(self.tokens, 1) if token.breaks or n == len(self.tokens)]
        lines = [self.tokens[first:end] for first, end in zip([0, *ends], ends, strict=False)]
        return [LineContext(direction(_spoken(line), self.direction), line) for line in lines]


def _spoken(tokens: list[TokenContext]) -> str:
    """Return the text of these tokens, without the template's names of turns."""
    return "".join(
        bit.text for token in tokens if "special" not in token.classes.split() for bit in token.bits
    )


@dataclass(frozen=True)
class TurnContext:
    """A turn as it was typed, shown until the tokens are known."""

    role: str
    text: str


@dataclass(frozen=True)
class LegendContext:
    """Legend of the colours."""

    measure: str
    low: str
    high: str
    description: str
    bins: int
    waiting: bool
    failed: bool
    edited: bool
    colours: Sequence[Choice] = ()
    """Links to the scores that can colour the text, where there is a choice."""


@dataclass(frozen=True)
class RangeContext:
    """A range of tokens: `held` says how much its readings hold, `recurring` are words of most of them, each with the
    number of readings that have it here and elsewhere. `terms` are those of its mean as a vector of the name `name`,
    `again` is where it is read several times; both empty where that cannot be.
    """

    title: str
    text: str
    held: str
    recurring: list[tuple[str, str, str]]
    terms: str
    name: str
    again: str
