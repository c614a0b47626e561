"""Contexts of the page of a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frontend.layout import ModelsContext
from frontend.links import Choice, Field


@dataclass(frozen=True)
class PendingWord:
    """A word that is being measured: `follow` is where the page asks again, `cancel` where it is stopped."""

    stage: str
    done: int
    total: int
    follow: str
    cancel: str


@dataclass(frozen=True)
class WordRow:
    """One token of the text: what comes after it. `mention` is what its reading says of the word, in three parts: what
    stands before the mention, the mention, what follows.
    """

    position: int
    token: str
    href: str
    written: bool
    output: str
    shade: str
    layer: str
    highest: str
    mention: tuple[str, str, str] | None


@dataclass(frozen=True)
class WordFigure:
    """The word as a map over layers and tokens, and as a table. `source` and `cell` are where the map's numbers are;
    `tokens` says what of the word's tokens is measured; `notebook` is the form that puts the figure into one.
    """

    source: str
    cell: str
    svg: str
    csv: str
    notebook: str
    label: str
    variants: Sequence[Choice]
    lenses: Sequence[Choice]
    metrics: Sequence[Choice]
    title: str
    about: str
    low: str
    high: str
    bins: int
    tokens: str
    facts: Sequence[str]
    rows: Sequence[WordRow]


@dataclass(frozen=True)
class WordCell:
    """One layer after one token: `figures` are (name, value)."""

    token: str
    name: str
    row: int
    position: int
    figures: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class WordPage:
    """words/word.html: the form, and the word that was asked for: being measured, measured, or why not."""

    title: str
    back: str
    name: str
    word: str
    action: str
    longest: int
    hidden: Sequence[Field]
    error: str
    pending: PendingWord | None
    figure: WordFigure | None
    others: Sequence[Choice]
    models: ModelsContext | None = None
    here: str = ""
