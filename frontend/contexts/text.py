"""The text, token by token, and the legend of its colours."""

from __future__ import annotations

from dataclasses import dataclass

from frontend.wording import Bit


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
class RowContext:
    """One turn of the chat (or the prompt and the reply of a raw text) with its tokens."""

    role: str
    label: str
    note: str
    generated: bool
    direction: str
    tokens: list[TokenContext]


@dataclass(frozen=True)
class TurnContext:
    """A turn as it was typed, shown until the tokens are known."""

    role: str
    text: str


@dataclass(frozen=True)
class LegendContext:
    """What the colours mean."""

    measure: str
    low: str
    high: str
    description: str
    bins: int
    waiting: bool
    failed: bool
