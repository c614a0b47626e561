"""The ribbon along the text, and the table that is its twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frontend.layout import ModelsContext
from frontend.links import Choice, Field


@dataclass(frozen=True)
class RibbonLineContext:
    """One token with its line. `note` stands where there is none."""

    position: int
    token: str
    colour: str
    href: str
    text: str
    note: str
    direction: str
    score: str
    pinned: bool


@dataclass(frozen=True)
class RibbonItemContext:
    """A token, or a span of tokens under its own line, folded up."""

    lines: list[RibbonLineContext]
    place: str = ""
    text: str = ""
    direction: str = "ltr"
    score: str = ""
    open: bool = False


@dataclass(frozen=True)
class RibbonChunkContext:
    """Some items of a turn; a browser leaves those out of sight undrawn, and the stream sends those that changed."""

    id: str
    items: list[RibbonItemContext]


@dataclass(frozen=True)
class RibbonTurnContext:
    """One speaker's turn, or the tokens of the template between two turns, folded up."""

    id: str
    label: str
    said: str
    template: bool
    open: bool
    chunks: list[RibbonChunkContext]


@dataclass(frozen=True)
class RibbonContext:
    """The whole ribbon; `turns` are empty where it is not shown."""

    shown: bool
    switch: Choice
    layers: Sequence[Choice]
    table: str
    merged: str
    note: str
    turns: list[RibbonTurnContext]


@dataclass(frozen=True)
class ColumnContext:
    """A column of the table: a link that sorts by it, and how it is sorted now (as `aria-sort` has it)."""

    label: str
    href: str
    sorted: str


@dataclass(frozen=True)
class ReadingRowContext:
    """One reading in the table."""

    position: int
    sample: int
    token: str
    href: str
    role: str
    line: str
    text: str
    swatch: str
    score: str


@dataclass(frozen=True)
class ReadingsPage:
    """analysis/readings.html"""

    title: str
    back: str
    action: str
    hidden: list[Field]
    query: str
    roles: list[tuple[str, bool]]
    template: bool
    columns: list[ColumnContext]
    rows: list[ReadingRowContext]
    count: str
    models: ModelsContext | None = None
