"""Contexts of the causal scores: those of one reading, and those of the whole text."""

from __future__ import annotations

from dataclasses import dataclass

from frontend.lens.drawing import Tick
from frontend.links import Choice


@dataclass(frozen=True)
class EffectRow:
    """The effects of what takes the activation's place: the reading, or a control. `explained` says what it is."""

    name: str
    explained: str
    score: str
    kl: str
    after: str
    kept: str


@dataclass(frozen=True)
class EffectsContext:
    """The causal score of one reading in words, its colour (None where there is no score), and its controls."""

    headline: str
    bin: int | None
    rows: list[EffectRow]
    horizon: int


@dataclass(frozen=True)
class SentenceRow:
    """A sentence of a reading: what the rest holds without it, what that loses, and what as many words of the others
    lose. `share` of the whole's score, 0 to 1, is for a bar.
    """

    text: str
    held: str
    lost: str
    share: float
    at_random: str = ""


@dataclass(frozen=True)
class MarkedWord:
    """A word of a reading, with its blanks. `level` 0 to 4 says how much is lost without it."""

    text: str
    level: int
    tip: str


@dataclass(frozen=True)
class FormRow:
    """Another form of a reading, what it holds, and what that loses; `kl` is of the next token, in its place."""

    name: str
    text: str
    held: str
    lost: str
    kl: str


@dataclass(frozen=True)
class PartsContext:
    """Parts of one reading, with how much each carries. `state` is absent, pending or done; `again` is where a pending
    one is looked at.
    """

    id: str
    state: str
    action: str
    error: str = ""
    again: str = ""
    progress: str = ""
    whole: str = ""
    sentences: tuple[SentenceRow, ...] = ()
    quotes: tuple[SentenceRow, ...] = ()
    words: tuple[MarkedWord, ...] = ()
    forms: tuple[FormRow, ...] = ()


@dataclass(frozen=True)
class Dot:
    """One reading in the scatter: its place, and a link to its token."""

    x: float
    y: float
    href: str
    panel: str
    label: str
    content: bool
    pinned: bool


@dataclass(frozen=True)
class ScatterContext:
    """Round-trip score (to the right) against causal score (upwards), in units of the drawing."""

    dots: list[Dot]
    across: list[Tick]
    up: list[Tick]
    name: str
    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class NamedToken:
    """A token by name, with both scores of its reading."""

    name: str
    href: str
    panel: str
    trip: str
    causal: str


@dataclass(frozen=True)
class LossRow:
    """Losses of the readings in another form: of the round trip, and of what they undo, with their intervals."""

    name: str
    lost: str
    undone: str


@dataclass(frozen=True)
class FormContext:
    """Losses of the readings in other forms. `state`: absent, pending or done; `again`: where a pending one is looked
    at.
    """

    state: str
    action: str
    error: str = ""
    again: str = ""
    progress: str = ""
    done: int = 0
    total: int | None = None
    sentence: str = ""
    rows: tuple[LossRow, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class CausalContext:
    """The section of the text. `state` is absent, pending or done; of a pending one the scatter has what is measured so
    far.
    """

    state: str
    action: str
    error: str = ""
    cancel: str = ""
    progress: str = ""
    done: int = 0
    total: int | None = None
    sentences: tuple[str, ...] = ()
    rows: tuple[EffectRow, ...] = ()
    horizon: int = 0
    scatter: ScatterContext | None = None
    less_than_held: tuple[NamedToken, ...] = ()
    """Readings that do less than their round trip suggests, by rank."""
    more_than_held: tuple[NamedToken, ...] = ()
    """Readings that do more than that."""
    colours: tuple[Choice, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    form: FormContext | None = None
